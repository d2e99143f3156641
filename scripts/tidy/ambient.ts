// Owns the check that code which the simulator runs asks its platform for time, chance, timers and I/O, and nobody else.
// Must not trust a list of folders: what a run imports, and what that imports, is what it runs.
import ts from 'typescript'
import { type Check, type Link, lineOf, type Problem, type Tree, walk } from './tree.ts'

/** Where a simulated run begins. */
const root = 'simulator/run.ts'

/**
 * Files that touch the real machine. `beyond`: the simulator plays their part, so neither they nor what only they import is run there. Else
 * they run, and the names are what they may use where the simulator does not get.
 */
const edges: Readonly<Record<string, 'beyond' | readonly string[]>> = {
  'simulator/kernel/trap.ts': 'beyond',
  'simulator/kernel/kernel.ts': ['process', 'setImmediate'],
  'simulator/run.ts': ['process'],
  'src/platform/node/index.ts': 'beyond',
  'src/journal/etcd/address.ts': 'beyond',
  'src/journal/etcd/client.ts': 'beyond',
  'src/journal/etcd/clock.ts': 'beyond',
  'src/journal/etcd/snapshot-folder.ts': 'beyond',
  'src/journal/sqlite/store.ts': 'beyond',
  'src/journal/postgres/store.ts': 'beyond',
  'src/leader/vitals.ts': 'beyond',
  'src/client/endpoint.ts': 'beyond',
  'src/client/local.ts': 'beyond',
  'src/client/programs/bundle.ts': 'beyond',
  'src/client/programs/cache.ts': 'beyond',
  'src/client/blocks/transfer.ts': 'beyond',
  'src/client/connect.ts': ['process', 'setInterval'],
  'src/worker/surroundings.ts': 'beyond',
  'src/worker/blocks/fetch.ts': 'beyond',
  'src/worker/blocks/store.ts': 'beyond',
  'src/worker/logs/store.ts': 'beyond',
  'src/worker/stores.ts': ['node:fs/promises'],
}

/** What of Node gives the same answer each time; true: all of it. */
const harmless: Readonly<Record<string, true | readonly string[]>> = {
  'node:assert/strict': true,
  'node:crypto': ['createHash', 'createHmac', 'hash', 'timingSafeEqual'],
  'node:path': true,
  'node:url': ['fileURLToPath', 'pathToFileURL'],
  'node:util': true,
  'node:zlib': ['crc32'],
}

/** Not among them is queueMicrotask: the kernel runs what it is given to its end within the same event, as it does promises. */
const ambientNames = new Set([
  ...['performance', 'crypto', 'process', 'setTimeout', 'setInterval', 'setImmediate', 'fetch', 'WebSocket', 'MessageChannel'],
  ...['BroadcastChannel', 'Atomics', 'WeakRef', 'FinalizationRegistry', 'Intl', 'navigator', 'require', 'eval'],
])
const ambientMembers = new Set(['Date.now', 'Math.random', 'AbortSignal.timeout'])

/** Nothing that a simulated run imports is ambient. */
export const nothingAmbient: Check = tree => {
  const problems: Problem[] = []
  for (const path of filesOfARun(tree)) {
    const edge = edges[path]
    const used = [...ambientOf(tree, path)]
    if (edge === 'beyond') continue
    for (const { name, line } of used.filter(one => !edge?.includes(one.name)))
      problems.push({ path, line, text: `${name} is of the real world; code that the simulator runs asks its platform` })
    for (const name of edge ?? [])
      if (!used.some(one => one.name === name)) problems.push({ path, line: 0, text: `uses no ${name}: take it from the list of edges` })
  }
  return problems
}

/** The files that a run loads, up to those beyond which the simulator plays. */
function filesOfARun(tree: Tree): Set<string> {
  const found = new Set<string>()
  const waiting = tree.has(root) ? [root] : []
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (found.has(path) || !tree.has(path)) continue
    found.add(path)
    if (edges[path] === 'beyond') continue
    for (const { target, typeOnly } of tree.links(path)) if (target !== undefined && !typeOnly) waiting.push(target)
  }
  return found
}

function* ambientOf(tree: Tree, path: string): Generator<{ name: string; line: number }> {
  for (const link of tree.links(path)) {
    if (link.target === undefined && !link.typeOnly && !isHarmless(link)) yield { name: link.specifier, line: link.line }
  }
  const nodes: ts.Node[] = []
  walk(tree.source(path), node => void nodes.push(node))
  for (const node of nodes) {
    const name = ambientName(node)
    if (name) yield { name, line: lineOf(node) }
  }
}

function isHarmless({ specifier, names }: Link): boolean {
  const allowed = harmless[specifier]
  return allowed === true || (names?.every(({ imported }) => allowed?.includes(imported)) ?? false)
}

function ambientName(node: ts.Node): string | undefined {
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && !node.arguments?.length) return 'new Date()'
  if (ts.isCallExpression(node) && node.expression.getText() === 'Date') return 'Date()'
  if (ts.isPropertyAccessExpression(node)) {
    const text = node.getText()
    if (ambientMembers.has(text)) return text
    return /^toLocale/.test(node.name.text) ? node.name.text : undefined
  }
  if (!ts.isIdentifier(node) || !ambientNames.has(node.text)) return undefined
  return namesAMember(node) || isParameter(node) ? undefined : node.text
}

/** `a.process`, or a property or method of that name: it is somebody's own. */
function namesAMember(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node && parent.expression.getText() !== 'globalThis'
  return 'name' in parent && parent.name === node
}

/** What is called so is what the function was given. */
function isParameter(node: ts.Identifier): boolean {
  const owner = ts.findAncestor(node, one => ts.isFunctionLike(one) && one.parameters.some(({ name }) => name.getText() === node.text))
  return owner !== undefined
}
