// Owns the tests of the state folder: whose it is, its secrets, who holds it, and when a dead node process is started again.
// Must not start a cluster.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readEndpoint, removeEndpoint, writeEndpoint } from '../../src/cli/state/endpoint.ts'
import { Home, homePath, prepareHome } from '../../src/cli/state/home.ts'
import { identify, lives, processStart, signalProcess } from '../../src/cli/state/processes.ts'
import { ensureTokens, readToken, tokenCheck } from '../../src/cli/state/tokens.ts'
import { liveSupervisor, readUpFile, UpHold } from '../../src/cli/state/up-file.ts'
import { LogFile } from '../../src/cli/supervisor/log-file.ts'
import { RestartPolicy } from '../../src/cli/supervisor/restart-policy.ts'
import { CoxswainError } from '../../src/protocol/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'cox-test-state-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let serial = 0
function freshHome(): Home {
  return new Home(join(folder, `home ${serial++} 数据`))
}

function refused(code: string, text: RegExp): (error: unknown) => boolean {
  return error => error instanceof CoxswainError && error.code === code && text.test(error.message)
}

/** A process that lives until it is killed. */
async function sleeper(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume(); console.log(1)'], { stdio: ['pipe', 'pipe', 'ignore'] })
  await once(child.stdout!, 'data')
  return child
}

test('the state folder is COX_HOME, else below the XDG state folder', () => {
  assert.equal(homePath({ COX_HOME: '/x/y' }), '/x/y')
  assert.equal(homePath({ XDG_STATE_HOME: '/state' }), '/state/coxswain')
  assert.match(homePath({}), /\/\.local\/state\/coxswain$/)
})

test('a state folder is made for its user only, and an open one is closed', () => {
  const home = freshHome()
  prepareHome(home)
  for (const path of [home.path, home.tokens, home.journal, home.logs]) assert.equal(statSync(path).mode & 0o777, 0o700)
  chmodSync(home.path, 0o755)
  prepareHome(home)
  assert.equal(statSync(home.path).mode & 0o777, 0o700)
})

test('what cannot be a state folder is refused with what and why', () => {
  const file = join(folder, 'a file')
  writeFileSync(file, '')
  assert.throws(() => prepareHome(new Home(file)), refused('STATE_FOLDER_UNUSABLE', /a file cannot be used: it is not a folder/))
  assert.throws(() => prepareHome(new Home(join(file, 'below'))), refused('STATE_FOLDER_UNUSABLE', /part of its path is not a folder/))
})

test('a state folder of another user is refused', {
  skip: process.geteuid?.() === 0 ? false : 'only root can give a folder away',
}, async () => {
  const { chownSync } = await import('node:fs')
  const home = freshHome()
  mkdirSync(home.path)
  chownSync(home.path, 12_345, 12_345)
  assert.throws(() => prepareHome(home), refused('STATE_FOLDER_UNUSABLE', /belongs to user 12345/))
})

test('secrets are files for their user only, stay the same, and differ', () => {
  const home = freshHome()
  prepareHome(home)
  ensureTokens(home)
  const user = readToken(home, 'user')
  const node = readToken(home, 'node')
  assert.match(user, /^[\w-]{43}$/)
  assert.notEqual(user, node)
  for (const name of readdirSync(home.tokens)) assert.equal(statSync(join(home.tokens, name)).mode & 0o777, 0o600)
  ensureTokens(home)
  assert.equal(readToken(home, 'user'), user)
  const whose = tokenCheck(home)
  assert.deepEqual([user, node, '', `${user}x`, user.slice(1), 'é'.repeat(43)].map(whose), [
    'user',
    'node',
    undefined,
    undefined,
    undefined,
    undefined,
  ])
  for (const name of ['user.sha256', 'node.sha256']) assert.equal(readFileSync(join(home.tokens, name), 'utf8').includes(user), false)
})

test('a secret that was not written whole is made anew', () => {
  const home = freshHome()
  prepareHome(home)
  writeFileSync(join(home.tokens, 'user'), 'half')
  ensureTokens(home)
  assert.match(readToken(home, 'user'), /^[\w-]{43}$/)
  assert.equal(tokenCheck(home)(readToken(home, 'user')), 'user')
})

test('the endpoint is read as written, and nonsense is none', () => {
  const home = freshHome()
  prepareHome(home)
  assert.equal(readEndpoint(home), undefined)
  const endpoint = { address: 'ws://127.0.0.1:1', cluster: 'c', pid: 7, epoch: 3, startedAtMs: 5 }
  writeEndpoint(home, endpoint)
  assert.deepEqual(readEndpoint(home), endpoint)
  assert.equal(statSync(home.endpoint).mode & 0o777, 0o600)
  writeFileSync(home.endpoint, '{"address":')
  assert.equal(readEndpoint(home), undefined)
  removeEndpoint(home)
  removeEndpoint(home)
})

test('a process is the same one only with the same start time', async () => {
  const child = await sleeper()
  const identity = identify(child.pid!)
  assert.equal(lives(identity), true)
  assert.equal(lives({ ...identity, startedAt: '1' }), false)
  assert.equal(signalProcess({ ...identity, startedAt: '1' }, 'SIGKILL'), false)
  assert.equal(signalProcess(identity, 'SIGKILL'), true)
  await once(child, 'exit')
  assert.equal(lives(identity), false)
  assert.equal(processStart(child.pid!), undefined)
})

test('one supervisor holds a folder; a dead one is succeeded', async () => {
  const home = freshHome()
  prepareHome(home)
  const hold = UpHold.take(home, { workers: 2 })
  hold.record([{ name: 'worker-1', pid: 1, startedAt: '2' }], [])
  assert.deepEqual(readUpFile(home)?.nodes, [{ name: 'worker-1', pid: 1, startedAt: '2' }])
  assert.throws(() => UpHold.take(home, {}), refused('STATE_FOLDER_IN_USE', new RegExp(`pid ${process.pid}`)))
  hold.release()
  assert.equal(existsSync(home.up), false)
  const child = await sleeper()
  writeFileSync(home.up, JSON.stringify({ supervisor: identify(child.pid!), startedAtMs: 0, options: {}, nodes: [] }))
  assert.throws(() => UpHold.take(home, {}), refused('STATE_FOLDER_IN_USE', new RegExp(`pid ${child.pid}`)))
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal(liveSupervisor(home), undefined)
  UpHold.take(home, {}).release()
  writeFileSync(home.up, 'not json')
  UpHold.take(home, {}).release()
  assert.deepEqual(readdirSync(home.path).sort(), ['journal', 'logs', 'tokens'])
})

test('of many that take a folder at once, one gets it', async () => {
  const home = freshHome()
  prepareHome(home)
  const child = await sleeper()
  writeFileSync(home.up, JSON.stringify({ supervisor: identify(child.pid!), startedAtMs: 0, options: {}, nodes: [] }))
  child.kill('SIGKILL')
  await once(child, 'exit')
  const source = `
    import { Home } from ${JSON.stringify(new URL('../../src/cli/state/home.ts', import.meta.url).href)}
    import { UpHold } from ${JSON.stringify(new URL('../../src/cli/state/up-file.ts', import.meta.url).href)}
    try { UpHold.take(new Home(process.argv[1]), {}); console.log('held') } catch (error) { console.log(error.code) }
    process.stdin.resume()`
  const takers = Array.from({ length: 4 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', source, home.path], { stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  const said = await Promise.all(takers.map(async taker => String((await once(taker.stdout!, 'data'))[0]).trim()))
  for (const taker of takers) taker.kill('SIGKILL')
  assert.deepEqual(said.sort(), ['STATE_FOLDER_IN_USE', 'STATE_FOLDER_IN_USE', 'STATE_FOLDER_IN_USE', 'held'])
})

test('a node that dies starts again, each time later, and at once after it was healthy', () => {
  const policy = new RestartPolicy()
  assert.deepEqual(policy.died(0, undefined), { restartInMs: 100 })
  assert.deepEqual(policy.died(500, 450), { restartInMs: 200 })
  assert.deepEqual(policy.died(20_000, 1_000), { restartInMs: 400 })
  assert.deepEqual(policy.died(60_000, 25_000), { restartInMs: 100 })
})

test('a node that dies five times within a minute is left down, also where it was ready in between', () => {
  const policy = new RestartPolicy()
  for (const [at, restartInMs] of [100, 200, 400, 800].entries()) assert.deepEqual(policy.died(at * 1000, undefined), { restartInMs })
  assert.deepEqual(policy.died(5_000, 4_900), { leaveDown: true, deaths: 5, withinMs: 60_000 })
  const ready = new RestartPolicy()
  for (let at = 0; at < 4; at++) assert.ok('restartInMs' in ready.died(at * 10_000 + 9_000, at * 10_000))
  assert.ok('leaveDown' in ready.died(49_000, 40_000))
  // Four in any minute are not five.
  const seldom = new RestartPolicy()
  for (let at = 0; at < 50; at++) assert.ok('restartInMs' in seldom.died(at * 15_000 + 14_000, at * 15_000))
})

test('a node that is killed again and again while it works well is never left down', () => {
  const policy = new RestartPolicy()
  for (let at = 0; at < 50; at++) assert.ok('restartInMs' in policy.died(at * 5_000 + 4_000, at * 5_000, 'killed'))
})

test('a node that is killed as soon as it is ready, again and again, is never left down, and comes back at once after it settled', () => {
  const policy = new RestartPolicy()
  for (let at = 0; at < 20; at++) assert.ok('restartInMs' in policy.died(at * 1000 + 900, at * 1000, 'killed'))
  assert.deepEqual(policy.died(32_000, 29_000, 'killed'), { restartInMs: 100 })
  // Killed before it was ever ready counts like any other death.
  const early = new RestartPolicy()
  for (let at = 0; at < 4; at++) early.died(at * 100, undefined, 'killed')
  assert.ok('leaveDown' in early.died(500, undefined, 'killed'))
})

test('what died of a full disk is started again for as long as it takes', () => {
  const policy = new RestartPolicy()
  for (let at = 0; at < 50; at++) assert.ok('restartInMs' in policy.died(at * 100, undefined, 'outside'))
  assert.deepEqual(policy.died(5_000, undefined), { restartInMs: 5_000 })
})

test('a leader that is deposed again and again is not left down, unless it is so at once each time', () => {
  const policy = new RestartPolicy()
  for (let at = 0; at < 20; at++) assert.ok('restartInMs' in policy.died(at * 5_000 + 4_000, at * 5_000, 'deposed'))
  const climbing = new RestartPolicy()
  for (let at = 0; at < 4; at++) climbing.died(at * 1000 + 900, at * 1000, 'deposed')
  assert.ok('leaveDown' in climbing.died(5_900, 5_000, 'deposed'))
})

test('the pause before a restart has a limit', () => {
  const policy = new RestartPolicy()
  let last = {}
  for (let at = 0; at < 10; at++) last = policy.died(at * 20_000 + 2_500, at * 20_000)
  assert.deepEqual(last, { restartInMs: 5_000 })
})

test('a log file is bounded and keeps the one before', () => {
  const path = join(folder, 'node.log')
  const log = new LogFile(path, 100)
  for (let at = 0; at < 25; at++) log.line(`line ${at} ${'x'.repeat(10)}`)
  log.close()
  assert.ok(statSync(path).size <= 100)
  assert.ok(statSync(`${path}.1`).size <= 100)
  assert.match(readFileSync(path, 'utf8'), /line 24/)
})

test('a log that cannot be written is no failure', () => {
  const log = new LogFile(join(folder, 'missing', 'node.log'))
  log.line('lost')
  log.close()
})
