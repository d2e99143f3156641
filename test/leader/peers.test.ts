// Shows how the leader treats those who connect: who is welcome, who is thrown out, who is lost, and who must not be judged.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clientBufferBytesMax } from '../../src/leader/links.ts'
import { clientToLeader, encodeMessage, protocolVersion, workerToLeader } from '../../src/protocol/index.ts'
import { ScriptedClient, ScriptedWorker } from '../fakes/peers.ts'
import { inputs, stage } from '../fakes/plans.ts'
import { finished } from '../fakes/worker.ts'
import { House } from './house.ts'

describe('a greeting', () => {
  it('is answered with what the peer must know', async () => {
    const house = await House.open()
    const client = await house.client()
    const { cluster } = house.endpoint
    assert(client.welcomed?.kind === 'welcome')
    assert.deepEqual(
      [client.welcomed.cluster, client.welcomed.epoch, client.welcomed.leader, client.welcomed.protocol],
      [cluster, 1, 'candidate-1', protocolVersion],
    )
    await client.connect(house.address, { cluster })
    assert.equal(client.welcomed?.kind, 'welcome')
  })

  it('of another cluster, another protocol or another role is refused', async () => {
    const house = await House.open()
    const code = async (said: Parameters<ScriptedClient['connect']>[1]): Promise<string | undefined> => {
      const client = new ScriptedClient(house.world)
      await client.connect(house.address, said)
      assert.notEqual(client.closed, undefined)
      return client.welcomed?.kind === 'refused' ? client.welcomed.code : undefined
    }
    assert.equal(await code({ cluster: 'another' }), 'WRONG_CLUSTER')
    assert.equal(await code({ protocol: protocolVersion + 1 }), 'VERSION_MISMATCH')
    assert.equal(await code({ role: 'worker' }), 'FORBIDDEN')
    // Without the right to speak it deposes nobody.
    assert.equal(await code({ role: 'worker', epochSeen: 99 }), 'FORBIDDEN')
    assert.equal(house.ended, undefined)
  })

  it('without a token is refused by the transport', async () => {
    const house = await House.open()
    const client = new ScriptedClient(house.world)
    await client.connect(house.address, {}, 'stolen')
    assert.equal(client.refused, 401)
  })

  it('that does not come ends the connection', async () => {
    const house = await House.open()
    const client = new ScriptedClient(house.world)
    await client.connectSilently(house.address)
    await house.world.advance(9_999)
    assert.equal(client.closed, undefined)
    await house.world.advance(2)
    assert.equal(client.closed, 'it did not say hello')
  })
})

describe('bytes that are no message', () => {
  it('end the connection of their sender, and nothing else', async () => {
    const house = await House.open()
    const client = await house.client()
    for (const frame of [Buffer.alloc(0), Buffer.from([255, 1, 2]), Buffer.from([1, 1]), Buffer.alloc(100, 7)]) {
      const hostile = await house.client('hostile')
      hostile.connection.send(frame)
      hostile.connection.send(frame)
      await house.world.calm()
      assert.match(hostile.closed!, /^FRAME_MALFORMED/)
      const mute = new ScriptedClient(house.world)
      await mute.connectSilently(house.address)
      mute.connection.send(frame)
      await house.world.calm()
      assert.match(mute.closed!, /^FRAME_MALFORMED/)
    }
    assert.equal((await client.view('status')).leader.id, 'candidate-1')
  })

  it('in the inputs of a job are refused with it', async () => {
    const { house, client } = await House.ready()
    const answer = await house.submit(client, 'job', 1, { inputs: [{ ...inputs(1), items: Buffer.from([9, 9]) }] })
    assert(answer?.kind === 'submitted' && answer.outcomes[0]!.error?.code === 'FRAME_MALFORMED')
  })

  it('in the outcomes of a worker end its connection, and its work goes to others', async () => {
    const { house, client, worker } = await House.staffed()
    await house.submit(client, 'job', 1)
    await worker.say({ kind: 'report', lane: worker.lane.id, from: 0, outcomes: [{ ...finished(worker.lane), count: 2 } as never] })
    assert.match(worker.closed!, /^FRAME_MALFORMED/)
    const other = await house.worker('w2')
    assert.equal(other.of('assign').length, 1)
  })
})

describe('a client', () => {
  it('that does not read is disconnected, and its job goes on', async () => {
    const { house, client, worker } = await House.staffed()
    await house.submit(client, 'job', 3)
    const far = client.connection.peer
    client.connection.pause()
    far.send(Buffer.alloc(clientBufferBytesMax + 1))
    await worker.finish()
    assert.match(client.closed!, /did not read/)
    await worker.finishAll()
    assert.equal(house.state.jobs.byId.get('job')!.state, 'succeeded')
  })

  it('that comes back in time keeps its jobs, even if it left before they were taken', async () => {
    const { house, client } = await House.ready()
    await house.submit(client, 'one', 1, { detached: false })
    void house.submit(client, 'two', 1, { detached: false })
    await client.hangUp()
    await house.world.advance(9_000)
    await client.connect(house.address)
    await house.world.advance(9_000)
    const running = async (): Promise<string[]> => (await client.view('jobs', { state: 'running' })).map(job => job.id)
    assert.deepEqual(await running(), ['two', 'one'])
    const second = await house.client()
    await client.hangUp()
    await house.world.advance(20_000)
    await second.hangUp()
    await client.connect(house.address, { session: 'another' })
    assert.equal((await running()).length, 2)
    await house.world.advance(10_001)
    assert.deepEqual(await running(), [])
  })

  it('hears pulses', async () => {
    const house = await House.open()
    const client = await house.client()
    await house.world.advance(2000)
    assert.equal(client.pulses, 4)
  })

  it('is refused new work while the mailbox is full, but may always let go', async () => {
    const { house, client } = await House.ready()
    house.disk.hold()
    await house.submit(client, 'one', 1, { open: true })
    await house.submit(client, 'two', 1)
    const release = { kind: 'releaseResults' as const, job: 'one', stage: 0, ranges: [] }
    const frame = encodeMessage(clientToLeader, release)
    for (let i = 0; i < 20_000; i++) client.connection.send(frame)
    await house.world.calm()
    const submit = await house.submit(client, 'three', 1)
    assert(submit?.kind === 'submitted' && submit.outcomes[0]!.error?.code === 'OVERLOADED' && submit.outcomes[0]!.error.retryAfterMs > 0)
    const add = await client.ask({ kind: 'addTasks', job: 'one', inputs: inputs(1, { first: 1 }) })
    assert(add?.kind === 'failed' && add.error.code === 'OVERLOADED')
    void client.ask({ kind: 'cancelJob', job: 'two', reason: '' })
    await house.world.calm()
    house.disk.release()
    await house.world.calm()
    assert.equal((await client.view('job', { job: 'two' })).state, 'cancelled')
    assert.equal((await client.view('jobs')).length, 2)
  })

  it('that asks without end for what cannot be refused is disconnected', async () => {
    const { house, client } = await House.ready()
    house.disk.hold()
    await house.submit(client, 'one', 1)
    await house.submit(client, 'two', 1)
    const frame = encodeMessage(clientToLeader, { kind: 'releaseResults', job: 'one', stage: 0, ranges: [] })
    for (let i = 0; i < 80_010; i++) client.connection.send(frame)
    await house.world.calm()
    assert.match(client.closed!, /^OVERLOADED/)
    house.disk.release()
    await house.world.calm()
  })
})

describe('a worker', () => {
  it('is lost with its connection, at once', async () => {
    const house = await House.open()
    const client = await house.client()
    const worker = await house.worker()
    const other = await house.worker('w2')
    await house.putProgram(client)
    await house.submit(client, 'job', 2)
    await worker.hangUp()
    assert.equal(house.state.membership.workers.has('w1'), false)
    await other.finishAll()
    assert.equal(client.the('jobChanged').state, 'succeeded')
  })

  it('that is silent is lost within three seconds, however long its connection takes to end', async () => {
    const house = await House.open()
    const worker = await house.worker()
    worker.connection.peer.vanish()
    await house.world.advance(2_400)
    assert.equal(house.state.membership.workers.has('w1'), true)
    await house.world.advance(600)
    assert.equal(house.state.membership.workers.has('w1'), false)
  })

  it('that beats regularly is missed sooner, and beats reach the views', async () => {
    const house = await House.open()
    const client = await house.client()
    const worker = await house.worker()
    for (let beat = 1; beat <= 8; beat++) {
      await house.world.advance(500)
      await worker.beat(beat)
    }
    const [view] = await client.view('workers')
    assert.deepEqual([view!.load, view!.cpuShare, view!.diskFreeBytes, view!.silentMs], [0.25, 0.25, 3, 0])
    await house.world.advance(1_100)
    assert.equal(house.state.membership.workers.has('w1'), true)
    await house.world.advance(700)
    assert.equal(house.state.membership.workers.has('w1'), false)
  })

  it('is not judged by a leader that was asleep itself', async () => {
    const house = await House.open()
    const worker = await house.worker()
    await house.world.sleep(60_000)
    assert.equal(house.state.membership.workers.has('w1'), true)
    await worker.beat()
    await house.world.advance(1_000)
    assert.equal(worker.closed, undefined)
  })

  it('that connects again while its old connection hangs gets nothing on the old one, and keeps what it runs', async () => {
    const { house, client, worker } = await House.staffed({ cpus: 2 })
    await house.submit(client, 'job', 1)
    const { lane } = worker
    const old = worker.connection
    await worker.greet(house.address)
    house.disk.hold()
    // It still goes to the old connection, and never arrives.
    await house.submit(client, 'lost', 1)
    await worker.register()
    // What comes now must wait for the registration to be durable: the old connection is dead, the new one is not there yet.
    await house.submit(client, 'more', 1)
    assert.equal(worker.of('assign').length, 0)
    house.disk.release()
    await house.world.calm()
    assert.equal(old.ended, true)
    assert.equal(worker.of('assign').length, 1)
    assert.equal(lane.open.length, 1)
    assert.equal(worker.work.incarnation, 1)
    await worker.finishAll()
    assert.deepEqual(
      client.of('jobChanged').map(one => one.state),
      ['succeeded', 'succeeded', 'succeeded'],
    )
  })

  it('that registers on two connections at once is the later one', async () => {
    const house = await House.open()
    const first = new ScriptedWorker(house.world, 'w1')
    const second = new ScriptedWorker(house.world, 'w1')
    await first.greet(house.address)
    await second.greet(house.address)
    house.disk.hold()
    await first.register()
    await second.register()
    house.disk.release()
    await house.world.calm()
    assert.equal(first.of('registered').length, 0)
    assert.match(first.closed!, /registered again/)
    assert.equal(second.the('registered').incarnation, 1)
    await house.world.calm()
    assert.equal(house.state.membership.workers.get('w1')!.incarnation, 1)
  })

  it('whose connection ends before its registration is durable is lost', async () => {
    const house = await House.open()
    const worker = new ScriptedWorker(house.world, 'w1')
    await worker.greet(house.address)
    house.disk.hold()
    await worker.register()
    await worker.hangUp()
    house.disk.release()
    await house.world.calm()
    assert.equal(house.state.membership.workers.size, 0)
  })

  it('that was declared lost is dismissed and comes back as another incarnation', async () => {
    const { house, client, worker } = await House.staffed()
    await house.submit(client, 'job', 1)
    const { lane } = worker
    const late = finished(lane)
    // A second worker of this name pushes it out.
    const twin = new ScriptedWorker(house.world, 'w1')
    twin.work.boot = 'another'
    const connection = worker.connection
    await twin.connect(house.address)
    assert.equal(connection.ended, true)
    await worker.greet(house.address)
    await worker.say({ kind: 'report', lane: lane.id, from: 0, outcomes: [late] })
    assert.match(worker.the('dismissed').reason, /declared lost/)
    await worker.register()
    assert.equal(worker.the('registered').incarnation, 3)
    assert.deepEqual(worker.the('registered').keep, [])
  })

  it('is refused where there are too many', async () => {
    const house = await House.open({ limits: { workersMax: 1 } })
    await house.worker('w1')
    const second = new ScriptedWorker(house.world, 'w2')
    await second.connect(house.address)
    assert.match(second.closed!, /^OVERLOADED/)
  })

  it('that drains is told so, again when it comes back, and gives back what it has not begun', async () => {
    const { house, client, worker } = await House.warm()
    await house.submit(client, 'job', 4)
    assert.equal((await client.ask({ kind: 'drainWorker', worker: 'w1' }))?.kind, 'done')
    assert.equal(worker.the('drain').epoch, 1)
    const { lane } = worker
    lane.truncate(1)
    await worker.say({ kind: 'returnTasks', lane: lane.id, from: 1 })
    await worker.connect(house.address)
    assert.equal(worker.of('drain').length, 1)
    await worker.finish()
    const other = await house.worker('w2')
    await other.finishAll()
    assert.equal(client.of('jobChanged').at(-1)!.state, 'succeeded')
    const unknown = await client.ask({ kind: 'drainWorker', worker: 'nobody' })
    assert(unknown?.kind === 'failed' && unknown.error.code === 'NOT_FOUND')
  })

  it('is told again what was cancelled while it was away', async () => {
    const { house, client, worker } = await House.staffed({ cpus: 2 })
    await house.submit(client, 'one', 1)
    await house.submit(client, 'two', 1, { stages: [stage({ task: 'two' })] })
    await client.ask({ kind: 'cancelTasks', job: 'one', stage: 0, ranges: [{ first: 0, count: 1 }] })
    await client.ask({ kind: 'cancelJob', job: 'two', reason: '' })
    await worker.connect(house.address)
    assert.deepEqual(
      worker.of('cancel').map(one => [one.job, one.stage, one.ranges.length]),
      [
        ['one', 0, 1],
        ['two', undefined, 0],
      ],
    )
  })

  it('asks where a block is', async () => {
    const house = await House.open()
    const worker = await house.worker('w1')
    await house.worker('w2')
    const block = 'a'.repeat(64)
    await worker.say({ kind: 'locateBlock', request: 3, holder: 'w2', block })
    await worker.say({ kind: 'locateBlock', request: 4, holder: 'nobody', block })
    assert.deepEqual(
      worker.of('blockLocated').map(one => [one.request, one.replicas.map(replica => [replica.worker, replica.address])]),
      [
        [3, [['w2', 'http://w2']]],
        [4, []],
      ],
    )
  })

  it('says what it has only after its registration: before, its reports are of nobody', async () => {
    const house = await House.open()
    const worker = new ScriptedWorker(house.world, 'w1')
    await worker.greet(house.address)
    worker.connection.send(encodeMessage(workerToLeader, { kind: 'returnTasks', lane: 5, from: 0 }))
    await house.world.calm()
    assert.equal(worker.of('dismissed').length, 1)
  })
})
