// Owns the import law of the rooms, the purity of the two machines, and which packages may be used.
// Must not hold exceptions: a room that needs one is a room in the wrong place.
import ts from 'typescript'
import { type Check, type Link, lineOf, type Problem, walk } from './tree.ts'

/** What each room below src may import besides itself. */
const allowed: Record<string, readonly string[]> = {
  protocol: [],
  platform: [],
  'platform/node': ['platform', 'protocol'],
  core: ['protocol'],
  journal: ['protocol'],
  leader: ['core', 'journal', 'platform', 'protocol'],
  worker: ['platform', 'protocol'],
  client: ['platform', 'platform/node', 'protocol'],
  connectors: ['platform', 'protocol'],
  cli: ['client', 'connectors', 'core', 'journal', 'leader', 'platform', 'platform/node', 'protocol', 'worker'],
}

/** Errors, roles and named numbers, beside the index.ts of their room: a thread or a process that needs no more starts without loading the room. */
const furtherFaces = new Set(
  ['core/limits', 'journal/etcd/index', 'protocol/errors', 'protocol/limits', 'protocol/principal', 'protocol/release'].map(
    name => `src/${name}.ts`,
  ),
)

/** Rooms that see neither Node's modules nor packages: they must replay exactly, or load anywhere. */
const closed = ['src/core/', 'src/protocol/', 'src/worker/machine/']
/** Rooms that decide: no time, no chance, no waiting. */
const pure = ['src/core/', 'src/worker/machine/']
const impureNames = new Set([
  ...['Promise', 'Date', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'crypto', 'performance', 'process', 'console'],
  ...['globalThis', 'fetch', 'WebSocket', 'Atomics', 'SharedArrayBuffer', 'require', 'navigator', 'eval', 'Function'],
])

/** The room below src that a path belongs to; undefined outside src, '' for src's own files. */
function roomOf(path: string): string | undefined {
  if (!path.startsWith('src/')) return undefined
  if (path.startsWith('src/platform/node/')) return 'platform/node'
  return /^src\/([\w-]+)\//.exec(path)?.[1] ?? ''
}

/** Rooms import only what the table allows, and of another room only its face. */
export const importLaw: Check = tree => {
  const problems: Problem[] = []
  for (const path of tree.code()) {
    for (const link of tree.links(path)) {
      if (link.target === undefined) continue
      const text = tree.has(link.target) ? breach(path, link.target) : `${link.specifier} is not there`
      if (text) problems.push({ path, line: link.line, text })
    }
  }
  return problems
}

function breach(from: string, to: string): string | undefined {
  const room = roomOf(from)
  const other = roomOf(to)
  if (room === undefined) return outsideBreach(from, to)
  // platform/node lives within platform and gives its interfaces their substance.
  if (room === other || room.startsWith(`${other}/`)) return undefined
  if (other === undefined) return `production code imports ${to}`
  const may = room === '' ? ['client'] : (allowed[room] ?? [])
  if (!may.includes(other)) return `the room ${room || 'src'} must not import the room ${other || 'src'}`
  return to === `src/${other}/index.ts` || furtherFaces.has(to) ? undefined : `imports past the face of ${other}: use src/${other}/index.ts`
}

/** Tests see the inside of their own room, the simulator of every room; everybody else outside src sees faces. */
function outsideBreach(from: string, to: string): string | undefined {
  if (/^(test\/)?simulator\//.test(from)) return undefined
  const other = roomOf(to)
  if (other === undefined || other === '' || to === `src/${other}/index.ts` || furtherFaces.has(to)) return undefined
  // The composition root has no face: nothing is built on it but tests.
  if (other === 'cli') return undefined
  const tested = /^test\/([\w-]+)\//.exec(from)?.[1]
  if (tested === other || other.startsWith(`${tested}/`)) return undefined
  return `imports past the face of ${other}: use src/${other}/index.ts`
}

/** core, protocol and worker/machine import no packages and nothing of Node's. */
export const closedRooms: Check = tree =>
  closed.flatMap(folder =>
    tree
      .code(folder.slice(0, -1))
      .flatMap(path => tree.links(path).map(link => ({ path, link })))
      .filter(({ link }) => link.target === undefined)
      .map(({ path, link }) => ({ path, line: link.line, text: `${folder} must not import ${link.specifier}` })),
  )

/** core and worker/machine know no time, no chance and no waiting: what they need is stamped on their input. */
export const pureMachines: Check = tree => {
  const problems: Problem[] = []
  for (const path of pure.flatMap(folder => tree.code(folder.slice(0, -1)))) {
    walk(tree.source(path), node => {
      const impure = impurity(node)
      if (impure) problems.push({ path, line: lineOf(node), text: `${impure} has no place in a pure room` })
    })
  }
  return problems
}

function impurity(node: ts.Node): string | undefined {
  if (node.kind === ts.SyntaxKind.AsyncKeyword) return 'async'
  if (ts.isAwaitExpression(node)) return 'await'
  if (ts.isPropertyAccessExpression(node) && node.getText() === 'Math.random') return 'Math.random'
  if (!ts.isIdentifier(node) || !impureNames.has(node.text)) return undefined
  const { parent } = node
  const isMember =
    (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
    ((ts.isPropertyAssignment(parent) ||
      ts.isPropertySignature(parent) ||
      ts.isPropertyDeclaration(parent) ||
      ts.isMethodDeclaration(parent) ||
      ts.isMethodSignature(parent)) &&
      parent.name === node)
  return isMember ? undefined : node.text
}

/** The package that a bare specifier names. */
function packageOf(link: Link): string | undefined {
  if (link.target !== undefined || link.specifier.startsWith('node:')) return undefined
  return link.specifier.split('/', link.specifier.startsWith('@') ? 2 : 1).join('/')
}

/**
 * src uses runtime dependencies only, everything else declared ones; every dependency is used and has its line in docs/dependencies.md. An optional peer is
 * loaded when it is needed and never before, because it may not be there; tests have it as a dependency for developing.
 */
export const dependencies: Check = tree => {
  const manifest = JSON.parse(tree.text('package.json')) as Record<string, Record<string, string> | undefined>
  const named = (part: string): string[] => Object.keys(manifest[part] ?? {})
  const runtime = new Set(named('dependencies'))
  const peers = new Set(named('peerDependencies'))
  const developing = new Set(named('devDependencies'))
  const all = new Set([...runtime, ...peers, ...developing])
  const problems: Problem[] = []
  const used = new Set<string>()
  // Examples are users of the package; peers are installed beside the project.
  for (const path of tree.code().filter(one => !/^(examples|bench\/peers|test\/.*\/fixtures)\//.test(one))) {
    for (const link of tree.links(path)) {
      const name = packageOf(link)
      if (!name) continue
      used.add(name)
      if (path.startsWith('src/') && peers.has(name)) {
        if (!link.typeOnly && !link.dynamic)
          problems.push({
            path,
            line: link.line,
            text: `${name} is an optional peer: import its types only, and load it when it is needed`,
          })
        continue
      }
      const known = path.startsWith('src/') ? runtime : all
      if (!known.has(name))
        problems.push({ path, line: link.line, text: `${name} is not a declared ${path.startsWith('src/') ? 'runtime ' : ''}dependency` })
    }
  }
  const optional = manifest['peerDependenciesMeta'] as Record<string, { optional?: boolean } | undefined> | undefined
  for (const name of peers) {
    if (optional?.[name]?.optional !== true) problems.push({ path: 'package.json', line: 0, text: `the peer ${name} is not optional` })
    if (!developing.has(name))
      problems.push({ path: 'package.json', line: 0, text: `the peer ${name} is no dependency for developing: tests lack it` })
  }
  for (const name of [...runtime, ...peers])
    if (!used.has(name)) problems.push({ path: 'package.json', line: 0, text: `the dependency ${name} is not used` })
  for (const name of all) {
    if (!tree.text('docs/dependencies.md').includes(`\`${name}\``))
      problems.push({ path: 'docs/dependencies.md', line: 0, text: `has no line about ${name}` })
  }
  if (runtime.size > 12) problems.push({ path: 'package.json', line: 0, text: `${runtime.size} runtime dependencies; 12 are the limit` })
  return problems
}
