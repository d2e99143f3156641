// Owns `npm test`: verify, then all tests, with the coverage that core's own tests must reach. Arguments pick test files.
// Must not retry or hide a test.
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './steps.ts'
import { verify } from './verify.ts'

/** Test files at the same time, of those that one runner has: most of them wait for child processes now and then. */
const concurrency = 2
/** A test that waits longer than this is ended and counted as failed. */
const testTimeoutMs = 180_000
/** What core's own tests must run of core. */
const coveragePercentMin = 95
/** Every test file, and every process that it starts, loads the same modules: what is compiled once serves all of them. */
const compileCache = join(root, 'node_modules/.cache/compiled')
/** Node's summary lines, in its own order. */
const summaryNames = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms']

interface Outcome {
  ok: boolean
  summary: Map<string, number>
}

/** The environment of the tests: nothing of the user's own cluster but where outside services for tests are, no colours. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^COX_(?!TEST_)/.test(name) && name !== 'NODE_TEST_CONTEXT')
  return { ...Object.fromEntries(kept), NO_COLOR: '1', NODE_NO_WARNINGS: '1' }
}

/** The same, for whatever is not under coverage. */
function cachedEnvironment(): NodeJS.ProcessEnv {
  return { ...environment(), NODE_COMPILE_CACHE: compileCache }
}

/** Runs test files with node's own runner, so many at a time; its output is passed on, the summary lines are collected. */
function runTests(files: readonly string[], atOnce: number, flags: readonly string[] = [], env = cachedEnvironment()): Promise<Outcome> {
  if (files.length === 0) return Promise.resolve({ ok: true, summary: new Map() })
  const args = [
    '--test',
    `--test-concurrency=${atOnce}`,
    `--test-timeout=${testTimeoutMs}`,
    `--test-reporter=${join(root, 'scripts/reporter.ts')}`,
    ...flags,
    ...files,
  ]
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const summary = new Map<string, number>()
  let rest = ''
  const take = (line: string): void => {
    const [, name, value] = /^ℹ (\w+) ([\d.]+)$/.exec(line) ?? []
    if (name && summaryNames.includes(name)) summary.set(name, Number(value))
    else process.stdout.write(`${line}\n`)
  }
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (piece: string) => {
    const lines = (rest + piece).split('\n')
    rest = lines.pop()!
    lines.forEach(take)
  })
  return new Promise(resolve => {
    child.on('close', code => {
      if (rest) take(rest)
      resolve({ ok: code === 0, summary })
    })
  })
}

/**
 * core's own tests are under coverage, which a compile cache would make less exact; they touch nothing but core, so one process serves all of them and loads it
 * once. Long campaigns are left out: coverage makes them three times as slow.
 */
function runCore(files: readonly string[]): Promise<Outcome> {
  const flags = [
    '--test-isolation=none',
    '--experimental-test-coverage',
    '--test-coverage-include=src/core/**',
    `--test-coverage-lines=${coveragePercentMin}`,
    `--test-coverage-branches=${coveragePercentMin}`,
  ]
  return runTests(files, 1, flags, environment())
}

/** All tests: core's own, those of faults, which mostly wait, those of the leader and the protocol, which need no process each, and the others, side by side. */
function runAll(files: readonly string[]): Promise<Outcome[]> {
  const by = Map.groupBy(files, file => /^test\/(core(?!\/campaign)|faults|leader|protocol)\//.exec(file)?.[1] ?? 'other')
  const of = (...names: string[]): string[] => names.flatMap(name => by.get(name) ?? [])
  return Promise.all([
    runCore(of('core')),
    runTests(of('leader', 'protocol'), 1, ['--test-isolation=none']),
    runTests(of('faults'), concurrency),
    runTests(of('other'), concurrency),
  ])
}

async function main(filters: readonly string[]): Promise<boolean> {
  const startedMs = performance.now()
  const files = globSync('test/**/*.test.ts', { cwd: root })
    .map(path => path.replaceAll('\\', '/'))
    .sort()
  const chosen = files.filter(file => filters.length === 0 || filters.some(filter => file.includes(filter)))
  if (chosen.length === 0) {
    process.stderr.write(`no test file matches ${filters.join(' ')}\n`)
    return false
  }
  const whole = filters.length === 0
  const tidy = whole ? await verify() : true
  const outcomes = whole ? await runAll(chosen) : [await runTests(chosen, concurrency)]
  process.stdout.write(
    `\n${tidy ? '' : '✖ verify failed: see above\n'}${chosen.length} test files, everything in ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`,
  )
  for (const name of summaryNames) {
    const values = outcomes.map(({ summary }) => summary.get(name) ?? 0)
    // They ran side by side.
    const total = name === 'duration_ms' ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0)
    process.stdout.write(`ℹ ${name} ${total}\n`)
  }
  return tidy && outcomes.every(outcome => outcome.ok)
}

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1
