// Owns the checks of what is written: left-over marks, sleeps and timing in tests, ways around the type checker, machine paths.
// Must not match itself: its own patterns are written so that they do not spell what they look for.
import ts from 'typescript'
import { type Check, lineOf, type Problem, type Tree, walk } from './tree.ts'

interface Pattern {
  pattern: RegExp
  text: string
}

function linesMatching(tree: Tree, paths: readonly string[], patterns: readonly Pattern[]): Problem[] {
  const problems: Problem[] = []
  for (const path of paths) {
    tree.lines(path).forEach((line, index) => {
      for (const { pattern, text } of patterns) if (pattern.test(line)) problems.push({ path, line: index + 1, text })
    })
  }
  return problems
}

const written = (tree: Tree): string[] =>
  tree.paths.filter(path => /\.(ts|mjs|md|json|py)$|^\.ci\//.test(path) && !path.endsWith('package-lock.json'))

/** Nothing is left for later. */
export const leftOverMarks: Check = tree =>
  linesMatching(tree, written(tree), [
    { pattern: /\b(T[O]DO|F[I]XME|X[X]X|H[A]CK|W[I]P)\b/, text: 'a left-over mark' },
    { pattern: /\b(not (yet )?impl[e]mented|lorem ips[u]m|placeh[o]lder)\b/i, text: 'something that was left for later' },
  ])

/** No path, host or habit of the machine on which this was written. */
export const machinePaths: Check = tree =>
  linesMatching(tree, written(tree), [
    { pattern: /(^|[\s"'`(=:])\/(w[o]rk|ro[o]t)(\/|\b)/, text: "a path of somebody's machine" },
    { pattern: /\/tmp\/n2[4]|\/home\/(?!user\b|you\b)[a-z]+|\.\.\/sh[a]red\b/, text: "a path of somebody's machine" },
    { pattern: /https?:\/\/(reg[i]stry|art[i]factory|mirr[o]r|n[e]xus)\b/, text: 'the address of a package registry' },
  ])

/** The one server that takes connections without a certificate, and refuses those with one that does not verify. */
const takesAnybody = 'src/platform/node/server.ts'
/** Looks at the certificates of a candidate that is known only by the hash of its authority, sends nothing, and then dials it as everybody does. */
const looksFirst = 'src/cli/authority/pin.ts'

/** Whoever is dialled must prove who it is. */
export const unverifiedPeers: Check = tree =>
  linesMatching(
    tree,
    tree.code('src').filter(path => path !== takesAnybody && path !== looksFirst),
    [{ pattern: /rejectUnauthorized['"]?\s*:(?!\s*true\b)|NODE_TLS_REJECT_UNAUTHORIZED/, text: 'a certificate that is not verified' }],
  )

/** The lock file names no addresses: everyone installs from the registry that is configured where they are. */
export const lockAddresses: Check = tree =>
  linesMatching(
    tree,
    tree.paths.filter(path => path.endsWith('package-lock.json')),
    [{ pattern: /"resolved": *"http/, text: 'a download address; install with omit-lockfile-registry-resolved' }],
  )

interface LockEntry {
  optionalDependencies?: Record<string, string>
}

/**
 * The lock file has an entry for every platform's package, also for those that the registry here did not have when it was written:
 * `npm ci` refuses a lock file without them. Such an entry is added by hand, like its neighbours.
 */
export const lockComplete: Check = tree => {
  const problems: Problem[] = []
  for (const path of tree.paths.filter(one => one.endsWith('package-lock.json'))) {
    const { packages = {} } = JSON.parse(tree.text(path)) as { packages?: Record<string, LockEntry> }
    const known = Object.keys(packages)
    const wanted = new Set(Object.values(packages).flatMap(entry => Object.keys(entry.optionalDependencies ?? {})))
    for (const name of wanted) {
      if (!known.some(key => key.endsWith(`node_modules/${name}`)))
        problems.push({ path, line: 0, text: `has no entry for ${name}: npm ci would refuse it` })
    }
  }
  return problems
}

/** Every test runs, always. A test that cannot run somewhere calls `t.skip('why')` there. */
export const skippedTests: Check = tree =>
  linesMatching(tree, tree.code('test'), [
    { pattern: /\b(test|it|describe|suite)\.(only|skip|todo)\(/, text: 'a test that is switched off, or that switches the others off' },
    { pattern: /\b(only|skip|todo): true\b/, text: 'a test that is switched off, or that switches the others off' },
    { pattern: /\bt\.(skip|todo)\(\)/, text: 'a skip without a reason' },
  ])

/** The type checker is not talked out of anything without a reason. */
export const typeEscapes: Check = tree => [
  ...linesMatching(tree, tree.code(), [{ pattern: /@ts-(ign[o]re|noch[e]ck)/, text: 'a way around the type checker' }]),
  ...linesMatching(
    tree,
    tree.code().filter(path => !path.startsWith('test/')),
    [{ pattern: /@ts-exp[e]ct-error/, text: 'a way around the type checker' }],
  ),
  ...linesMatching(tree, tree.code(), [
    { pattern: /biome-ign[o]re(?!.*: \S+ \S+ \S+)/, text: 'a lint rule switched off without a reason' },
  ]),
  ...doubleCasts(tree),
]

function doubleCasts(tree: Tree): Problem[] {
  const problems: Problem[] = []
  for (const path of tree.code('src')) {
    walk(tree.source(path), node => {
      if (!ts.isAsExpression(node) || !ts.isAsExpression(node.expression) || node.expression.type.kind !== ts.SyntaxKind.UnknownKeyword)
        return
      const line = lineOf(node)
      const lines = tree.lines(path)
      if (/\/\/|\*/.test(`${lines[line - 2] ?? ''}${lines[line - 1] ?? ''}`)) return
      problems.push({ path, line, text: 'a double cast without a comment that says why it holds' })
    })
  }
  return problems
}

/** Functions of these names wait for a condition; they may pause between looks at it. */
const waiters = /^(until|wait|poll|eventually)/i

/** Tests wait for events and conditions, never for time to pass, and never assert how long something took. */
export const sleepsInTests: Check = tree => {
  const problems: Problem[] = []
  for (const path of tree.code('test').filter(one => !one.includes('/fixtures/'))) {
    walk(tree.source(path), node => {
      if (isSleep(node) && !insideWaiter(node))
        problems.push({ path, line: lineOf(node), text: 'a sleep; wait for a condition or an event' })
    })
    problems.push(
      ...linesMatching(
        tree,
        [path],
        [
          {
            pattern: /\b(ass[e]rt(\.\w+)?|exp[e]ct)\(.*\b(performance\.now|Date\.now|hrtime|elapsedMs|tookMs|durationMs)\b.*[<>]/,
            text: 'an assertion on how long something took',
          },
        ],
      ),
    )
  }
  return problems
}

function isSleep(node: ts.Node): boolean {
  if (ts.isImportDeclaration(node))
    return (
      ts.isStringLiteral(node.moduleSpecifier) &&
      node.moduleSpecifier.text === 'node:timers/promises' &&
      /\bsetTimeout\b/.test(node.getText()) &&
      !waitersOnly(node)
    )
  if (!ts.isCallExpression(node)) return false
  const callee = node.expression.getText()
  if (callee === 'Atomics.wait' || callee === 'sleep' || callee === 'delay') return true
  // new Promise(resolve => setTimeout(resolve, 100)), where the executor does nothing else
  if (callee !== 'setTimeout' && callee !== 'globalThis.setTimeout') return false
  const executor = ts.findAncestor(node, ts.isArrowFunction)
  const resolver = executor?.parameters[0]?.name.getText()
  const promised = executor && ts.isNewExpression(executor.parent) && executor.parent.expression.getText() === 'Promise'
  if (!promised || !resolver) return false
  const callback = node.arguments[0]?.getText() ?? ''
  return callback === resolver || callback === `() => ${resolver}()`
}

/** The file imports the pausing timer only for a waiter of its own. */
function waitersOnly(node: ts.ImportDeclaration): boolean {
  let outside = false
  const names = node.importClause?.namedBindings
  const local =
    names && ts.isNamedImports(names)
      ? (names.elements.find(one => (one.propertyName ?? one.name).text === 'setTimeout')?.name.text ?? '')
      : ''
  walk(node.getSourceFile(), other => {
    if (ts.isCallExpression(other) && other.expression.getText() === local && !insideWaiter(other)) outside = true
  })
  return !outside
}

/** Looks again and again at a condition, or is what a task of the test does. */
function insideWaiter(node: ts.Node): boolean {
  const around = ts.findAncestor(node, one => {
    if (ts.isWhileStatement(one) || ts.isDoStatement(one)) return true
    if (ts.isForStatement(one)) return one.incrementor === undefined
    if (ts.isCallExpression(one)) return one.expression.getText() === 'task'
    if (ts.isFunctionDeclaration(one) || ts.isMethodDeclaration(one)) return waiters.test(one.name?.getText() ?? '')
    return ts.isVariableDeclaration(one) && waiters.test(one.name.getText())
  })
  return around !== undefined
}
