// Owns docs/sdk.md: the reference of everything the package exports, made from declarations and their docstrings.
// Must not hold text about any symbol: what is missing there belongs into its docstring.
import ts from 'typescript'
import { allExports, type Declaration } from './tidy/exports.ts'
import type { Tree } from './tidy/tree.ts'

const face = 'src/index.ts'

const head = `# SDK reference

Everything that \`import … from 'coxswain'\` gives, made from the docstrings in the sources by \`npm run docs\`. A check holds the two together.
`

const sections: { title: string; holds: (node: ts.Node) => boolean }[] = [
  { title: 'Functions and values', holds: node => ts.isFunctionDeclaration(node) || ts.isVariableStatement(node) },
  { title: 'Classes', holds: ts.isClassDeclaration },
  { title: 'Interfaces', holds: ts.isInterfaceDeclaration },
  { title: 'Types', holds: ts.isTypeAliasDeclaration },
]

/** The text of a node's docstring, without its stars; empty if it has none. */
function docstring(node: ts.Node): string {
  return ts
    .getJSDocCommentsAndTags(node)
    .filter(ts.isJSDoc)
    .map(doc => [ts.getTextOfJSDocComment(doc.comment) ?? '', ...(doc.tags ?? []).map(tag => tagText(tag))].filter(Boolean).join('\n\n'))
    .join('\n\n')
    .trim()
}

function tagText(tag: ts.JSDocTag): string {
  const text = (ts.getTextOfJSDocComment(tag.comment) ?? '').trim()
  if (tag.tagName.text === 'example') return text.startsWith('```') ? text : `\`\`\`ts\n${text}\n\`\`\``
  if (ts.isJSDocParameterTag(tag)) return `- \`${tag.name.getText()}\`: ${text.replace(/^- /, '')}`
  return `*${tag.tagName.text}*: ${text}`
}

/** Source text without docstrings, comments above it, `export` and body. */
function signature(node: ts.Node): string {
  const start = node.getStart(node.getSourceFile(), false)
  const body = (node as ts.FunctionLikeDeclaration).body
  const end = body ? body.getStart() : node.getEnd()
  return node
    .getSourceFile()
    .text.slice(start, end)
    .replace(/^export (default )?(declare )?/, '')
    .replace(/\basync (?=function)/, '')
    .trim()
}

function memberName(member: ts.ClassElement | ts.TypeElement): string {
  return (
    member.name?.getText() ?? (ts.isConstructorDeclaration(member) || ts.isConstructSignatureDeclaration(member) ? 'constructor' : 'call')
  )
}

function isPublic(member: ts.ClassElement | ts.TypeElement): boolean {
  if (member.name && ts.isPrivateIdentifier(member.name)) return false
  if (ts.isClassStaticBlockDeclaration(member)) return false
  const modifiers = ts.canHaveModifiers(member) ? (ts.getModifiers(member) ?? []) : []
  const isHidden = ts.getJSDocTags(member).some(tag => tag.tagName.text === 'internal')
  return (
    !isHidden &&
    !modifiers.some(modifier => modifier.kind === ts.SyntaxKind.PrivateKeyword || modifier.kind === ts.SyntaxKind.ProtectedKeyword)
  )
}

/** A member's signature on one line; a field's initial value is nobody's business. */
function memberSignature(member: ts.ClassElement | ts.TypeElement): string {
  const text =
    ts.isPropertyDeclaration(member) && member.initializer
      ? signature(member)
          .slice(0, -member.initializer.getText().length)
          .replace(/\s*=\s*;?$/, '')
      : signature(member)
  return text
    .replace(/\/\*\*[\s\S]*?\*\/\s*/g, '')
    .replace(/\s+/g, ' ')
    .replace(/^(override|async|static async) /, '')
    .replace(/[;,]$/, '')
    .trim()
}

function members(node: ts.ClassDeclaration | ts.InterfaceDeclaration): string {
  const all: readonly (ts.ClassElement | ts.TypeElement)[] = node.members
  const seen = new Set<string>()
  let text = ''
  for (const member of all.filter(isPublic)) {
    const name = memberName(member)
    const words = docstring(member)
    // The body of an overloaded method repeats the name without words of its own.
    if (ts.isConstructorDeclaration(member) || (seen.has(name) && words === '')) continue
    seen.add(name)
    text += `- \`${memberSignature(member).replaceAll('`', "'")}\`${words === '' ? '' : `\n  ${words.replaceAll(/\n(?=[^\n])/g, '\n  ')}`}\n`
  }
  return text
}

function heritage(node: ts.ClassDeclaration | ts.InterfaceDeclaration): string {
  const parameters = node.typeParameters ? `<${node.typeParameters.map(parameter => parameter.getText()).join(', ')}>` : ''
  const clauses = (node.heritageClauses ?? []).map(clause => clause.getText()).join(' ')
  return `${ts.isClassDeclaration(node) ? 'class' : 'interface'} ${node.name?.text ?? ''}${parameters}${clauses ? ` ${clauses}` : ''}`
}

/** All declarations of one name: overloads, and the body behind them only where it stands alone. */
function overloads(tree: Tree, declaration: Declaration): ts.Node[] {
  const { node } = declaration
  if (!ts.isFunctionDeclaration(node)) return [node]
  const all = tree
    .source(declaration.path)
    .statements.filter(other => ts.isFunctionDeclaration(other) && other.name?.text === declaration.name)
  return all.length === 1 ? all : all.filter(other => !(other as ts.FunctionDeclaration).body)
}

function entry(tree: Tree, name: string, declaration: Declaration): string {
  const { node } = declaration
  let text = `\n### ${name}\n`
  if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) {
    const list = members(node)
    return `${text}\n${docstring(node)}\n\n\`\`\`ts\n${heritage(node)}\n\`\`\`\n${list === '' ? '' : `\n${list}`}`
  }
  for (const one of overloads(tree, declaration)) {
    const words = docstring(one)
    const shown = ts.isVariableStatement(one) ? valueSignature(one, declaration.name, name) : signature(one)
    text += `${words === '' ? '' : `\n${words}\n`}\n\`\`\`ts\n${shown}\n\`\`\`\n`
  }
  return text
}

/** A constant with its type; its value is shown only where it is short. */
function valueSignature(statement: ts.VariableStatement, declared: string, name: string): string {
  const declaration = statement.declarationList.declarations.find(one => one.name.getText() === declared)
  const type = declaration?.type ? `: ${declaration.type.getText()}` : ''
  const value = declaration?.initializer?.getText() ?? ''
  return `const ${name}${type}${type === '' && value.length < 80 ? ` = ${value}` : ''}`
}

/** The whole page. */
export function referencePage(tree: Tree): string {
  const exported = [...allExports(tree, face)]
  let page = head
  for (const { title, holds } of sections) {
    const here = exported.filter(([, declaration]) => holds(declaration.node))
    if (here.length === 0) continue
    page += `\n## ${title}\n`
    for (const [name, declaration] of here) page += entry(tree, name, declaration)
  }
  return page.replace(/\n{3,}/g, '\n\n')
}
