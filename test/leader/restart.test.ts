// Shows that a leader's death costs nothing: what was acknowledged is there, what runs goes on, nothing is committed twice.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inputs } from '../fakes/plans.ts'
import { finished } from '../fakes/worker.ts'
import { House } from './house.ts'

/** A job of eight tasks on one worker that has them all in one lane; two are done. */
async function busyHouse() {
  const { house, client, worker } = await House.warm()
  await house.submit(client, 'job', 8)
  const { lane } = worker
  await worker.finish(2)
  assert.equal(lane.open.length, 6)
  return { house, client, worker, lane }
}

describe('after the leader died', () => {
  it('jobs and results are there, and a worker goes on with what it runs', async () => {
    const { house, client, worker, lane } = await busyHouse()
    const assigned = worker.of('assign').length
    await house.restart()
    assert.equal(house.endpoint.epoch, 2)
    await worker.connect(house.address)
    assert.equal(lane.open.length, 6)
    assert.equal(worker.of('assign').length, 0)
    assert(assigned > 0)
    await client.connect(house.address, { epochSeen: 1 })
    assert.equal(client.welcomed?.kind === 'welcome' && client.welcomed.epoch, 2)
    await worker.finish(6)
    assert.equal((await client.view('job', { job: 'job' })).state, 'succeeded')
    const records = await house.records()
    assert.equal(records.filter(record => record.kind === 'TasksReturned' || record.kind === 'TaskFailed').length, 0)
  })

  it('a client is sent all results that it has not released, each once', async () => {
    const { house, client, worker } = await busyHouse()
    await house.restart()
    await worker.connect(house.address)
    await client.connect(house.address)
    assert.equal((await client.ask({ kind: 'watch', job: 'job' }))?.kind, 'done')
    await worker.finish(6)
    assert.deepEqual(
      client.of('results').map(message => message.first),
      [0, 2],
    )
    assert.equal(client.the('jobChanged').state, 'succeeded')
  })

  it('what a worker finished and could not tell is committed once', async () => {
    const { house, worker, lane } = await busyHouse()
    await house.kill()
    const kept = finished(lane, 3)
    worker.work.settle(lane, [kept])
    await house.start()
    await worker.connect(house.address)
    // It said so again; the acknowledgement may be lost, and it says so once more.
    await worker.say({ kind: 'report', lane: lane.id, from: 2, outcomes: [kept] })
    await worker.finish(3)
    const committed = (await house.records())
      .filter(record => record.kind === 'TasksFinished')
      .reduce((sum, record) => sum + record.count, 0)
    assert.equal(committed, 9)
  })

  it('outcomes that were durable and not acknowledged need not be told again', async () => {
    const { house, worker, lane } = await busyHouse()
    worker.work.acknowledge(lane, 2)
    lane.acknowledged = 0
    lane.kept = [{ kind: 'skipped', count: 2 }]
    await house.restart()
    await worker.greet(house.address)
    await worker.register()
    assert.deepEqual(worker.of('acknowledge')[0]!.lanes, [{ lane: lane.id, count: 2 }])
    assert.equal(house.state.jobs.byId.get('job')!.stages[0]!.succeeded, 2)
  })

  it('work that it handed out and that was not durable goes on where it runs', async () => {
    const { house, worker, lane } = await busyHouse()
    house.disk.hold()
    const client = await house.client('session-2')
    await house.submit(client, 'more', 1)
    await worker.finish(6)
    const started = worker.of('assign').at(-1)!
    assert.equal(started.runs[0]!.job, 'more')
    house.store.kill()
    house.disk.release()
    await house.kill()
    await house.start()
    // Nothing of it is known; the client submits it again, since it was not answered.
    const again = await house.client('session-2')
    await house.submit(again, 'more', 1)
    const other = await house.worker('w2')
    assert.equal(other.of('assign').length, 0)
    await worker.connect(house.address)
    assert.equal(worker.of('assign').length, 0)
    assert.equal(lane.head, 8)
    assert.deepEqual(
      worker.work.tasks.map(task => task.job),
      ['more'],
    )
    await worker.finish()
    assert.equal(again.the('jobChanged').state, 'succeeded')
    const adopted = (await house.records()).filter(record => record.kind === 'TasksAssigned' && record.adopted)
    assert.equal(adopted.length, 1)
  })

  it('workers that do not come back are lost, and their work goes to others', async () => {
    const { house, worker } = await busyHouse()
    await house.restart()
    const other = await house.worker('w2')
    await house.world.advance(2999)
    assert.equal(other.of('assign').length, 0)
    await house.world.advance(2)
    assert.equal(house.state.membership.workers.has('w1'), false)
    assert(other.of('assign').length > 0)
    await worker.connect(house.address)
    assert.deepEqual([worker.the('registered').incarnation, worker.the('registered').keep], [3, []])
  })

  it('sessions that do not come back end, with the jobs that end with them', async () => {
    const { house, client } = await House.ready()
    await house.submit(client, 'attached', 1, { detached: false })
    await house.submit(client, 'detached', 1)
    await house.restart()
    const stays = await house.client('session-2')
    await house.world.advance(9999)
    assert.equal((await stays.view('job', { job: 'attached' })).state, 'running')
    await house.world.advance(2)
    assert.equal((await stays.view('job', { job: 'attached' })).state, 'cancelled')
    assert.equal((await stays.view('job', { job: 'detached' })).state, 'running')
  })

  it('pauses before the next attempt go on', async () => {
    const { house, client, worker } = await House.staffed()
    const plan = house.plan('job')
    plan.stages[0]!.retry = { retriesMax: 1, backoffBaseMs: 4000, backoffMsMax: 4000 }
    await client.ask({
      kind: 'submitJobs',
      jobs: [{ plan, inputs: [inputs(1)], flow: undefined, policies: [], run: undefined, watch: false }],
    })
    await worker.end([{ kind: 'failed', code: 'TASK_FAILED', message: '', stack: '', retryable: true, elapsedMicros: 1 }])
    await house.restart()
    await worker.connect(house.address)
    assert.equal(worker.of('assign').length, 0)
    await house.world.advance(3100)
    assert.equal(worker.of('assign')[0]!.runs[0]!.attempt, 2)
  })
})

describe('a leader that is deposed', () => {
  it('by a peer that has seen a higher epoch ends', async () => {
    const house = await House.open()
    const client = await house.client()
    await client.connect(house.address, { epochSeen: 9 })
    assert(client.welcomed?.kind === 'refused' && client.welcomed.code === 'FENCED')
    await house.world.calm()
    assert.match(house.ended!, /^FENCED: A peer has seen epoch 9/)
  })

  it('sends everybody away although the store does not answer, and ends when it does', async () => {
    const { house, client } = await House.ready()
    house.disk.hold()
    await house.submit(client, 'never kept', 1)
    const peer = await house.client()
    await peer.connect(house.address, { epochSeen: 9 })
    await house.world.advance(199)
    assert.equal(client.closed, undefined)
    await house.world.advance(1)
    assert.notEqual(client.closed, undefined)
    assert.equal(house.ended, undefined)
    house.disk.release()
    await house.world.calm()
    assert.match(house.ended!, /^FENCED/)
  })

  it('by the store ends, without a word to anyone', async () => {
    const house = await House.open()
    const old = house.leader
    const client = await house.client()
    await house.start('candidate-2')
    await house.world.calm()
    assert.match(await Promise.race([old.ended, 'still there']), /^FENCED/)
    assert.notEqual(client.closed, undefined)
  })
})
