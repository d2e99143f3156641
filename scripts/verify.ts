// Owns `npm run verify`: types, lint and format, and the tidy checks. Part of `npm test`.
// Must not change a file.
import { join } from 'node:path'
import { root, runStep, type StepResult, stepLine } from './steps.ts'
import { checks } from './tidy/checks.ts'
import { type Problem, Tree } from './tidy/tree.ts'

/** What the last run found out about types: the next one looks only at what has changed. */
const typesKnown = 'node_modules/.cache/types.tsbuildinfo'

function describeProblem(check: string, problem: Problem): string {
  return `${problem.path}${problem.line > 0 ? `:${problem.line}` : ''}: ${problem.text} [${check}]`
}

/** The project's own checks, on all its files. */
function tidy(): StepResult {
  const startedMs = performance.now()
  const tree = Tree.fromDisk(root)
  const problems = Object.entries(checks).flatMap(([name, check]) => check(tree).map(problem => describeProblem(name, problem)))
  return {
    name: `tidy: ${Object.keys(checks).length} checks`,
    ok: problems.length === 0,
    output: `${problems.join('\n')}\n`,
    tookMs: performance.now() - startedMs,
  }
}

/** Runs every check; true if all is well. What failed is printed in full. */
export async function verify(): Promise<boolean> {
  const bin = (name: string): string => join(root, 'node_modules', name)
  const slow = [
    runStep('types: tsc', process.execPath, [
      bin('typescript/bin/tsc'),
      '--noEmit',
      ...['--incremental', '--tsBuildInfoFile', join(root, typesKnown)],
      ...['--pretty', 'false'],
    ]),
    runStep('lint and format: biome', process.execPath, [
      bin('@biomejs/biome/bin/biome'),
      'check',
      '--colors=off',
      '--max-diagnostics=200',
      '.',
    ]),
  ]
  const results = [tidy(), ...(await Promise.all(slow))]
  for (const result of results) {
    process.stdout.write(stepLine(result))
    if (!result.ok) process.stdout.write(`${result.output.trimEnd()}\n\n`)
  }
  return results.every(result => result.ok)
}

if (import.meta.main) process.exitCode = (await verify()) ? 0 : 1
