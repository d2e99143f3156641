// Holds the session to its connection: hello, refusals, reconnects, lower epochs, silence, and giving up.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Session } from '../../src/client/session.ts'
import { CoxswainError } from '../../src/protocol/index.ts'
import { FakeLeader, platformOf } from './fake-leader.ts'
import { connected, echo } from './fixture.ts'

function sessionOf(
  leader: FakeLeader,
  options: { token?: string; timeoutMs?: number; endpoint?: () => Promise<{ address: string; token: string }> } = {},
): Session {
  return new Session(
    {
      endpoint: options.endpoint ?? (async () => ({ address: 'memory', token: options.token ?? leader.token })),
      name: 'test',
      connectTimeoutMs: options.timeoutMs ?? 2000,
      reconnectTimeoutMs: options.timeoutMs ?? 2000,
      keepAlive() {
        const timer = setInterval(() => undefined, 1000)
        return () => clearInterval(timer)
      },
    },
    platformOf(leader),
  )
}

describe('the first connection', () => {
  test('says hello and learns the cluster', async () => {
    const leader = new FakeLeader()
    const session = sessionOf(leader)
    await session.open()
    assert.equal(session.cluster, 'cluster-1')
    const said = [...leader.connections][0]!.hello!
    assert.equal(said.session, session.id)
    assert.equal(said.cluster, '')
    session.close()
    await assert.rejects(session.request({ kind: 'watch', job: 'x' }), { code: 'CONNECTION_LOST' })
  })

  test('a wrong token ends it', async () => {
    const leader = new FakeLeader()
    await assert.rejects(sessionOf(leader, { token: 'wrong' }).open(), { code: 'UNAUTHENTICATED' })
    assert.equal(leader.dials, 1)
  })

  test('a leader that speaks another version ends it', async () => {
    const leader = new FakeLeader()
    leader.refusal = { kind: 'refused', code: 'VERSION_MISMATCH', message: 'this leader is release 9' }
    await assert.rejects(sessionOf(leader).open(), { code: 'VERSION_MISMATCH', message: /release 9/ })
    const newer = new FakeLeader()
    newer.protocol = 99
    await assert.rejects(sessionOf(newer).open(), { code: 'VERSION_MISMATCH', message: /protocol 99/ })
  })

  test('nobody there: UNAVAILABLE after the timeout', async () => {
    const leader = new FakeLeader()
    leader.up = false
    await assert.rejects(sessionOf(leader, { timeoutMs: 60 }).open(), { code: 'UNAVAILABLE', message: /ECONNREFUSED/ })
    assert.ok(leader.dials >= 2)
  })

  test('no address: the error of whoever should know it', async () => {
    const endpoint = async () => Promise.reject(new CoxswainError('UNAVAILABLE', 'nothing is written down'))
    await assert.rejects(sessionOf(new FakeLeader(), { endpoint }).open(), /nothing is written down/)
  })

  test('a leader that comes up late is found', async () => {
    const leader = new FakeLeader()
    leader.up = false
    const session = sessionOf(leader)
    const opening = session.open()
    await leader.when('dialled thrice', () => leader.dials >= 3)
    leader.up = true
    await opening
    session.close()
  })

  test('bytes that are no welcome are not taken for one', async () => {
    const leader = new FakeLeader()
    const accept = leader.accept.bind(leader)
    let first = true
    leader.accept = (connection, frame) => {
      if (first) connection.deliver(Buffer.from([99, 1, 2]))
      else accept(connection, frame)
      first = false
    }
    const session = sessionOf(leader)
    await session.open()
    assert.equal(leader.dials, 2)
    session.close()
  })
})

describe('later', () => {
  test('the same session comes back, with what it knows', async () => {
    await using f = await connected()
    f.leader.epoch = 3
    f.leader.crash()
    assert.equal(await f.cluster.run(echo, 1), 1)
    const said = [...f.leader.connections][0]!.hello!
    assert.equal(said.session, f.session.id)
    assert.equal(said.cluster, 'cluster-1')
    assert.equal(said.epochSeen, 1)
  })

  test('requests are sent again in their order', async () => {
    await using f = await connected()
    const seen: string[] = []
    let answering = false
    f.leader.intercept = (message, connection) => {
      if (message.kind !== 'cancelJob') return false
      seen.push(message.job)
      if (answering) connection.send({ kind: 'done', request: message.request })
      return true
    }
    const asked = Promise.all(['a', 'b', 'c'].map(job => f.cluster.job(job).cancel()))
    await f.leader.when('asked', () => seen.length === 3)
    answering = true
    f.leader.crash()
    await asked
    assert.deepEqual(seen, ['a', 'b', 'c', 'a', 'b', 'c'])
  })

  test('a leader of a lower epoch is left alone', async () => {
    await using f = await connected()
    f.leader.epoch = 5
    f.leader.crash()
    await f.cluster.run(echo, 1)
    f.leader.epoch = 4
    const dials = f.leader.dials
    f.leader.crash()
    const call = f.cluster.run(echo, 2)
    await f.leader.when('greeted again and again', () => f.leader.dials >= dials + 2)
    assert.equal(f.leader.jobs.size, 1)
    f.leader.epoch = 6
    assert.equal(await call, 2)
  })

  test('a silent leader is left after a while', async () => {
    await using f = await connected()
    f.leader.intercept = () => true
    f.leader.pulses = false
    const call = f.cluster.run(echo, 1)
    await f.leader.when('dialled again', () => f.leader.dials === 2)
    f.leader.intercept = () => false
    f.leader.pulses = true
    assert.equal(await call, 1)
  })

  test('a leader that takes the connection and never greets is left after a while', async () => {
    await using f = await connected()
    f.leader.greets = false
    f.leader.crash()
    const call = f.cluster.run(echo, 1)
    await f.leader.when('dialled a third time', () => {
      if (f.leader.dials === 3) f.leader.greets = true
      return f.leader.greets
    })
    assert.equal(await call, 1)
  })

  test('it gives up after its time, and says so to all that wait', async () => {
    const f = await connected({ reconnectTimeoutMs: 80 })
    f.leader.run = () => 'pending'
    const call = f.cluster.run(echo, 1)
    call.catch(() => undefined)
    const handle = await f.cluster.submit(echo, 2)
    const events = handle.events()
    await events.next()
    f.leader.up = false
    f.leader.crash()
    await assert.rejects(call, { code: 'CONNECTION_LOST' })
    await assert.rejects(handle.status(), { code: 'CONNECTION_LOST' })
    await assert.rejects(events.next(), { code: 'CONNECTION_LOST' })
    await f.cluster.close()
    await f.cluster.close()
  })

  test('a job that the leader has forgotten is told to who waits for it', async () => {
    await using f = await connected()
    f.leader.run = () => 'pending'
    const handle = await f.cluster.submit(echo, 1)
    const result = handle.result()
    result.catch(() => undefined)
    await f.leader.when('watched', () => [...f.leader.connections].some(connection => connection.watched.has(handle.id)))
    // The answer to `watch` has come when this later one has.
    await handle.status()
    f.leader.jobs.delete(handle.id)
    f.leader.crash()
    await assert.rejects(result, { code: 'NOT_FOUND' })
  })

  test('frames that are no messages end the connection, not the session', async () => {
    await using f = await connected()
    for (const connection of f.leader.connections) connection.deliver(Buffer.from([250, 1]))
    await f.leader.when('dialled again', () => f.leader.dials === 2)
    assert.equal(await f.cluster.run(echo, 1), 1)
  })
})
