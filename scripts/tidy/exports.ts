// Owns what each file exports, and the checks about it: nothing exported for nobody, no file for nobody, one name for one thing.
// Must not know the import law: that is law.ts.
import ts from 'typescript'
import { type Check, lineOf, type Problem, type Tree, walk } from './tree.ts'

/** Where a name that a file exports is declared. */
export interface Declaration {
  path: string
  name: string
  node: ts.Node
}

/** Files that are started, not imported. */
const entries = new Set(['src/index.ts', 'src/cli/main.ts'])

/** All names that a file exports and declares itself. */
function ownExports(tree: Tree, path: string): Declaration[] {
  const found: Declaration[] = []
  for (const statement of tree.source(path).statements) {
    if (
      ts.isExportDeclaration(statement) &&
      !statement.moduleSpecifier &&
      statement.exportClause &&
      ts.isNamedExports(statement.exportClause)
    ) {
      for (const element of statement.exportClause.elements) found.push({ path, name: element.name.text, node: element })
      continue
    }
    if (ts.isExportAssignment(statement)) found.push({ path, name: 'default', node: statement })
    if (!ts.canHaveModifiers(statement) || !ts.getModifiers(statement)?.some(modifier => modifier.kind === ts.SyntaxKind.ExportKeyword))
      continue
    if (ts.isVariableStatement(statement)) {
      for (const declaration of statement.declarationList.declarations)
        found.push(...boundNames(declaration.name).map(name => ({ path, name, node: statement })))
    } else {
      const isDefault = ts.getModifiers(statement)?.some(modifier => modifier.kind === ts.SyntaxKind.DefaultKeyword)
      const name = isDefault ? 'default' : (statement as ts.DeclarationStatement).name?.text
      if (name) found.push({ path, name, node: statement })
    }
  }
  return found
}

function boundNames(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text]
  return name.elements.flatMap(element => (ts.isOmittedExpression(element) ? [] : boundNames(element.name)))
}

/** All names that a file exports, its re-exports followed to where they are declared. */
export function allExports(tree: Tree, path: string, seen = new Set<string>()): Map<string, Declaration> {
  const found = new Map<string, Declaration>()
  if (seen.has(path) || !tree.has(path)) return found
  seen.add(path)
  for (const link of tree.links(path)) {
    if (!link.reexport || !link.target) continue
    const there = allExports(tree, link.target, new Set(seen))
    if (link.names === undefined) for (const [name, declaration] of there) found.set(name, declaration)
    else for (const { imported, local } of link.names) if (there.has(imported)) found.set(local, there.get(imported)!)
  }
  for (const declaration of ownExports(tree, path)) found.set(declaration.name, followImported(tree, path, declaration, seen))
  return found
}

/** `import { a } from './x.ts'; export { a }` declares `a` in x. */
function followImported(tree: Tree, path: string, declaration: Declaration, seen: Set<string>): Declaration {
  if (!ts.isExportSpecifier(declaration.node)) return declaration
  const local = (declaration.node.propertyName ?? declaration.node.name).text
  for (const link of tree.links(path)) {
    const name = link.names?.find(one => one.local === local)
    if (name && link.target && !link.reexport) return allExports(tree, link.target, new Set(seen)).get(name.imported) ?? declaration
  }
  return declaration
}

const key = (path: string, name: string): string => `${path}#${name}`

/** Every declaration that some other file imports. */
function usedDeclarations(tree: Tree): Set<string> {
  const used = new Set<string>()
  for (const path of tree.code()) {
    for (const link of tree.links(path)) {
      if (!link.target || !tree.has(link.target) || link.reexport) continue
      const exported = allExports(tree, link.target)
      const names = link.names?.map(name => name.imported) ?? [...exported.keys()]
      for (const name of names) {
        const declaration = exported.get(name)
        if (declaration) used.add(key(declaration.path, declaration.name))
      }
    }
  }
  for (const entry of entries) for (const declaration of allExports(tree, entry).values()) used.add(key(declaration.path, declaration.name))
  return used
}

/** Types that another part of the same file mentions belong to the face of that part, and a codec's type to the codec. */
function mentionedInFile(tree: Tree, declaration: Declaration): boolean {
  const isType = ts.isInterfaceDeclaration(declaration.node) || ts.isTypeAliasDeclaration(declaration.node)
  if (!isType) return false
  if (ts.isTypeAliasDeclaration(declaration.node) && declaration.node.type.getText().startsWith('Infer<typeof')) return true
  let mentions = 0
  walk(tree.source(declaration.path), node => {
    if (ts.isIdentifier(node) && node.text === declaration.name) mentions++
  })
  return mentions > 1
}

/** An export that nobody imports is dead, or need not be one. */
export const deadExports: Check = tree => {
  const used = usedDeclarations(tree)
  const problems = new Map<string, Problem>()
  for (const path of tree.code('src', 'scripts', 'bench', 'simulator')) {
    for (const declaration of ownExports(tree, path)) {
      if (
        declaration.name === 'default' ||
        ts.isExportSpecifier(declaration.node) ||
        used.has(key(path, declaration.name)) ||
        mentionedInFile(tree, declaration)
      )
        continue
      // Of overloads one line is enough.
      problems.set(key(path, declaration.name), {
        path,
        line: lineOf(declaration.node),
        text: `${declaration.name} is exported and nobody imports it`,
      })
    }
  }
  return [...problems.values()]
}

/** A file below src, scripts or bench that nothing imports, starts or names is dead. */
export const deadFiles: Check = tree => {
  const alive = new Set<string>(entries)
  const named = new Set<string>()
  for (const path of tree.code()) for (const link of tree.links(path)) if (link.target) alive.add(link.target)
  for (const path of tree.paths) {
    if (/^(package\.json|tsconfig.*\.json|\.ci\/.*|HACKING\.md)$/.test(path))
      for (const [name] of tree.text(path).matchAll(/[\w./-]+\.(ts|mjs)/g)) named.add(name)
    // A worker thread's or child's file is named by a piece of a URL, without its ending.
    if (/\.(ts|mjs)$/.test(path)) {
      for (const [, name] of tree.text(path).matchAll(/['"`]([\w./-]*\/[\w./-]+?)(?:\.ts|\$\{\w+\}|\.)?['"`]/g))
        named.add(name!.replace(/^[./]+/, ''))
    }
  }
  const isNamed = (path: string): boolean => [...named].some(name => `/${path}`.endsWith(`/${name}`) || `/${path}`.endsWith(`/${name}.ts`))
  return tree
    .code('src', 'scripts', 'bench', 'simulator')
    .filter(path => !alive.has(path) && !isNamed(path))
    .map(path => ({ path, line: 0, text: 'nothing imports, starts or names this file' }))
}

/** The rooms below src that have a face, with the face's path. */
function faces(tree: Tree): Map<string, string> {
  const found = new Map<string, string>()
  for (const path of tree.paths) {
    const room = /^src\/([\w-]+)\/index\.ts$/.exec(path)?.[1]
    if (room) found.set(room, path)
  }
  return found
}

/** One name means one thing: no two rooms export the same name for different declarations. */
export const duplicateNames: Check = tree => {
  const owners = new Map<string, { room: string; declaration: Declaration }>()
  const problems: Problem[] = []
  for (const [room, face] of faces(tree)) {
    for (const [name, declaration] of allExports(tree, face)) {
      const other = owners.get(name)
      if (!other) owners.set(name, { room, declaration })
      else if (key(other.declaration.path, other.declaration.name) !== key(declaration.path, declaration.name)) {
        problems.push({
          path: declaration.path,
          line: lineOf(declaration.node),
          text: `${name} is also exported by the room ${other.room} (${other.declaration.path})`,
        })
      }
    }
  }
  return problems
}

/** Every name in a room's face says what it is for; a type that only names a codec's value is told by the codec. */
export const documentedFaces: Check = tree => {
  const problems = new Map<string, Problem>()
  for (const face of faces(tree).values()) {
    for (const declaration of allExports(tree, face).values()) {
      const { node, path, name } = declaration
      if (ts.isExportSpecifier(node)) continue
      if (ts.isTypeAliasDeclaration(node) && /^(Infer|Extract)</.test(node.type.getText())) continue
      if (/\.kind'?\]?$/.test(ts.isTypeAliasDeclaration(node) ? node.type.getText() : '')) continue
      if (hasDocstring(tree, path, node)) continue
      problems.set(key(path, name), { path, line: lineOf(node), text: `${name} is in the room's face and has no docstring` })
    }
  }
  return [...problems.values()]
}

/** Of overloads the first is enough. */
function hasDocstring(tree: Tree, path: string, node: ts.Node): boolean {
  if (ts.getJSDocCommentsAndTags(node).length > 0) return true
  if (!ts.isFunctionDeclaration(node) || !node.name) return false
  const name = node.name.text
  return tree
    .source(path)
    .statements.some(other => ts.isFunctionDeclaration(other) && other.name?.text === name && ts.getJSDocCommentsAndTags(other).length > 0)
}
