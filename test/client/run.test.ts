// Holds `run` and `submit` to batching, failures, cancel, programs, overload and reconnects, over a fake leader.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { TaskFailedError, task } from '../../src/client/index.ts'
import type { ClientToLeader } from '../../src/protocol/index.ts'
import type { FakeLeader } from './fake-leader.ts'
import { connected, echo, twice } from './fixture.ts'

function messages<K extends ClientToLeader['kind']>(leader: FakeLeader, kind: K): Extract<ClientToLeader, { kind: K }>[] {
  return leader.received.filter((message): message is Extract<ClientToLeader, { kind: K }> => message.kind === kind)
}

const failure = { code: 'TASK_FAILED', message: 'boo', stack: 'Error: boo\n    at user.ts:1:1', attempts: [] }

describe('run', () => {
  test('calls of one turn become one job, each with its own outcome', async () => {
    await using f = await connected()
    f.leader.run = (_task, input) => (input === 3 ? { failure } : { value: (input as number) * 2 })
    const calls = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => f.cluster.run(twice, i)))
    assert.equal(f.leader.jobs.size, 1)
    for (const [index, call] of calls.entries()) {
      if (index === 3) assert.ok(call.status === 'rejected' && call.reason instanceof TaskFailedError)
      else assert.deepEqual(call, { status: 'fulfilled', value: index * 2 })
    }
    await f.leader.when('all is released', () => messages(f.leader, 'releaseResults').length === 1)
    assert.deepEqual(messages(f.leader, 'releaseResults')[0]!.ranges, [{ first: 0, count: 10 }])
    assert.deepEqual(messages(f.leader, 'submitJobs')[0]!.jobs[0]!.plan.detached, false)
  })

  test('different tasks and options are different jobs in one message', async () => {
    await using f = await connected()
    await Promise.all([f.cluster.run(twice, 1), f.cluster.run(echo, 1), f.cluster.run(twice, 2, { priority: 5, labels: ['x'] })])
    assert.equal(f.leader.jobs.size, 3)
    assert.deepEqual([...f.leader.jobs.values()].map(job => job.plan.priority).sort(), [0, 0, 5])
  })

  test('an input is what it was at the time of the call', async () => {
    await using f = await connected()
    const input = { n: 1 }
    const call = f.cluster.run(echo, input)
    input.n = 2
    assert.deepEqual(await call, { n: 1 })
  })

  test('a failure tells the remote stack, the attempts and where the story is', async () => {
    await using f = await connected()
    const attempts = [{ attempt: 1, worker: 'w', code: 'TASK_TIMEOUT', message: 'late', atMs: 5 }]
    f.leader.run = () => ({ failure: { ...failure, attempts } })
    await assert.rejects(f.cluster.run(twice, 1), error => {
      assert.ok(error instanceof TaskFailedError)
      assert.equal(error.remoteStack, failure.stack)
      assert.match(String(error.stack), /on the worker[\s\S]*user\.ts:1:1/)
      assert.deepEqual(error.attempts, attempts)
      assert.equal(error.story, `cox story ${[...f.leader.jobs.keys()][0]}/0`)
      return true
    })
  })

  test('what cannot travel and what the schema refuses is told before anything is sent', async () => {
    await using f = await connected()
    const checked = task({ name: 'checked', input: z.object({ n: z.number() }), run: ({ n }) => n })
    await assert.rejects(f.cluster.run(echo, { f: () => 1 }), { code: 'VALUE_CANNOT_TRAVEL', id: 'input.f' })
    await assert.rejects(f.cluster.run(checked, { n: 'x' } as never), { code: 'SCHEMA_VIOLATION' })
    await assert.rejects(f.cluster.run(echo, 1, { priority: 1000 }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(f.cluster.run({ name: 'echo' } as never, 1), { code: 'INVALID_TASK' })
    // A call beside a refused one is not touched by it.
    const [bad, good] = await Promise.allSettled([f.cluster.run(echo, Symbol('x')), f.cluster.run(echo, 2)])
    assert.equal(bad.status, 'rejected')
    assert.deepEqual(good, { status: 'fulfilled', value: 2 })
    assert.equal(f.leader.jobs.size, 1)
  })

  test('a signal rejects its own call at once and cancels its task', async () => {
    await using f = await connected()
    f.leader.run = (_task, input) => (input === 'never' ? 'pending' : { value: input })
    const abort = new AbortController()
    const stuck = f.cluster.run(echo, 'never', { signal: abort.signal })
    assert.equal(await f.cluster.run(echo, 1), 1)
    const reason = new Error('enough')
    abort.abort(reason)
    await assert.rejects(stuck, error => error === reason)
    await f.leader.when('cancelled', () => messages(f.leader, 'cancelTasks').length === 1)
    await f.leader.when('released', () => messages(f.leader, 'releaseResults').length >= 1)
    await assert.rejects(f.cluster.run(echo, 1, { signal: abort.signal }), error => error === reason)
  })

  test('a job that somebody cancels rejects what waits for it', async () => {
    await using f = await connected()
    f.leader.run = () => 'pending'
    const call = f.cluster.run(echo, 1)
    call.catch(() => undefined)
    await f.leader.when('submitted', () => f.leader.jobs.size === 1)
    f.leader.finish([...f.leader.jobs.keys()][0]!, 'cancelled', 'by an operator')
    await assert.rejects(call, { code: 'TASK_CANCELLED', message: /by an operator/ })
  })

  test('a missing program is sent once, and the job again', async () => {
    await using f = await connected()
    await Promise.all([f.cluster.run(echo, 1), f.cluster.run(twice, 1)])
    await f.cluster.run(echo, 2)
    assert.equal(messages(f.leader, 'putProgram').length, 1)
    assert.equal(f.leader.programs.size, 1)
  })

  test('a leader that is full is asked again', async () => {
    await using f = await connected()
    let refused = 0
    f.leader.intercept = (message, connection) => {
      if (message.kind !== 'submitJobs' || refused >= 3) return false
      refused++
      const outcomes = message.jobs.map(({ plan }) => ({
        job: plan.job,
        existing: false,
        error: { code: 'OVERLOADED', message: 'full', id: '', retryAfterMs: 1 },
      }))
      connection.send({ kind: 'submitted', request: message.request, outcomes })
      return true
    }
    assert.equal(await f.cluster.run(echo, 1), 1)
    assert.equal(refused, 3)
  })

  test('calls survive crashes of the leader at any moment, each with one outcome', async () => {
    for (const moment of ['submitJobs', 'putProgram', 'releaseResults'] as const) {
      await using f = await connected()
      let crashes = 0
      f.leader.intercept = message => {
        if (message.kind !== moment || crashes > 0) return false
        crashes++
        f.leader.crash()
        return true
      }
      assert.deepEqual(await Promise.all([1, 2, 3].map(i => f.cluster.run(twice, i))), [1, 2, 3])
      await f.leader.when('crashed once', () => crashes === 1)
    }
  })

  test('a crash after the job was taken but before its answer', async () => {
    await using f = await connected()
    let crashes = 0
    f.leader.run = (_task, input) => {
      if (crashes++ === 0) f.leader.crash()
      return { value: input }
    }
    assert.equal(await f.cluster.run(echo, 'once'), 'once')
    assert.equal(f.leader.jobs.size, 1)
  })
})

describe('submit', () => {
  test('gives a handle whose result may be asked for again and again', async () => {
    await using f = await connected()
    const handle = await f.cluster.submit(echo, { a: 1 })
    assert.deepEqual([await handle.result(), await handle.result()], [{ a: 1 }, { a: 1 }])
    assert.equal(messages(f.leader, 'releaseResults').length, 0)
    assert.equal(messages(f.leader, 'submitJobs')[0]!.jobs[0]!.plan.detached, true)
    assert.match(handle.id, /^[0-9a-z]{9}-[0-9a-f]{20}$/)
  })

  test('ids made later sort later', async () => {
    await using f = await connected()
    const ids: string[] = []
    for (let i = 0; i < 3; i++) {
      ids.push((await f.cluster.submit(echo, i)).id)
      const now = Date.now()
      while (Date.now() === now) await new Promise(resolve => setImmediate(resolve))
    }
    assert.deepEqual(ids, [...ids].sort())
  })

  test('those of one turn travel in one message', async () => {
    await using f = await connected()
    await f.cluster.run(echo, 0)
    const before = messages(f.leader, 'submitJobs').length
    await Promise.all(Array.from({ length: 50 }, (_, i) => f.cluster.submit(echo, i)))
    assert.equal(messages(f.leader, 'submitJobs').length, before + 1)
  })

  test('the same id with the same content is the same job, with other content an error', async () => {
    await using f = await connected()
    const one = await f.cluster.submit(echo, { a: 1 }, { id: 'nightly' })
    const two = await f.cluster.submit(echo, { a: 1 }, { id: 'nightly', priority: 3 })
    assert.equal(one.id, two.id)
    assert.equal(f.leader.jobs.size, 1)
    await assert.rejects(f.cluster.submit(echo, { a: 2 }, { id: 'nightly' }), { code: 'JOB_ID_REUSED' })
    await assert.rejects(f.cluster.submit(twice, 1, { id: 'nightly' }), { code: 'JOB_ID_REUSED' })
    await assert.rejects(f.cluster.submit(twice, 1, { id: 'no/slash' }), { code: 'INVALID_ARGUMENT' })
  })

  test('a signal takes the job back', async () => {
    await using f = await connected()
    await f.cluster.run(echo, 0)
    const abort = new AbortController()
    f.leader.intercept = message => {
      if (message.kind === 'submitJobs') abort.abort(new Error('changed my mind'))
      return false
    }
    await assert.rejects(f.cluster.submit(echo, 1, { id: 'taken-back', signal: abort.signal }), /changed my mind/)
    await f.leader.when('cancelled', () => messages(f.leader, 'cancelJob').length === 1)
  })
})

describe('a job handle', () => {
  test('waits for the result, and tells failures and cancels', async () => {
    await using f = await connected()
    f.leader.run = (_task, input) => (input === 'bad' ? { failure } : 'pending')
    await assert.rejects((await f.cluster.submit(echo, 'bad')).result(), { code: 'TASK_FAILED' })
    const handle = await f.cluster.submit(echo, 'slow')
    const result = handle.result()
    await f.leader.when('watched', () => messages(f.leader, 'watch').length === 2)
    f.leader.settle(handle.id, [[0, { value: 'late' }]])
    assert.equal(await result, 'late')
    const cancelled = await f.cluster.submit(echo, 'other')
    const waiting = cancelled.result()
    waiting.catch(() => undefined)
    await cancelled.cancel('no need')
    await assert.rejects(waiting, { code: 'TASK_CANCELLED', message: /no need/ })
    await assert.rejects(cancelled.result(), { code: 'TASK_CANCELLED' })
    await assert.rejects(handle.result({ signal: AbortSignal.abort(new Error('x')) }), /x/)
  })

  test('by id alone, of one task or many', async () => {
    await using f = await connected()
    await f.cluster.submit(echo, 'single', { id: 'single' })
    assert.equal(await f.cluster.job('single').result(), 'single')
    f.leader.run = (_task, input) => (input === 130 ? { failure } : { value: (input as number) * 2 })
    // Released results are gone: this job's are not, because nobody takes them.
    f.leader.intercept = message => message.kind === 'releaseResults'
    const results = f.cluster.map(
      twice,
      Array.from({ length: 250 }, (_, i) => i),
      { id: 'many', errors: 'yield' },
    )
    for await (const result of results) void result
    await assert.rejects(f.cluster.job('many').result(), { code: 'TASK_FAILED', id: 'many/130' })
    const outcomes: unknown[] = []
    for await (const [index, outcome] of f.cluster.job('many').results()) {
      if (index !== 130) assert.equal(outcome, index * 2)
      outcomes[index] = outcome
    }
    assert.equal(outcomes.length, 250)
    assert.ok(outcomes[130] instanceof TaskFailedError)
    await assert.rejects(f.cluster.job('unknown').result(), { code: 'NOT_FOUND' })
    await assert.rejects(f.cluster.job('unknown').status(), { code: 'NOT_FOUND' })
  })

  test('a result that was released is gone', async () => {
    await using f = await connected()
    const handle = await f.cluster.submit(echo, 1)
    f.leader.jobs.get(handle.id)!.released.add(0)
    await assert.rejects(handle.result(), { code: 'RESULT_GONE' })
  })

  test('events begin with the state and end with the job', async () => {
    await using f = await connected()
    f.leader.run = () => 'pending'
    const handle = await f.cluster.submit(echo, 1)
    const events = handle.events()
    const seen: unknown[] = [(await events.next()).value]
    await f.leader.when('watched', () => messages(f.leader, 'watch').length === 1)
    for (const connection of f.leader.connections)
      connection.send({ kind: 'progress', job: handle.id, stage: 0, index: 0, fraction: 0.5, note: 'half' })
    f.leader.settle(handle.id, [[0, { value: 1 }]])
    for await (const event of events) seen.push(event)
    assert.deepEqual(seen, [
      { kind: 'state', state: 'running', reason: '' },
      { kind: 'progress', index: 0, fraction: 0.5, note: 'half' },
      { kind: 'state', state: 'succeeded', reason: '' },
    ])
    await f.leader.when('no longer watched', () => messages(f.leader, 'unwatch').length === 1)
    await assert.rejects(f.cluster.job('unknown').events().next(), { code: 'NOT_FOUND' })
  })

  test('logs go on after a reconnect without a line twice', async () => {
    await using f = await connected()
    const line = (text: string) => ({ job: 'j', stage: 0, index: 0, attempt: 1, stream: 'out' as const, atMs: 1, text })
    let requests = 0
    f.leader.intercept = (message, connection) => {
      if (message.kind !== 'readLogs') return false
      requests++
      if (requests === 1)
        connection.send({ kind: 'logLines', request: message.request, lines: [line('one'), line('two')], dropped: 0, ended: false })
      else
        connection.send({
          kind: 'logLines',
          request: message.request,
          lines: [line('one'), line('two'), line('three')],
          dropped: 4,
          ended: true,
        })
      return true
    }
    const logs = f.cluster.job('j').logs({ follow: true })
    const texts = [(await logs.next()).value.text, (await logs.next()).value.text]
    f.leader.crash()
    for await (const { text } of logs) texts.push(text)
    assert.deepEqual(texts, ['one', 'two', '4 lines are missing here: the reader was too slow', 'three'])
    assert.equal(requests, 2)
  })

  test('a reader of logs that goes away stops them', async () => {
    await using f = await connected()
    const logs = f.cluster.job('j').logs({ follow: true })
    await f.leader.when('asked', () => messages(f.leader, 'readLogs').length === 1)
    await logs.return?.()
    await f.leader.when('stopped', () => messages(f.leader, 'unfollow').length === 1)
  })
})
