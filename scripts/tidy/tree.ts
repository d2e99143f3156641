// Owns the checks' view of the project: its files as text, parsed once when asked for, and where an import leads.
// Must not judge anything, and must work on files that exist only in a test's memory.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import ts from 'typescript'

/** Something that a check found wrong. */
export interface Problem {
  path: string
  /** From 1; 0 where it is about the whole file. */
  line: number
  text: string
}

/** Looks at the whole project and tells what is wrong. */
export type Check = (tree: Tree) => Problem[]

/** One import, re-export or dynamic import of a file. */
export interface Link {
  specifier: string
  /** The project file that it leads to; undefined for packages and `node:`. */
  target: string | undefined
  /** Names as the target calls them; undefined where all are meant. */
  names: { imported: string; local: string }[] | undefined
  reexport: boolean
  typeOnly: boolean
  /** Loaded while the program runs, by `import(…)`. */
  dynamic: boolean
  line: number
}

const skippedFolders = new Set(['__pycache__', 'node_modules', 'dist', 'coverage', '.git', '.cox'])
const textBytesMax = 2 << 20

/** The project's files, by path from its root with forward slashes. */
export class Tree {
  readonly #files: ReadonlyMap<string, string>
  readonly #sources = new Map<string, ts.SourceFile>()
  readonly #links = new Map<string, Link[]>()

  constructor(files: Record<string, string> | ReadonlyMap<string, string>) {
    this.#files = files instanceof Map ? files : new Map(Object.entries(files))
  }

  /** All files below a folder, without what is installed, built or not text. */
  static fromDisk(root: string): Tree {
    const files = new Map<string, string>()
    for (const entry of readdirSync(root, { recursive: false, withFileTypes: true })) visit(root, entry.name, entry.isDirectory(), files)
    return new Tree(files)
  }

  get paths(): string[] {
    return [...this.#files.keys()].sort()
  }

  /** TypeScript and JavaScript files, below one of the folders if any are given. */
  code(...folders: string[]): string[] {
    return this.paths.filter(
      path => /\.(ts|mjs|js)$/.test(path) && (folders.length === 0 || folders.some(folder => path.startsWith(`${folder}/`))),
    )
  }

  has(path: string): boolean {
    return this.#files.has(path)
  }

  text(path: string): string {
    return this.#files.get(path) ?? ''
  }

  lines(path: string): string[] {
    return this.text(path).replace(/\n$/, '').split('\n')
  }

  source(path: string): ts.SourceFile {
    const known = this.#sources.get(path)
    if (known) return known
    const parsed = ts.createSourceFile(path, this.text(path), ts.ScriptTarget.ESNext, true)
    this.#sources.set(path, parsed)
    return parsed
  }

  /** Everything that the file imports, in order. */
  links(path: string): Link[] {
    const known = this.#links.get(path)
    if (known) return known
    const found = linksOf(this.source(path), specifier => this.#resolve(path, specifier))
    this.#links.set(path, found)
    return found
  }

  #resolve(from: string, specifier: string): string | undefined {
    if (!specifier.startsWith('.')) return undefined
    return normalize(join(dirname(from), specifier)).replaceAll('\\', '/')
  }
}

function visit(root: string, path: string, folder: boolean, files: Map<string, string>): void {
  if (folder) {
    if (skippedFolders.has(path.slice(path.lastIndexOf('/') + 1))) return
    for (const entry of readdirSync(join(root, path), { withFileTypes: true }))
      visit(root, `${path}/${entry.name}`, entry.isDirectory(), files)
    return
  }
  // A checkout beside another one has a file of this name instead of the folder.
  if (path === '.git') return
  let bytes: Buffer
  try {
    bytes = readFileSync(join(root, path))
  } catch (error) {
    // Another program may have removed it since the folder was read.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  files.set(path, bytes.length > textBytesMax ? '' : bytes.toString('utf8'))
}

/** The line of a node, from 1. */
export function lineOf(node: ts.Node): number {
  const source = node.getSourceFile()
  return source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1
}

/** Calls back for the node and everything below it. */
export function walk(node: ts.Node, visitor: (node: ts.Node) => void): void {
  visitor(node)
  ts.forEachChild(node, child => walk(child, visitor))
}

function linksOf(source: ts.SourceFile, resolve: (specifier: string) => string | undefined): Link[] {
  const links: Link[] = []
  const add = (node: ts.Node, specifier: string, names: Link['names'], reexport: boolean, typeOnly: boolean, dynamic = false): void => {
    links.push({ specifier, target: resolve(specifier), names, reexport, typeOnly, dynamic, line: lineOf(node) })
  }
  walk(source, node => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node, node.moduleSpecifier.text, importedNames(node.importClause), false, node.importClause?.isTypeOnly === true)
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node, node.moduleSpecifier.text, reexportedNames(node), true, node.isTypeOnly)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments
      if (argument && ts.isStringLiteralLike(argument)) add(node, argument.text, undefined, false, false, true)
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
      add(node, node.argument.literal.text, undefined, false, true)
    }
  })
  return links
}

function importedNames(clause: ts.ImportClause | undefined): Link['names'] {
  if (!clause) return []
  const names: { imported: string; local: string }[] = []
  if (clause.name) names.push({ imported: 'default', local: clause.name.text })
  const bindings = clause.namedBindings
  if (bindings && ts.isNamespaceImport(bindings)) return undefined
  if (bindings && ts.isNamedImports(bindings)) {
    for (const element of bindings.elements) names.push({ imported: (element.propertyName ?? element.name).text, local: element.name.text })
  }
  return names
}

function reexportedNames(node: ts.ExportDeclaration): Link['names'] {
  if (!node.exportClause || !ts.isNamedExports(node.exportClause)) return undefined
  return node.exportClause.elements.map(element => ({ imported: (element.propertyName ?? element.name).text, local: element.name.text }))
}
