// Owns the tests of users at a real cluster: `cox user`, `login`, `whoami`, `audit`, with real processes, files and sockets.
// Must not leave a process behind.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { AuditCheck, AuditEntry, StatusView, UserView, WhoView } from '../../src/protocol/index.ts'
import { type CoxResult, cox, processesOf, temporaryHome } from './cox.ts'

const tasks = fileURLToPath(new URL('./fixtures/tasks.ts', import.meta.url))
const { folder, home, cleanUp } = temporaryHome('access')
/** Another machine's state folder, as far as `cox` can tell. */
const elsewhere = join(folder, 'elsewhere')
let url = ''

function admin(...args: string[]): Promise<CoxResult> {
  return cox(args, { home })
}

function user(args: readonly string[], stdin = ''): Promise<CoxResult> {
  return cox(args, { home: elsewhere, stdin })
}

async function json<T>(result: Promise<CoxResult>): Promise<T> {
  const { code, stdout, stderr } = await result
  assert.equal(code, 0, stdout + stderr)
  return JSON.parse(stdout) as T
}

function errorCode({ stdout }: CoxResult): string {
  return (JSON.parse(stdout) as { error: { code: string } }).error.code
}

describe('users of a cluster', () => {
  before(async () => {
    mkdirSync(elsewhere, { mode: 0o700 })
    const up = await admin('up', '--detach', '--workers', '1', '--candidates', '1', '--json')
    assert.equal(up.code, 0, JSON.stringify(up))
    url = (await json<StatusView>(admin('status', '--json'))).leader.address
  })
  after(async () => {
    assert.equal((await admin('down')).code, 0)
    assert.deepEqual(processesOf(home), [])
    cleanUp()
  })

  test('log in with a token that is told once, do what they may, and are out when it is revoked', async () => {
    const added = await admin('user', 'add', 'alice', '--role', 'submitter', '--expires', '2d')
    assert.equal(added.code, 0, added.stderr)
    const token = added.stdout.trim()
    const [, id = ''] = /^cox_([a-z0-9]+)_[\w-]{43}$/.exec(token) ?? []
    assert.match(added.stderr, new RegExp(`^Token ${id} of alice, good until .* UTC`))
    const file = join(folder, 'token.txt')
    writeFileSync(file, `${token}\n`, { mode: 0o600 })

    const refused = await user(['login', url, '--json'], `${token.slice(0, -1)}_`)
    assert.deepEqual([refused.code, errorCode(refused)], [4, 'UNAUTHENTICATED'])
    assert.equal(existsSync(join(elsewhere, 'login.json')), false, 'what is refused is not kept')
    assert.match((await user(['login', url, '--token-file', file])).stdout, /^Logged in at ws:.* as alice, submitter\.\n$/)
    for (const kept of ['login.json', 'tokens/login']) assert.equal(statSync(join(elsewhere, kept)).mode & 0o777, 0o600, kept)
    assert.doesNotMatch(readFileSync(join(elsewhere, 'login.json'), 'utf8'), new RegExp(token))

    const who = await json<WhoView>(user(['whoami', '--json']))
    assert.deepEqual([who.name, who.roles, who.credential], ['alice', ['submitter'], id])
    const run = await user(['run', `${tasks}#greet`, '--input', '"x"', '--quiet', '--json'])
    assert.equal(run.code, 0, run.stdout + run.stderr)
    for (const denied of [['user', 'list'], ['drain', 'worker-1'], ['audit']]) {
      const result = await user([...denied, '--json'])
      assert.deepEqual([result.code, errorCode(result)], [4, 'FORBIDDEN'], denied.join(' '))
    }
    const users = await json<UserView[]>(admin('user', 'list', '--json'))
    assert.deepEqual(
      users.map(one => [one.name, one.role, one.tokens.map(({ id: token, expired }) => [token, expired])]),
      [['alice', 'submitter', [[id, false]]]],
    )
    assert.match((await admin('user', 'list')).stdout, /^alice +submitter +/m)

    assert.equal((await admin('user', 'revoke', id)).stdout, `Revoked: ${id}.\n`)
    const out = await user(['whoami', '--json'])
    assert.deepEqual([out.code, errorCode(out)], [4, 'UNAUTHENTICATED'])
    assert.equal((await user(['logout'])).stdout, 'Logged out.\n')
    assert.equal((await user(['logout'])).stdout, 'Nobody was logged in.\n')
    const nobody = await user(['whoami', '--json'])
    assert.deepEqual([nobody.code, errorCode(nobody)], [3, 'NO_CLUSTER'])
  })

  test('are in the audit log, whose lines are found when they are altered', async () => {
    const denied = await json<AuditEntry[]>(admin('audit', '--denied', '--user', 'alice', '--json'))
    assert.deepEqual(denied.map(({ what }) => what).sort(), ['ask audit', 'ask users', 'drainWorker'])
    const lines = await admin('audit', '--since', '1h')
    assert.match(lines.stdout, /local .* issueToken +alice +ok/)
    assert.match(lines.stdout, /- +- .* connect .* denied: UNAUTHENTICATED/)
    assert.deepEqual((await json<AuditCheck & { ok: boolean }>(admin('audit', '--verify', '--json'))).ok, true)
    const place = join(home, 'audit', 'candidate-1')
    const file = join(place, readdirSync(place)[0]!)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replace('"who":"alice"', '"who":"mallo"'))
    const found = await admin('audit', '--verify')
    assert.equal(found.code, 1)
    assert.match(found.stdout, /candidate-1\/audit-00000001\.jsonl:\d+: the line before it was altered/)
  })

  test('have names, and are changed on purpose', async () => {
    const bad = await admin('user', 'add', 'a/b', '--role', 'viewer', '--json')
    assert.deepEqual([bad.code, errorCode(bad)], [2, 'INVALID_ARGUMENT'])
    const again = await admin('user', 'add', 'alice', '--role', 'admin', '--json')
    assert.deepEqual([again.code, errorCode(again)], [4, 'USER_EXISTS'])
    assert.equal((await admin('user', 'add', 'alice', '--role', 'viewer', '--jobs', 'a/,b/', '--replace')).stdout, 'alice is viewer.\n')
    const more = await admin('user', 'token', 'alice')
    assert.match(more.stdout, /^cox_/, JSON.stringify(more))
    assert.equal((await admin('user', 'remove', 'alice')).stdout, 'Removed: alice.\n')
    assert.equal((await admin('user', 'add', 'x', '--json')).code, 2)
  })
})
