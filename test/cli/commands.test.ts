// Owns the tests of the command line itself: verbs against docs/cli.md, help, suggestions, exit codes, errors in words and JSON.
// Must not need a cluster.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { durationArgument, memoryArgument, millisArgument, namedAmountsArgument } from '../../src/cli/arguments.ts'
import { exitCodeOf } from '../../src/cli/exit.ts'
import { editDistance, nearest } from '../../src/cli/nearest.ts'
import { commandTree, verbNames } from '../../src/cli/program.ts'
import { CoxswainError, type ErrorCode, errorAdvice } from '../../src/protocol/index.ts'
import { cox } from './cox.ts'

const home = mkdtempSync(join(tmpdir(), 'cox-test-commands-'))
after(() => rmSync(home, { recursive: true, force: true }))
const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8')

test('docs/cli.md has one section per verb, in the order of the help', () => {
  const sections = [...page.matchAll(/^## cox (\S+)$/gm)].map(([, verb]) => verb)
  assert.deepEqual(sections, verbNames)
})

test('docs/cli.md lists the exit code of every error code', () => {
  const listed = new Map<string, number>()
  for (const [, exit, , codes] of page.matchAll(/^\| (\d+) \|([^|]*)\|([^|]*)\|$/gm)) {
    for (const [code] of codes!.matchAll(/[A-Z_]{4,}/g)) listed.set(code, Number(exit))
  }
  for (const code of Object.keys(errorAdvice) as ErrorCode[]) assert.equal(listed.get(code), exitCodeOf(new CoxswainError(code, '')), code)
  assert.equal(exitCodeOf(new Error('bug')), 5)
})

test('every verb has a summary, a description, --json, and examples that name it', async () => {
  const program = await commandTree(undefined)
  const commands = program.commands.flatMap(command => (command.commands.length > 0 ? command.commands : [command]))
  for (const command of commands) {
    const name = command.parent === program ? command.name() : `${command.parent?.name()} ${command.name()}`
    assert.ok(command.summary() || command.parent !== program, name)
    assert.ok(command.description().length > 20, name)
    assert.ok(
      command.options.some(option => option.long === '--json'),
      name,
    )
    let help = ''
    command.configureOutput({
      writeOut: text => {
        help += text
      },
    })
    command.outputHelp()
    assert.match(help, new RegExp(`Examples:\\n[^]*cox ${name}`), name)
  }
})

test('help goes to stdout with exit code 0, no verb is usage', async () => {
  const help = await cox(['--help'], { home })
  assert.equal(help.code, 0)
  for (const verb of verbNames) assert.match(help.stdout, new RegExp(`^  ${verb}\\b`, 'm'))
  assert.equal((await cox(['run', '--help'], { home })).code, 0)
  const none = await cox([], { home })
  assert.deepEqual([none.code, none.stdout], [2, ''])
  assert.match(none.stderr, /Usage: cox/)
})

test('unknown verbs and options suggest the nearest, as usage', async () => {
  const verb = await cox(['statsu'], { home })
  assert.equal(verb.code, 2)
  assert.match(verb.stderr, /^cox: USAGE: unknown command 'statsu'\n\(Did you mean status\?\)\n/)
  const option = await cox(['jobs', '--limt', '3'], { home })
  assert.equal(option.code, 2)
  assert.match(option.stderr, /Did you mean --limit\?/)
  const value = await cox(['jobs', '--limit', '-3', '--json'], { home })
  assert.equal(value.code, 2)
  assert.equal(value.stderr, '')
  const { error } = JSON.parse(value.stdout) as { error: { code: string; message: string; advice: string } }
  assert.deepEqual([error.code, error.advice], ['USAGE', 'See `cox --help`.'])
  assert.match(error.message, /whole number from 1 to 1000/)
})

test('a verb that needs a cluster says that there is none', async () => {
  const none = await cox(['status'], { home })
  assert.deepEqual([none.code, none.stdout], [3, ''])
  assert.match(none.stderr, /^cox: NO_CLUSTER: No cluster is up in .*\n.*cox up/)
  const json = await cox(['jobs', '--json'], { home })
  assert.equal(json.code, 3)
  assert.equal((JSON.parse(json.stdout) as { error: { code: string; id: string } }).error.id, home)
})

test('down where nothing is up is ok', async () => {
  const down = await cox(['down', '--json'], { home })
  assert.deepEqual([down.code, JSON.parse(down.stdout)], [0, { stopped: false, home }])
})

test('candidates and priorities that cannot be are refused clearly', async () => {
  const cases: [string[], RegExp][] = [
    [['--candidates', '0'], /at least one candidate and one worker/],
    [['--workers', '0'], /at least one candidate and one worker/],
    [['--candidates', '10'], /whole number from 0 to 9/],
    [['--priorities', '0,100'], /whole number from 1 to 1000/],
    [['--priorities', '100,1001'], /whole number from 1 to 1000/],
    [['--priorities', 'high,low'], /whole number from 1 to 1000/],
    [['--priorities', '300'], /names 1 priorities for 2 candidates/],
    [['--candidates', '2', '--priorities', '3,2,1', '--detach'], /names 3 priorities for 2 candidates/],
  ]
  for (const [args, message] of cases) {
    const up = await cox(['up', ...args], { home })
    assert.deepEqual([up.code, up.stdout], [2, ''], args.join(' '))
    assert.match(up.stderr, message)
  }
})

test('version prints the release of package.json', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  assert.equal((JSON.parse((await cox(['version', '--json'], { home })).stdout) as { release: string }).release, version)
  assert.equal((await cox(['--version'], { home })).stdout, `${version}\n`)
})

test('doctor checks this machine', async () => {
  const { code, stdout } = await cox(['doctor', '--json'], { home })
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: { name: string; state: string }[] }
  assert.equal(code, ok ? 0 : 1)
  assert.deepEqual(
    checks.map(check => check.name),
    ['release', 'node', 'memory', 'open files', 'clock', 'state folder', 'file system', 'disk space', 'fsync', 'loopback', 'cluster'],
  )
  for (const check of checks) assert.match(check.state, /^(ok|warn|fail)$/)
})

test('doctor fails with exit code 1 where the state folder is none', async () => {
  const file = join(home, 'file')
  writeFileSync(file, '')
  const { code, stdout } = await cox(['doctor'], { home: file })
  assert.equal(code, 1)
  assert.match(stdout, /^fail {2}state folder .*is not a folder/m)
})

test('colours only where they are wanted', async () => {
  const plain = await cox(['doctor'], { home })
  assert.equal(plain.stdout.includes('\x1b'), false)
  const forced = await cox(['doctor'], { home, env: { FORCE_COLOR: '1' } })
  assert.equal(forced.stdout.includes('\x1b[32m'), true)
})

test('a reader that goes away is no error', async () => {
  const { code, stderr } = await cox(['--help'], { home, closeStdout: true })
  assert.deepEqual([code, stderr], [0, ''])
})

test('amounts are read as people write them, and nonsense is refused', () => {
  assert.deepEqual(['1024', '1kb', '1.5MB', '2GiB', '3g'].map(memoryArgument), [1024, 1024, 1.5 * 2 ** 20, 2 * 2 ** 30, 3 * 2 ** 30])
  assert.deepEqual(['1500', '500ms', '30s', '5m', '1h'].map(durationArgument), [1500, 500, 30_000, 300_000, 3_600_000])
  assert.deepEqual(namedAmountsArgument('a=1,b=0.5', [{ name: 'c', millis: 1 }]), [
    { name: 'c', millis: 1 },
    { name: 'a', millis: 1000 },
    { name: 'b', millis: 500 },
  ])
  for (const bad of ['', '-1gb', '1xb', 'NaN', 'Infinity', '1e3']) assert.throws(() => memoryArgument(bad), bad)
  for (const bad of ['', '-1', 'NaN', 'Infinity', '1e400']) assert.throws(() => millisArgument(bad), bad)
  for (const bad of ['', '5 parsecs', '-3s']) assert.throws(() => durationArgument(bad), bad)
  for (const bad of ['a', '=1', 'a=-1', 'a b=1']) assert.throws(() => namedAmountsArgument(bad), bad)
})

test('the nearest name is near', () => {
  assert.equal(editDistance('resize', 'reszie'), 1)
  assert.equal(nearest('resizze', ['crop', 'resize']), 'resize')
  assert.equal(nearest('xyzzy', ['crop', 'resize']), undefined)
})
