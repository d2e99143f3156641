// Owns the checks of how a file is built: its opening lines, its size, the size of its functions, its kind.
// Must not raise a limit: what is over one gets split; excused.json may only shrink.
import ts from 'typescript'
import { type Check, lineOf, type Problem, walk } from './tree.ts'

const fileLinesMax = 300
const fileLinesHardMax = 400
const testLinesMax = 600
const functionLinesMax = 70
/** Where files that were over `fileLinesMax` when the rule came are listed with their lines. */
const excusedPath = 'scripts/tidy/excused.json'

/** A file opens with two comment lines: what it owns, and what it must not do. A face and a test need one. */
export const headers: Check = tree => {
  const problems: Problem[] = []
  for (const path of tree.code().filter(one => !one.includes('/fixtures/'))) {
    const lines = tree.lines(path)
    const start = lines[0]?.startsWith('#!') ? 1 : 0
    let count = 0
    while (/^\/\/ \S/.test(lines[start + count] ?? '')) count++
    const text = lines.slice(start, start + count).join(' ')
    const light = path.endsWith('/index.ts') || path.startsWith('test/') || path.startsWith('examples/')
    if (count === 0 || (!light && count < 2 && !/\bmust\b/i.test(text)))
      problems.push({ path, line: 1, text: 'does not open with two comment lines: what it owns, what it must not do' })
    else if (!light && !/\b(must|never|not|no)\b/i.test(text))
      problems.push({ path, line: 1, text: 'its opening lines do not say what it must not do' })
  }
  return problems
}

/** Files stay below the limit; those in the list of excuses may not grow, and leave it when they fit. */
export const fileSizes: Check = tree => {
  const excused = JSON.parse(tree.text(excusedPath) || '{}') as Record<string, number>
  const problems: Problem[] = []
  for (const path of tree.code()) {
    const lines = tree.lines(path).length
    const limit = path.startsWith('test/') ? testLinesMax : fileLinesMax
    const excuse = excused[path]
    if (lines > limit && lines > (excuse ?? 0))
      problems.push({ path, line: 0, text: `has ${lines} lines; ${excuse ?? limit} are the limit` })
    else if (lines > fileLinesHardMax && limit === fileLinesMax)
      problems.push({ path, line: 0, text: `has ${lines} lines; nothing excuses more than ${fileLinesHardMax}` })
    if (excuse !== undefined && excuse > Math.max(lines, limit)) {
      problems.push({
        path: excusedPath,
        line: 0,
        text: `excuses ${path} up to ${excuse} lines; it has ${lines}: ${lines > limit ? 'lower the number' : 'drop the excuse'}`,
      })
    }
  }
  for (const path of Object.keys(excused))
    if (!tree.has(path)) problems.push({ path: excusedPath, line: 0, text: `excuses ${path}, which is not there` })
  return problems
}

/** Functions stay below the limit. The callback of a `describe` or a suite is a heading, not a function. */
export const functionSizes: Check = tree => {
  const problems: Problem[] = []
  for (const path of tree.code()) {
    walk(tree.source(path), node => {
      if (!ts.isFunctionLike(node) || !('body' in node) || !node.body) return
      const { parent } = node
      if (ts.isCallExpression(parent) && /^(describe|suite)$/.test(parent.expression.getText().split('.')[0]!)) return
      const source = node.getSourceFile()
      const last = source.getLineAndCharacterOfPosition(node.getEnd()).line + 1
      const lines = last - lineOf(node) + 1
      if (lines > functionLinesMax)
        problems.push({ path, line: lineOf(node), text: `a function of ${lines} lines; ${functionLinesMax} are the limit` })
    })
  }
  return problems
}

const knownKinds =
  /\.(ts|json|md|py|svg|txt|html|css)$|^(LICENSE|\.gitignore|\.npmrc|scripts\/node24\.mjs|\.ci\/run|\.editorconfig)$|^docs\/.*\.png$|^deploy\/.*(\.(yaml|service|conf|mjs)|Containerfile(\.dockerignore)?)$|\/fixtures\//

/** No logs, archives, dumps, editor leftovers or compiled files among the sources. */
export const strayFiles: Check = tree =>
  tree.paths
    .filter(path => !knownKinds.test(path) && !/\.(tgz|log)$/.test(path))
    .map(path => ({ path, line: 0, text: 'is of a kind that has no place here' }))
