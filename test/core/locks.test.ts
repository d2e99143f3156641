// Shows by scenarios who holds a lock and who is next, that tokens only grow, and that a transaction is done whole or not at all.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Command, Reply } from '../../src/core/commands.ts'
import { viewLocks } from '../../src/core/views/locks.ts'
import type { LockMode, Outcome } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import { inputs, plan, stage } from '../fakes/plans.ts'
import { chunkOf } from '../fakes/values.ts'
import { finished } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

function ask(
  cluster: Harness,
  grant: string,
  mode: LockMode = 'exclusive',
  options: Partial<Extract<Command, { kind: 'lock' }>> = {},
): Reply {
  const permits = mode === 'permit' ? 2 : 0
  return cluster.ask({ kind: 'lock', grant, lock: 'one', session: `of ${grant}`, mode, permits, ttlMs: 5000, ...options })
}

function unlock(cluster: Harness, grant: string): Reply {
  return cluster.ask({ kind: 'unlock', grant, session: `of ${grant}` })
}

/** Who holds it, in the order of their tokens. */
function holders(cluster: Harness): string[] {
  return [...(cluster.state.grants.locks.get('one')?.held ?? [])].sort((a, b) => a.token - b.token).map(grant => grant.id)
}

describe('locks', () => {
  it(
    'go from one to the next in the order in which they were asked for, each with a larger token',
    scenario(cluster => {
      const tokens: number[] = []
      for (const grant of ['a', 'b', 'c']) assert.equal(ask(cluster, grant).kind, 'asked')
      for (const grant of ['a', 'b', 'c']) {
        assert.deepEqual(holders(cluster), [grant])
        tokens.push(cluster.state.grants.byId.get(grant)!.token)
        assert.deepEqual(unlock(cluster, grant), { kind: 'done' })
      }
      assert.deepEqual(tokens, [1, 2, 3])
      assert.equal(cluster.state.grants.locks.size, 0, 'nothing is kept of a lock that nobody wants')
      ask(cluster, 'd')
      assert.equal(cluster.state.grants.byId.get('d')!.token, 4, 'the next one is larger all the same')
    }),
  )

  it(
    'are listed by their names, with who holds them and who is next',
    scenario(cluster => {
      ask(cluster, 'r', 'read')
      cluster.advance(100)
      ask(cluster, 'w')
      ask(cluster, 'p', 'permit', { lock: 'other' })
      const [one, other] = viewLocks(cluster.state)
      const sinceMs = cluster.nowMs - 100
      assert.deepEqual(one, {
        name: 'one',
        held: [{ session: 'of r', mode: 'read', token: 1, sinceMs, ttlMs: 5000 }],
        waiting: 1,
        line: [{ session: 'of w', mode: 'exclusive', sinceMs: cluster.nowMs, ttlMs: 5000 }],
      })
      assert.deepEqual([other!.name, other!.permits, other!.waiting], ['other', 2, 0])
      assert.deepEqual(
        viewLocks(cluster.state, 'oth').map(lock => lock.name),
        ['other'],
      )
    }),
  )

  it(
    'are shared by readers, and a reader behind a writer waits: nobody overtakes',
    scenario(cluster => {
      ask(cluster, 'r1', 'read')
      ask(cluster, 'r2', 'read')
      ask(cluster, 'w')
      ask(cluster, 'r3', 'read')
      ask(cluster, 'r4', 'read')
      assert.deepEqual(holders(cluster), ['r1', 'r2'])
      unlock(cluster, 'r1')
      assert.deepEqual(holders(cluster), ['r2'])
      unlock(cluster, 'r2')
      assert.deepEqual(holders(cluster), ['w'])
      unlock(cluster, 'w')
      assert.deepEqual(holders(cluster), ['r3', 'r4'])
    }),
  )

  it(
    'of a semaphore are as many as it has permits',
    scenario(cluster => {
      for (const grant of ['a', 'b', 'c']) ask(cluster, grant, 'permit')
      assert.deepEqual(holders(cluster), ['a', 'b'])
      unlock(cluster, 'b')
      assert.deepEqual(holders(cluster), ['a', 'c'])
    }),
  )

  it(
    'end with their session after their time, held or waited for; who believes in one is told',
    scenario(cluster => {
      ask(cluster, 'a', 'exclusive', { ttlMs: 2000 })
      ask(cluster, 'b')
      ask(cluster, 'c', 'exclusive', { session: 'of a', ttlMs: 9000 })
      cluster.ask({ kind: 'expireGrants', session: 'of a', silentMs: 1999 })
      assert.deepEqual(holders(cluster), ['a'])
      cluster.ask({ kind: 'expireGrants', session: 'of a', silentMs: 2000 })
      assert.deepEqual(holders(cluster), ['b'])
      assert(cluster.state.grants.byId.has('c'), 'another grant of it has more time')
      assert.equal(cluster.refused({ kind: 'unlock', grant: 'a', session: 'of a' }), 'LOCK_LOST')
      assert.equal(
        cluster.refused({ kind: 'lock', grant: 'a', lock: 'one', session: 'of a', mode: 'exclusive', permits: 0, ttlMs: 2000 }),
        'LOCK_LOST',
      )
      cluster.takeOver()
      assert.equal(cluster.refused({ kind: 'unlock', grant: 'a', session: 'of a' }), 'LOCK_LOST')
    }),
  )

  it(
    'asked for again after a lost answer are the same, given back again are done',
    scenario(cluster => {
      ask(cluster, 'a')
      assert.deepEqual(ask(cluster, 'a'), { kind: 'asked', token: 1 })
      ask(cluster, 'b')
      cluster.takeOver()
      assert.deepEqual(ask(cluster, 'b'), { kind: 'asked', token: 0 })
      unlock(cluster, 'a')
      assert.deepEqual(unlock(cluster, 'a'), { kind: 'done' })
      assert.deepEqual(ask(cluster, 'b'), { kind: 'asked', token: 2 })
    }),
  )

  it(
    'are refused where they cannot be',
    scenario(
      cluster => {
        const wrong = (options: Partial<Extract<Command, { kind: 'lock' }>>): string =>
          cluster.refused({ kind: 'lock', grant: 'x', lock: 'one', session: 's', mode: 'exclusive', permits: 0, ttlMs: 5000, ...options })
        assert.equal(wrong({ ttlMs: 999 }), 'INVALID_ARGUMENT')
        assert.equal(wrong({ ttlMs: 90_000_000 }), 'INVALID_ARGUMENT')
        assert.equal(wrong({ permits: 3 }), 'INVALID_ARGUMENT')
        assert.equal(wrong({ mode: 'permit' }), 'INVALID_ARGUMENT')
        assert.equal(wrong({ lock: '' }), 'INVALID_ARGUMENT')
        ask(cluster, 'a', 'permit')
        assert.equal(wrong({ mode: 'permit', permits: 3 }), 'LIMIT_CONFLICT')
        assert.equal(wrong({}), 'LIMIT_CONFLICT')
        assert.equal(cluster.refused({ kind: 'unlock', grant: 'a', session: 'another' }), 'FORBIDDEN')
        ask(cluster, 'b', 'permit')
        assert.equal(wrong({ lock: 'two' }), 'OVERLOADED')
      },
      { limits: { grantsMax: 2 } },
    ),
  )
})

type Exchange = Extract<Command, { kind: 'transact' }>['exchange']

let number = 0
function transact(cluster: Harness, exchange: Partial<Exchange>, more: Partial<Extract<Command, { kind: 'transact' }>> = {}): Reply {
  const whole = { checks: [], writes: [], grants: [], signals: [], ...exchange }
  return cluster.ask({ kind: 'transact', session: 's', number: ++number, before: 0, exchange: whole, jobs: [], ...more })
}

function write(key: string, value: unknown): Exchange['writes'][number] {
  return { space: 'accounts', key, item: value === undefined ? undefined : chunkOf([value]) }
}

function codeOf(reply: Reply): string {
  return reply.kind === 'refused' ? reply.error.code : reply.kind
}

/** The one task of a job ends with these changes. */
function commit(cluster: Harness, job: string, changes: Partial<Exchange>, jobs: string[] = []): Reply {
  const worker = [...cluster.workers.values()].find(one => one.busy.length > 0)!
  const lane = worker.busy.find(one => one.open[0]!.job === job)!
  const committed = jobs.map(id => {
    const { session: _, detached: __, ...rest } = plan(id)
    return { ...rest, contentHash: 'e'.repeat(64), inputs: [inputs(1)], flow: undefined, policies: [] }
  })
  const outcome = finished(lane, 1) as Extract<Outcome, { kind: 'finished' }>
  return cluster.end(
    worker,
    [{ kind: 'committed', outcome, exchange: { checks: [], writes: [], grants: [], signals: [], ...changes }, jobs: committed }],
    lane,
  )
}

describe('what a task commits', () => {
  it(
    'is done with its result: entries and jobs, in one append',
    scenario(cluster => {
      cluster.join('w', 2)
      cluster.submit('one')
      const before = cluster.records.length
      commit(cluster, 'one', { writes: [write('x', 'of one')] }, ['two'])
      assert.deepEqual(
        cluster.records
          .slice(before)
          .map(record => record.kind)
          .slice(0, 5),
        ['TasksFinished', 'EntriesWritten', 'JobSubmitted', 'TasksAdded', 'StageSealed'],
      )
      assert.equal(cluster.jobState('one'), 'succeeded')
      assert.equal(cluster.jobState('two'), 'running')
      assert.equal(cluster.state.spaces.entries, 1)
    }),
  )

  it(
    'is not done, and neither is its result taken, where an entry is another one by now: the task runs again',
    scenario(cluster => {
      cluster.join('w')
      cluster.submit('one', 1, { stages: [stage({ retries: 1 })] })
      transact(cluster, { writes: [write('x', 'first')] })
      const stale = { checks: [{ space: 'accounts', key: 'x', version: 0 }], writes: [write('x', 'second')] }
      commit(cluster, 'one', stale, ['two'])
      assert.equal(cluster.of('TaskFailed').at(-1)!.code, 'TRANSACTION_CONFLICT')
      assert.equal(cluster.jobState('two'), undefined)
      assert.equal(cluster.state.spaces.byName.get('accounts')!.get('x')!.version, 1)
      cluster.advance(60_000)
      commit(cluster, 'one', { ...stale, checks: [{ space: 'accounts', key: 'x', version: 1 }] }, ['two'])
      assert.equal(cluster.jobState('one'), 'succeeded')
      assert.equal(cluster.jobState('two'), 'running')
    }),
  )

  it(
    'is not done where the task was cancelled, or its job',
    scenario(cluster => {
      cluster.join('w', 2)
      cluster.submit('one')
      cluster.submit('two', 2)
      cluster.cancel('one')
      commit(cluster, 'one', { writes: [write('x', 1)] })
      cluster.ask({ kind: 'cancelTasks', job: 'two', stage: 0, ranges: [{ first: 0, count: 1 }] })
      commit(cluster, 'two', { writes: [write('x', 1)] })
      assert.equal(cluster.state.spaces.entries, 0)
      assert.equal(cluster.stage('two').cancelled, 1)
    }),
  )

  it(
    'fails the task for good where it cannot be done at all',
    scenario(cluster => {
      cluster.join('w')
      cluster.submit('one', 1, { stages: [stage({ retries: 5 })] })
      commit(cluster, 'one', {}, ['one'])
      assert.equal(cluster.jobState('one'), 'failed')
      assert.equal(cluster.of('TaskFailed').at(-1)!.code, 'JOB_ID_REUSED')
    }),
  )

  it(
    'of two tasks in one report counts once where both change the same',
    scenario(cluster => {
      const worker = cluster.join('w')
      cluster.submit('one', 1, { stages: [stage({ retries: 1 })] })
      cluster.finish(worker)
      cluster.submit('many', 2, { stages: [stage({ retries: 1 })] })
      const lane = worker.busy[0]!
      assert.equal(lane.open.length, 2)
      const exchange = { checks: [{ space: 'accounts', key: 'x', version: 0 }], writes: [write('x', 1)], grants: [], signals: [] }
      const one = finished(lane, 1) as Extract<Outcome, { kind: 'finished' }>
      cluster.end(worker, [
        { kind: 'committed', outcome: one, exchange, jobs: [] },
        { kind: 'committed', outcome: one, exchange, jobs: [] },
      ])
      assert.equal(cluster.stage('many').succeeded, 1)
      assert.equal(cluster.of('TaskFailed').at(-1)!.code, 'TRANSACTION_CONFLICT')
    }),
  )
})

describe('transactions', () => {
  it(
    'change all or nothing, and only what is as it was read',
    scenario(cluster => {
      assert.deepEqual(transact(cluster, { writes: [write('ann', 1), write('bob', 2)] }), { kind: 'transacted', version: 1 })
      const checks = [{ space: 'accounts', key: 'ann', version: 1 }]
      assert.deepEqual(transact(cluster, { checks, writes: [write('ann', 0), write('bob', 3)] }), { kind: 'transacted', version: 2 })
      const before = cluster.records.length
      assert.equal(codeOf(transact(cluster, { checks, writes: [write('eve', 9)] })), 'TRANSACTION_CONFLICT')
      assert.equal(cluster.records.length, before)
      const absent = [{ space: 'accounts', key: 'eve', version: 0 }]
      assert.equal(codeOf(transact(cluster, { checks: absent, writes: [write('eve', 9)] })), 'transacted')
      assert.equal(codeOf(transact(cluster, { checks: absent, writes: [write('eve', 8)] })), 'TRANSACTION_CONFLICT')
    }),
  )

  it(
    'let go of the bytes of what they replace, and count what there is',
    scenario(cluster => {
      transact(cluster, { writes: [write('a', 'x'), write('b', 'y')] })
      transact(cluster, { writes: [write('a', 'z')] })
      transact(cluster, { writes: [write('b', undefined), write('never', undefined)] })
      const { entries, bytes } = cluster.state.spaces
      assert.deepEqual([entries, bytes], [1, chunkOf(['z']).length])
      transact(cluster, { writes: [write('a', undefined)] })
      assert.equal(cluster.state.spaces.byName.size, 0)
      assert.equal(cluster.state.spaces.bytes, 0)
    }),
  )

  it(
    'need the locks that they name',
    scenario(cluster => {
      ask(cluster, 'a')
      ask(cluster, 'b')
      assert.equal(codeOf(transact(cluster, { grants: ['a'], writes: [write('x', 1)] })), 'transacted')
      assert.equal(codeOf(transact(cluster, { grants: ['b'], writes: [write('x', 2)] })), 'LOCK_LOST', 'it waits only')
      cluster.ask({ kind: 'expireGrants', session: 'of a', silentMs: 60_000 })
      assert.equal(codeOf(transact(cluster, { grants: ['a'], writes: [write('x', 3)] })), 'LOCK_LOST')
      assert.equal(codeOf(transact(cluster, { grants: ['b'], writes: [write('x', 4)] })), 'transacted')
    }),
  )

  it(
    'submit jobs with what they write, or neither',
    scenario(cluster => {
      const job = (id: string): Extract<Command, { kind: 'transact' }>['jobs'][number] => ({ plan: plan(id), inputs: [inputs(2)] })
      assert.equal(codeOf(transact(cluster, { writes: [write('x', 1)] }, { jobs: [job('one'), job('two')] })), 'transacted')
      assert.deepEqual([cluster.jobState('one'), cluster.jobState('two')], ['running', 'running'])
      const checks = [{ space: 'accounts', key: 'x', version: 99 }]
      assert.equal(codeOf(transact(cluster, { checks }, { jobs: [job('three')] })), 'TRANSACTION_CONFLICT')
      assert.equal(cluster.jobState('three'), undefined)
      const before = cluster.records.length
      assert.equal(codeOf(transact(cluster, { writes: [write('x', 2)] }, { jobs: [job('four'), job('four')] })), 'INVALID_ARGUMENT')
      const other = { plan: { ...plan('one'), contentHash: 'f'.repeat(64) }, inputs: [inputs(1)] }
      assert.equal(codeOf(transact(cluster, { writes: [write('x', 2)] }, { jobs: [other] })), 'JOB_ID_REUSED')
      assert.equal(cluster.records.length, before)
    }),
  )

  it(
    'count once, however often they are sent, also to a new leader, as long as their session may ask',
    scenario(cluster => {
      const send = (): Reply => transact(cluster, { writes: [write('x', 1)] }, { number: 7, before: 5 })
      assert.deepEqual(send(), { kind: 'transacted', version: 1 })
      cluster.takeOver()
      assert.deepEqual(send(), { kind: 'transacted', version: 1 })
      assert.equal(codeOf(transact(cluster, { writes: [write('x', 2)] }, { number: 9, before: 9 })), 'transacted')
      assert.equal(codeOf(send()), 'INVALID_ARGUMENT', 'what was answered is not asked again')
      cluster.ask({ kind: 'endSession', session: 's' })
      assert.equal(cluster.state.spaces.bySession.size, 0)
    }),
  )

  it(
    'are refused beyond the limits of the spaces; deleting is not',
    scenario(
      cluster => {
        transact(cluster, { writes: [write('a', 1), write('b', 2)] })
        assert.equal(codeOf(transact(cluster, { writes: [write('c', 1)] })), 'OVERLOADED')
        assert.equal(codeOf(transact(cluster, { writes: [write('a', undefined)] })), 'transacted')
        assert.equal(codeOf(transact(cluster, { writes: [write('x', 1), write('x', 1)] })), 'INVALID_ARGUMENT')
      },
      { limits: { spaceEntriesMax: 2 } },
    ),
  )

  it(
    'list entries in pages, in the order of their keys',
    scenario(cluster => {
      transact(cluster, { writes: ['b2', 'a', 'b1', 'c', 'b3'].map(key => write(key, key)) })
      const page = (prefix: string, after: string, limit: number): [string[], string | undefined] => {
        const reply = cluster.ask({ kind: 'listEntries', space: 'accounts', prefix, after, limit })
        assert(reply.kind === 'entries')
        return [reply.entries.map(entry => entry.key), reply.next]
      }
      assert.deepEqual(page('', '', 2), [['a', 'b1'], 'b1'])
      assert.deepEqual(page('', 'b1', 9), [['b2', 'b3', 'c'], undefined])
      assert.deepEqual(page('b', '', 2), [['b1', 'b2'], 'b2'])
      assert.deepEqual(page('b', 'b2', 2), [['b3'], undefined])
      assert.deepEqual(page('x', '', 2), [[], undefined])
    }),
  )

  it(
    'tell workflows something with the rest, or not at all; one that has ended refuses all of it',
    scenario(cluster => {
      cluster.join('w1')
      const steps = new Steps()
      const go = steps.add([], { kind: 'signal', name: 'go' })
      const again = steps.add([['value', go]], { kind: 'signal', name: 'go' })
      steps.add([['value', again]])
      const submission = { plan: plan('flow', { stages: steps.stages }), inputs: steps.inputs, flow: steps.plan }
      assert.equal(cluster.ask({ kind: 'submitJob', ...submission }).kind, 'submitted')
      const signal = (id: string) => ({ job: 'flow', name: 'go', signal: id, item: chunkOf(['now']) })
      const status = (): string => [0, 1, 2].map(step => cluster.state.jobs.byId.get('flow')!.flow!.status(step)).join(' ')
      const stale = { checks: [{ space: 'accounts', key: 'x', version: 9 }], signals: [signal('one')] }
      assert.equal(codeOf(transact(cluster, stale)), 'TRANSACTION_CONFLICT')
      assert.equal(status(), 'open waiting waiting', 'nothing of it was done')
      assert.equal(codeOf(transact(cluster, { writes: [write('x', 1)], signals: [signal('one'), signal('one')] })), 'transacted')
      assert.equal(status(), 'succeeded open waiting', 'twice the same id is once')
      assert.equal(codeOf(transact(cluster, { signals: [signal('one')] })), 'transacted')
      assert.equal(status(), 'succeeded open waiting', 'and so it is the next time')
      // The result of a task, and what it says to the workflow.
      cluster.submit('task')
      commit(cluster, 'task', { signals: [signal('two')] })
      assert.equal(status(), 'succeeded succeeded open')
      cluster.finish(cluster.workers.get('w1')!)
      assert.equal(cluster.jobState('flow'), 'succeeded')
      const written = cluster.state.spaces.lastVersion
      assert.equal(codeOf(transact(cluster, { writes: [write('y', 1)], signals: [signal('three')] })), 'JOB_ENDED')
      assert.equal(cluster.state.spaces.lastVersion, written)
    }),
  )

  it(
    'of two tasks in one report never tell a workflow the same twice',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('one')
      cluster.finish(worker)
      const steps = new Steps()
      steps.add([['after', steps.add([], { kind: 'signal', name: 'go' })]])
      cluster.ask({ kind: 'submitJob', plan: plan('flow', { stages: steps.stages }), inputs: steps.inputs, flow: steps.plan })
      cluster.submit('many', 2, { stages: [stage({ retries: 1 })] })
      const lane = worker.busy[0]!
      const one = finished(lane, 1) as Extract<Outcome, { kind: 'finished' }>
      const exchange = {
        checks: [],
        writes: [],
        grants: [],
        signals: [{ job: 'flow', name: 'go', signal: 'same', item: chunkOf(['now']) }],
      }
      cluster.end(worker, [
        { kind: 'committed', outcome: one, exchange, jobs: [] },
        { kind: 'committed', outcome: one, exchange, jobs: [] },
      ])
      assert.equal(cluster.of('SignalReceived').length, 1)
      assert.equal(cluster.of('TaskFailed').at(-1)!.code, 'TRANSACTION_CONFLICT', 'the other one is tried again')
    }),
  )
})
