// Owns `npm test`: verify, then all tests, with the coverage that core's own tests must reach. Arguments pick test files.
// Must not retry or hide a test.
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './steps.ts'
import { verify } from './verify.ts'

/** Test files at the same time. Most of them wait for child processes now and then. */
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

/** The environment of the tests: nothing of the user's own cluster, no colours. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('COX_') && name !== 'NODE_TEST_CONTEXT')
  return { ...Object.fromEntries(kept), NO_COLOR: '1', NODE_NO_WARNINGS: '1' }
}

/** Runs test files with node's own runner; its output is passed on, the summary lines are collected. */
function runTests(files: readonly string[], flags: readonly string[], env = environment()): Promise<Outcome> {
  if (files.length === 0) return Promise.resolve({ ok: true, summary: new Map() })
  const args = [
    '--test',
    `--test-concurrency=${concurrency}`,
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

/** core's tests alone, under coverage, which a compile cache would make less exact. */
function runCore(files: readonly string[]): Promise<Outcome> {
  return runTests(files, [
    '--experimental-test-coverage',
    '--test-coverage-include=src/core/**',
    `--test-coverage-lines=${coveragePercentMin}`,
    `--test-coverage-branches=${coveragePercentMin}`,
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
  const isCore = (file: string): boolean => whole && file.startsWith('test/core/')
  const outcomes = [
    await runCore(chosen.filter(isCore)),
    await runTests(
      chosen.filter(file => !isCore(file)),
      [],
      { ...environment(), NODE_COMPILE_CACHE: compileCache },
    ),
  ]
  process.stdout.write(
    `\n${tidy ? '' : '✖ verify failed: see above\n'}${chosen.length} test files, everything in ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`,
  )
  for (const name of summaryNames)
    process.stdout.write(`ℹ ${name} ${outcomes.reduce((sum, outcome) => sum + (outcome.summary.get(name) ?? 0), 0)}\n`)
  return tidy && outcomes.every(outcome => outcome.ok)
}

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1
