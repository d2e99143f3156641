// Shows what users and tokens are by facts, that a scope holds where a command takes effect, and that no sequence of changes gets lost.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isScoped, jobInScope, nameInScope } from '../../src/core/access/scope.ts'
import type { Command, Reply } from '../../src/core/commands.ts'
import { decide } from '../../src/core/core.ts'
import { decodeSnapshot, encodeSnapshot } from '../../src/core/snapshot.ts'
import { viewUsers } from '../../src/core/views/access.ts'
import { Story } from '../../src/core/views/story.ts'
import {
  encodeStored,
  everything,
  isTokenId,
  type Scope,
  tokenIdOf,
  tokenText,
  type UserRole,
  userNameFlaw,
  userRoles,
} from '../../src/protocol/index.ts'
import { chunkOf, inputs, plan, program } from '../fakes/plans.ts'
import { Harness, scenario } from './harness.ts'

const dayMs = 86_400_000

function codeOf(reply: Reply): string {
  return reply.kind === 'refused' ? reply.error.code : reply.kind
}

function setUser(cluster: Harness, user: string, role: UserRole, scope: Partial<Scope> = {}, replace = false): string {
  return codeOf(cluster.ask({ kind: 'setUser', spec: { user, role, scope: { ...everything, ...scope } }, replace } as Command))
}

function issue(cluster: Harness, user: string, token: string, ttlMs = dayMs): string {
  const digest = createHash('sha256').update(`${token} ${cluster.records.length}`).digest('hex')
  return codeOf(cluster.ask({ kind: 'issueToken', user, token, digest, ttlMs }))
}

describe('users', () => {
  it(
    'are made, changed on purpose, and deleted with all their tokens',
    scenario(cluster => {
      assert.equal(setUser(cluster, 'alice', 'viewer'), 'done')
      const before = cluster.records.length
      assert.equal(setUser(cluster, 'alice', 'viewer'), 'done')
      assert.equal(cluster.records.length, before, 'the same user again is nothing new')
      assert.equal(setUser(cluster, 'alice', 'admin'), 'USER_EXISTS')
      assert.equal(setUser(cluster, 'alice', 'admin', {}, true), 'done')
      assert.equal(issue(cluster, 'alice', 'aaaaaaaa'), 'issued')
      assert.equal(issue(cluster, 'alice', 'bbbbbbbb'), 'issued')
      assert.equal(issue(cluster, 'nobody', 'cccccccc'), 'NOT_FOUND')
      cluster.takeOver()
      const [alice] = viewUsers(cluster.state, cluster.nowMs)
      assert.deepEqual(
        [alice?.role, alice?.tokens.map(token => [token.id, token.expired])],
        [
          'admin',
          [
            ['aaaaaaaa', false],
            ['bbbbbbbb', false],
          ],
        ],
      )
      assert.equal(codeOf(cluster.ask({ kind: 'revokeToken', token: 'aaaaaaaa' })), 'done')
      assert.equal(codeOf(cluster.ask({ kind: 'revokeToken', token: 'aaaaaaaa' })), 'NOT_FOUND')
      assert.equal(codeOf(cluster.ask({ kind: 'deleteUser', user: 'alice' })), 'done')
      assert.equal(cluster.state.access.tokens.size, 0)
      assert.equal(codeOf(cluster.ask({ kind: 'deleteUser', user: 'alice' })), 'NOT_FOUND')
    }),
  )

  it(
    'have names, scopes and limits',
    scenario(
      cluster => {
        for (const name of ['', 'local', 'a/b', 'a b', 'x'.repeat(65), '-x', 'a\u0000', 'oidc:a']) {
          assert.notEqual(userNameFlaw(name), undefined, name)
          assert.equal(setUser(cluster, name, 'viewer'), 'INVALID_ARGUMENT', name)
        }
        for (const role of ['operator', 'admin'] as const) assert.equal(setUser(cluster, 'a', role, { labels: ['x'] }), 'INVALID_ARGUMENT')
        assert.equal(setUser(cluster, 'a', 'submitter', { jobPrefixes: [''] }), 'INVALID_ARGUMENT')
        assert.equal(setUser(cluster, '李@example.com', 'submitter', { jobPrefixes: ['a/'] }), 'done')
        assert.equal(setUser(cluster, 'b', 'viewer'), 'done')
        assert.equal(setUser(cluster, 'c', 'viewer'), 'OVERLOADED')
      },
      { limits: { usersMax: 2 } },
    ),
  )
})

describe('tokens', () => {
  it('are read as they are written, and nothing else is one', () => {
    const secret = 'A'.repeat(43)
    assert.equal(tokenIdOf(tokenText('abcdef01', secret)), 'abcdef01')
    for (const bad of [
      '',
      'cox_',
      'cox_abcdef01_',
      `cox_abcdef01_${secret}x`,
      `cox_ABCDEF01_${secret}`,
      `cox_abcdef01_${secret}\n`,
      `cox_${'a'.repeat(1e6)}_${secret}`,
      'ключ',
    ])
      assert.equal(tokenIdOf(bad), undefined)
    assert.deepEqual(['abcdefg', 'abcdefgh', 'ABCDEFGH', '__proto__', 'a'.repeat(33)].map(isTokenId), [false, true, false, false, false])
  })

  it(
    'are limited, expire, and make room when they have',
    scenario(
      cluster => {
        setUser(cluster, 'alice', 'viewer')
        setUser(cluster, 'bob', 'viewer')
        for (const ttlMs of [0, 2 ** 50]) assert.equal(issue(cluster, 'alice', 'aaaaaaaa', ttlMs), 'INVALID_ARGUMENT')
        assert.equal(issue(cluster, 'alice', 'no', dayMs), 'INVALID_ARGUMENT')
        assert.equal(issue(cluster, 'alice', 'aaaaaaaa', 1000), 'issued')
        assert.equal(issue(cluster, 'bob', 'aaaaaaaa'), 'INVALID_ARGUMENT')
        const { digest } = cluster.state.access.tokens.get('aaaaaaaa')!
        assert.equal(issue(cluster, 'alice', 'aaaaaaaa', 1000), 'issued')
        assert.notEqual(cluster.state.access.tokens.get('aaaaaaaa')!.digest, digest, 'asked again, it has another secret')
        assert.equal(issue(cluster, 'alice', 'bbbbbbbb', 1000), 'issued')
        assert.equal(issue(cluster, 'alice', 'cccccccc'), 'OVERLOADED')
        cluster.nowMs += 2000
        assert.equal(issue(cluster, 'alice', 'cccccccc', 50 * dayMs), 'issued')
        assert.deepEqual([...cluster.state.access.users.get('alice')!.tokens], ['bbbbbbbb', 'cccccccc'])
        cluster.nowMs += 31 * dayMs
        assert.equal(issue(cluster, 'alice', 'dddddddd'), 'issued')
        assert.deepEqual([...cluster.state.access.users.get('alice')!.tokens], ['cccccccc', 'dddddddd'])
      },
      { limits: { tokensPerUserMax: 2 } },
    ),
  )

  it(
    'are in no story',
    scenario(cluster => {
      setUser(cluster, 'alice', 'viewer')
      issue(cluster, 'alice', 'tokenaaa')
      for (const id of ['alice', 'tokenaaa']) {
        const story = new Story(id, 100)
        for (const [index, record] of cluster.records.entries()) story.next(index + 1, 1, record)
        assert.deepEqual(story.lines, [])
      }
    }),
  )
})

const scope: Scope = { jobPrefixes: ['team-a/'], labels: [] }
const own = { name: 'team-a/work' }
const others = { name: 'team-b/work' }

describe('a scope', () => {
  it('holds by prefix, by label, and by both', () => {
    const both: Scope = { jobPrefixes: ['a/', 'b/'], labels: ['x', 'y'] }
    assert.deepEqual([isScoped(everything), isScoped(both)], [false, true])
    assert(jobInScope(everything, 'any', []) && nameInScope(everything, 'any'))
    assert.deepEqual([jobInScope(both, 'b/1', ['y']), jobInScope(both, 'b/1', ['z']), jobInScope(both, 'c/1', ['y'])], [true, false, false])
    assert.deepEqual([nameInScope(scope, 'team-a/lock'), nameInScope(scope, 'other'), nameInScope(both, 'a/lock')], [true, false, false])
  })

  const jobs = (cluster: Harness): void => {
    cluster.submit('own', 1, { ...own })
    cluster.submit('theirs', 1, { ...others })
  }
  const submission = (job: string, name: string) => ({ plan: plan(job, { name }), inputs: [inputs(1)] })
  const stored = (name: string): Buffer => encodeStored({ ...submission('t', name), flow: undefined, policies: [], run: undefined })
  const spec = { contentHash: 'b'.repeat(64), name: 'team-b/work', programs: [program] }
  const exchange = { checks: [], writes: [], grants: [], signals: [] }
  const commands: Record<string, Command> = {
    'a job of others by its id': { kind: 'cancelJob', job: 'theirs', reason: '' },
    'tasks for it': { kind: 'addTasks', job: 'theirs', inputs: inputs(1) },
    'its tasks': { kind: 'cancelTasks', job: 'theirs', stage: 0, ranges: [{ first: 0, count: 1 }] },
    'its results': { kind: 'releaseResults', job: 'theirs', stage: 0, ranges: [{ first: 0, count: 1 }] },
    'its pause': { kind: 'pauseJob', job: 'theirs', paused: true },
    'its rerun': { kind: 'rerunJob', job: 'theirs', rerun: 'r', program: undefined },
    'its signals': { kind: 'signal', job: 'theirs', name: 'n', signal: 's', items: chunkOf(['x']) },
    'a job of another name': { kind: 'submitJob', ...submission('new', 'team-b/work') },
    'the id of a job of others, under a name of its own': { kind: 'submitJob', ...submission('theirs', 'team-a/work') },
    'a run that would cancel those of others': {
      kind: 'submitJob',
      ...submission('new', 'team-a/work'),
      run: { key: 'shared', concurrency: 1, whenBusy: 'cancel', timeoutMs: 0 },
    },
    'a lock': { kind: 'lock', grant: 'g', lock: 'team-b/lock', session: 's', mode: 'exclusive', permits: 0, ttlMs: 5000 },
    'an event': { kind: 'emit', event: 'team-b.paid', key: '', id: 'e1', items: chunkOf(['x']) },
    'an entry': {
      kind: 'transact',
      ...{ session: 's', number: 1, before: 1, jobs: [] },
      exchange: { ...exchange, writes: [{ space: 'team-b/space', key: 'k', item: chunkOf(['x']) }] },
    },
    'an entry that is only looked at': {
      kind: 'transact',
      ...{ session: 's', number: 1, before: 1, jobs: [] },
      exchange: { ...exchange, checks: [{ space: 'team-b/space', key: 'k', version: 0 }] },
    },
    'a job in a transaction': { kind: 'transact', session: 's', number: 1, before: 1, exchange, jobs: [submission('new', 'team-b/work')] },
    'a signal in a transaction': {
      kind: 'transact',
      ...{ session: 's', number: 1, before: 1, jobs: [] },
      exchange: { ...exchange, signals: [{ job: 'theirs', name: 'n', signal: 's', item: chunkOf(['x']) }] },
    },
    'entries by key': { kind: 'readEntries', space: 'team-b/space', keys: ['k'] },
    'entries by prefix': { kind: 'listEntries', space: 'team-b/space', prefix: '', after: '', limit: 1 },
    'a schedule': {
      kind: 'setSchedule',
      spec: { ...spec, schedule: 's2', cron: '', timezone: '', everyMs: 1000, overlap: 'skip', catchUp: 'none' },
      ...{ bytes: stored('team-b/work'), submission: submission('s2@check', 'team-b/work'), nextAtMs: 1, replace: false },
    },
    'a schedule of others that is replaced': {
      kind: 'setSchedule',
      spec: { ...spec, schedule: 'sched', name: 'team-a/work', cron: '', timezone: '', everyMs: 1000, overlap: 'skip', catchUp: 'none' },
      ...{ bytes: stored('team-a/work'), submission: submission('sched@check', 'team-a/work'), nextAtMs: 1, replace: true },
    },
    'the pause of a schedule': { kind: 'changeSchedule', schedule: 'sched', change: 'pause', nextAtMs: 1 },
    'a run of a schedule': { kind: 'runSchedule', schedule: 'sched', queued: false, submission: submission('sched@x', 'team-b/work') },
    'a trigger': {
      kind: 'setTrigger',
      spec: { ...spec, trigger: 't2', event: 'team-a.go', key: '' },
      submission: stored('team-b/work'),
      replace: false,
    },
    'a worker': { kind: 'drainWorker', worker: 'w' },
    'a user': { kind: 'setUser', spec: { user: 'me', role: 'admin', scope: { jobPrefixes: [], labels: [] } }, replace: true },
    'another user': { kind: 'deleteUser', user: 'me' },
    'a token': { kind: 'issueToken', token: 'aaaaaaaa', user: 'me', digest: '0'.repeat(64), ttlMs: 1 },
    'the end of a token': { kind: 'revokeToken', token: 'aaaaaaaa' },
    'what only the leader asks': { kind: 'loseCandidate', candidate: 'c', failed: true },
  }

  for (const [what, command] of Object.entries(commands)) {
    it(
      `leaves out: ${what}`,
      scenario(cluster => {
        jobs(cluster)
        const shared = { key: 'shared', concurrency: 1, whenBusy: 'queue' as const, timeoutMs: 0 }
        cluster.ask({ kind: 'submitJob', ...submission('keyed', 'team-b/work'), run: shared })
        cluster.ask({
          kind: 'setSchedule',
          spec: {
            ...spec,
            contentHash: 'c'.repeat(64),
            schedule: 'sched',
            cron: '',
            timezone: '',
            everyMs: 1000,
            overlap: 'skip',
            catchUp: 'none',
          },
          ...{ bytes: stored('team-b/work'), submission: submission('sched@check', 'team-b/work'), nextAtMs: 1, replace: false },
        })
        const { records, reply } = decide(cluster.state, command, cluster.limits, scope)
        assert.deepEqual([records, codeOf(reply)], [[], 'FORBIDDEN'])
        const free = decide(cluster.state, command, cluster.limits)
        assert.notEqual(codeOf(free.reply), 'FORBIDDEN', 'without a scope it is not that which stands in the way')
      }),
    )
  }

  it(
    'leaves in what is of its own, and what is nobody else\u2019s',
    scenario(cluster => {
      jobs(cluster)
      const allowed: Command[] = [
        { kind: 'cancelJob', job: 'own', reason: '' },
        { kind: 'submitJob', ...submission('new', 'team-a/work') },
        { kind: 'lock', grant: 'g', lock: 'team-a/lock', session: 's', mode: 'exclusive', permits: 0, ttlMs: 5000 },
        { kind: 'unlock', grant: 'g', session: 's' },
        { kind: 'putProgram', program: 'd'.repeat(64), bytes: Buffer.from('x') },
        { kind: 'cancelJob', job: 'nobody knows it', reason: '' },
        { kind: 'endSession', session: 's' },
      ]
      for (const command of allowed) assert.notEqual(codeOf(decide(cluster.state, command, cluster.limits, scope).reply), 'FORBIDDEN')
    }),
  )
})

describe('any sequence of changes of users', () => {
  const small = fc.nat({ max: 5 })
  const step = fc.tuple(
    fc.constantFrom('set', 'replace', 'delete', 'issue', 'issueMore', 'revoke', 'wait', 'takeOver'),
    small,
    small,
    small,
  )
  const options = { limits: { usersMax: 4, tokensPerUserMax: 3, expiredTokenAgeMs: 500 } }

  it('is what a naive model says, and the same after a snapshot and a takeover', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), script => {
        const cluster = new Harness(options)
        for (const [what, a, b, c] of script) {
          const user = `user-${a}`
          const token = `token${String(b * 6 + c).padStart(3, '0')}`
          if (what === 'set' || what === 'replace')
            setUser(cluster, user, userRoles[b % 4]!, b % 4 < 2 ? { labels: ['x', 'y'].slice(0, c % 3) } : {}, what === 'replace')
          else if (what === 'delete') cluster.ask({ kind: 'deleteUser', user })
          else if (what === 'issue' || what === 'issueMore') issue(cluster, user, token, 1 + c * 100)
          else if (what === 'revoke') cluster.ask({ kind: 'revokeToken', token })
          else if (what === 'wait') cluster.nowMs += b * 100
          else cluster.takeOver()
          cluster.ledger.compareAccess(cluster.state.access)
          assert.deepEqual(decodeSnapshot(encodeSnapshot(cluster.state)).access, cluster.state.access)
        }
        cluster.verify()
      }),
      { numRuns: 60, seed: 61 },
    )
  })
})
