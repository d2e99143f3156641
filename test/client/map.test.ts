// Holds `map` to order, back-pressure both ways, failures, early ends, overload and reconnects, over a fake leader.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { CoxswainError, TaskFailedError, task } from '../../src/client/index.ts'
import { RangeSet } from '../../src/client/map/ranges.ts'
import type { ClientToLeader } from '../../src/protocol/index.ts'
import { FakeLeader } from './fake-leader.ts'
import { connected, echo, twice } from './fixture.ts'

const failure = { code: 'TASK_FAILED', message: 'boo', stack: '', attempts: [] }

function* numbers(count: number): Generator<number> {
  for (let i = 0; i < count; i++) yield i
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

function messages<K extends ClientToLeader['kind']>(leader: FakeLeader, kind: K): Extract<ClientToLeader, { kind: K }>[] {
  return leader.received.filter((message): message is Extract<ClientToLeader, { kind: K }> => message.kind === kind)
}

describe('map', () => {
  test('any number of inputs, in order, from any source', async () => {
    await using f = await connected()
    f.leader.run = (_task, input) => ({ value: (input as number) * 2 })
    for (const count of [1, 2, 1999, 2000, 2001, 30_000]) {
      const results = await all(f.cluster.map(twice, numbers(count)))
      assert.equal(results.length, count)
      assert.ok(results.every((result, index) => result === index * 2))
    }
    assert.deepEqual(await all(f.cluster.map(twice, [])), [])
    assert.deepEqual(await all(f.cluster.map(twice, (async function* () {})())), [], 'nothing, and that not at once')
    assert.deepEqual(await all(f.cluster.map(twice, new Set([5]))), [10])
    assert.deepEqual(await all(f.cluster.map(twice, [Promise.resolve(4)])), [8])
    async function* slowly() {
      for (const number of numbers(300)) {
        if (number % 100 === 0) await new Promise(resolve => setImmediate(resolve))
        yield number
      }
    }
    assert.deepEqual(
      await all(f.cluster.map(twice, slowly())),
      [...numbers(300)].map(n => n * 2),
    )
    assert.deepEqual(await all(f.cluster.map(twice, [7, 8], { entries: true })), [
      [0, 14],
      [1, 16],
    ])
  })

  test('unordered: each once, as they come', async () => {
    await using f = await connected()
    f.leader.run = (_task, input) => (input === 0 ? 'pending' : { value: input })
    const results = f.cluster.map(echo, numbers(5000), { ordered: false, entries: true, id: 'unordered' })
    const seen = new Map<number, unknown>()
    for (let i = 0; i < 4999; i++) {
      const [index, value] = (await results.next()).value as [number, unknown]
      assert.ok(!seen.has(index))
      seen.set(index, value)
    }
    f.leader.settle('unordered', [[0, { value: 'late' }]])
    assert.deepEqual((await results.next()).value, [0, 'late'])
    assert.equal((await results.next()).done, true)
    for (let i = 1; i < 5000; i++) assert.equal(seen.get(i), i)
  })

  test('releases each result exactly once, in ranges', async () => {
    await using f = await connected()
    await all(f.cluster.map(echo, numbers(10_000), { id: 'released' }))
    await f.leader.when('all released', () => f.leader.jobs.get('released')!.released.size === 10_000)
    assert.ok(messages(f.leader, 'releaseResults').length < 20)
  })

  test('pulls no further than the window ahead of what was taken', async () => {
    await using f = await connected()
    let pulled = 0
    function* source() {
      for (;;) yield pulled++
    }
    const results = f.cluster.map(echo, source(), { window: 10 })
    for (let taken = 1; taken <= 100; taken++) {
      await results.next()
      assert.ok(pulled <= taken + 10, `${pulled} pulled, ${taken} taken`)
    }
    await results.return?.()
    assert.ok(pulled <= 110)
  })

  test('large results make the window small', async () => {
    await using f = await connected()
    let pulled = 0
    function* source() {
      for (; pulled < 6000; ) yield pulled++
    }
    f.leader.run = () => ({ value: Buffer.alloc(60_000) })
    const results = f.cluster.map(echo, source())
    await results.next()
    const first = pulled
    for (let i = 0; i < first + 200; i++) await results.next()
    // 16 MiB outstanding at 60,000 bytes each.
    assert.ok(pulled - (first + 201) <= 280, `${pulled} pulled`)
  })

  test('a failed task ends it, cancels the rest and closes the source', async () => {
    await using f = await connected()
    f.leader.run = (_task, input) => (input === 50 ? { failure } : { value: input })
    let closed = false
    function* source() {
      try {
        yield* numbers(1_000_000)
      } finally {
        closed = true
      }
    }
    const seen: unknown[] = []
    await assert.rejects(async () => {
      for await (const result of f.cluster.map(echo, source(), { id: 'failing' })) seen.push(result)
    }, TaskFailedError)
    assert.equal(seen.length, 50)
    assert.ok(closed)
    await f.leader.when('cancelled', () => f.leader.jobs.get('failing')!.state === 'cancelled')
    await f.leader.when('given up', () => messages(f.leader, 'releaseResults').length > 0)
  })

  test('or is yielded like a result', async () => {
    await using f = await connected()
    f.leader.run = (_task, input) => ((input as number) % 2 ? { failure } : { value: input })
    const outcomes = await all(f.cluster.map(echo, numbers(100), { errors: 'yield', entries: true }))
    assert.equal(outcomes.length, 100)
    for (const [index, outcome] of outcomes) assert.ok(index % 2 ? outcome instanceof TaskFailedError : outcome === index)
  })

  test('leaving the loop early cancels the rest and closes the source', async () => {
    await using f = await connected()
    let closed = 0
    async function* source() {
      try {
        for (let i = 0; ; i++) yield i
      } finally {
        closed++
      }
    }
    for await (const result of f.cluster.map(echo, source(), { id: 'left' })) if (result === 3000) break
    assert.equal(closed, 1)
    await f.leader.when('cancelled', () => f.leader.jobs.get('left')!.state === 'cancelled')
    const unused = f.cluster.map(echo, source())
    await unused.return?.()
    assert.equal((await unused.next()).done, true)
    assert.equal(f.leader.jobs.size, 1)
  })

  test('a signal ends it at once', async () => {
    await using f = await connected()
    f.leader.run = () => 'pending'
    const abort = new AbortController()
    const results = f.cluster.map(echo, numbers(10), { signal: abort.signal, id: 'aborted' })
    const first = results.next()
    await f.leader.when('submitted', () => f.leader.jobs.has('aborted'))
    abort.abort(new Error('enough'))
    await assert.rejects(first, /enough/)
    assert.equal((await results.next()).done, true)
    await f.leader.when('cancelled', () => f.leader.jobs.get('aborted')!.state === 'cancelled')
    await assert.rejects(f.cluster.map(echo, [1], { signal: abort.signal }).next(), /enough/)
  })

  test('a source that throws, an input that cannot travel and one that the schema refuses end it', async () => {
    await using f = await connected()
    function* source() {
      yield 1
      throw new Error('no more')
    }
    await assert.rejects(all(f.cluster.map(echo, source())), /no more/)
    let closed = false
    function* bad() {
      try {
        yield 1
        yield () => 1
      } finally {
        closed = true
      }
    }
    await assert.rejects(all(f.cluster.map(echo, bad())), { code: 'VALUE_CANNOT_TRAVEL' })
    assert.ok(closed)
    const checked = task({ name: 'checked-map', input: z.string().refine(async text => text !== 'bad'), run: text => text })
    assert.deepEqual(await all(f.cluster.map(checked, ['a', 'b'])), ['a', 'b'])
    await assert.rejects(all(f.cluster.map(checked, ['a', 'bad'])), { code: 'SCHEMA_VIOLATION' })
    assert.throws(() => f.cluster.map(echo, 5 as never), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => f.cluster.map(echo, [], { window: 0 }), { code: 'INVALID_ARGUMENT' })
  })

  test('a job that somebody cancels ends it', async () => {
    await using f = await connected()
    f.leader.run = (_task, input) => (input === 5 ? 'pending' : { value: input })
    const results = f.cluster.map(echo, numbers(10), { id: 'operated' })
    for (let i = 0; i < 5; i++) assert.equal((await results.next()).value, i)
    const waiting = results.next()
    f.leader.finish('operated', 'cancelled', 'by an operator')
    await assert.rejects(waiting, { code: 'TASK_CANCELLED', message: /by an operator/ })
  })

  test('calls of next that wait are answered in their order', async () => {
    await using f = await connected()
    const results = f.cluster.map(twice, numbers(5))
    f.leader.run = (_task, input) => ({ value: input })
    const answers = await Promise.all([results.next(), results.next(), results.next(), results.next(), results.next(), results.next()])
    assert.deepEqual(
      answers.map(({ value }) => value),
      [0, 1, 2, 3, 4, undefined],
    )
  })

  test('a leader that is full gets the same inputs again, in order', async () => {
    await using f = await connected()
    let messagesSeen = 0
    let refused = 0
    f.leader.intercept = (message, connection) => {
      if (message.kind !== 'addTasks' || messagesSeen++ % 3 !== 0 || refused >= 20) return false
      refused++
      f.leader.fail(connection, message.request, 'OVERLOADED', 1)
      return true
    }
    const results = await all(f.cluster.map(echo, numbers(60_000)))
    assert.equal(results.length, 60_000)
    assert.ok(results.every((result, index) => result === index))
    assert.ok(refused >= 5, `${refused} refused`)
  })

  test('crashes of the leader lose nothing and repeat nothing', async () => {
    for (const ordered of [true, false]) {
      await using f = await connected()
      let seen = 0
      let crashes = 0
      f.leader.intercept = message => {
        if (message.kind !== 'addTasks' && message.kind !== 'releaseResults' && message.kind !== 'submitJobs') return false
        if (++seen % 7 !== 0 || crashes >= 8) return false
        crashes++
        f.leader.crash()
        return seen % 2 === 0
      }
      const results = await all(f.cluster.map(echo, numbers(60_000), { ordered }))
      assert.ok(crashes >= 4, `${crashes} crashes`)
      const sorted = ordered ? results : (results as number[]).sort((a, b) => a - b)
      assert.equal(sorted.length, 60_000)
      assert.ok(sorted.every((result, index) => result === index))
    }
  })

  test('the same id again, after another client has gone, gives what is left', async () => {
    const leader = new FakeLeader()
    leader.run = () => 'pending'
    {
      await using first = await connected({ leader })
      const results = first.cluster.map(echo, numbers(100), { id: 'resumed', detached: true })
      const answer = results.next()
      answer.catch(() => undefined)
      await leader.when('submitted', () => leader.jobs.get('resumed')?.sealed === true)
    }
    leader.settle(
      'resumed',
      Array.from({ length: 100 }, (_, index) => [index, { value: index }]),
    )
    await using second = await connected({ leader })
    assert.deepEqual(await all(second.cluster.map(echo, numbers(100), { id: 'resumed', detached: true })), [...numbers(100)])
  })

  test('results that nobody keeps any more are said to be gone', async () => {
    await using f = await connected()
    await all(f.cluster.map(echo, numbers(10), { id: 'taken' }))
    await f.leader.when('released', () => f.leader.jobs.get('taken')!.released.size === 10)
    await assert.rejects(all(f.cluster.map(echo, numbers(10), { id: 'taken' })), { code: 'RESULT_GONE' })
  })

  test('a result that is no value is an error of its own', async () => {
    await using f = await connected()
    f.leader.intercept = (message, connection) => {
      if (message.kind !== 'submitJobs' || f.leader.programs.size === 0) return false
      f.leader.handle(message, connection)
      const items = Buffer.from([2, 2, 2, 0, 0xff, 0, 5])
      connection.send({ kind: 'results', job: message.jobs[0]!.plan.job, stage: 0, first: 0, items })
      return true
    }
    f.leader.run = () => 'pending'
    const outcomes = await all(f.cluster.map(echo, [1, 2], { errors: 'yield' }))
    assert.ok(outcomes[0] instanceof CoxswainError && outcomes[0].code === 'VALUE_MALFORMED')
    assert.equal(outcomes[1], 5)
  })

  test('closing the connection ends it', async () => {
    const f = await connected()
    f.leader.run = () => 'pending'
    const results = f.cluster.map(echo, [1])
    const first = results.next()
    first.catch(() => undefined)
    await f.leader.when('submitted', () => f.leader.jobs.size === 1)
    await f.cluster.close()
    await assert.rejects(first, { code: 'CONNECTION_LOST' })
  })
})

test('a set of ranges is a set of numbers', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(40), fc.nat(9)), { maxLength: 15 }), additions => {
      const ranges = new RangeSet()
      const plain = new Set<number>()
      for (const [first, count] of additions) {
        const fresh = ranges.add(first, count).flatMap(range => Array.from({ length: range.count }, (_, i) => range.first + i))
        const expected = Array.from({ length: count }, (_, i) => first + i).filter(number => !plain.has(number))
        assert.deepEqual(fresh, expected)
        for (const number of expected) plain.add(number)
        const found = ranges.ranges()
        for (let i = 1; i < found.length; i++) assert.ok(found[i]!.first > found[i - 1]!.first + found[i - 1]!.count)
        assert.equal(
          found.reduce((sum, range) => sum + range.count, 0),
          plain.size,
        )
        for (let number = 0; number < 55; number++) assert.equal(ranges.has(number), plain.has(number))
      }
    }),
    { numRuns: 2000 },
  )
})
