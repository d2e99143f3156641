// Shows a task's whole way through the leader by messages, and that nobody is told of anything before it is durable.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Chunk, type LeaderToClient } from '../../src/protocol/index.ts'
import { chunkOf, inputs, stage } from '../fakes/plans.ts'
import { failed, finished } from '../fakes/worker.ts'
import { House, programBytes, programId } from './house.ts'

/** The texts of all results that a client was sent, by task. */
function results(heard: readonly LeaderToClient[], job: string): Map<number, string> {
  const texts = new Map<number, string>()
  for (const message of heard) {
    if (message.kind !== 'results' || message.job !== job) continue
    const chunk = new Chunk(message.items)
    for (let i = 0; i < chunk.count; i++) {
      assert(!texts.has(message.first + i), `task ${message.first + i} was sent twice`)
      texts.set(message.first + i, chunk.item(i).toString())
    }
  }
  return texts
}

describe('a task', () => {
  it('goes from its client to a worker and back', async () => {
    const house = await House.open()
    const client = await house.client()
    const worker = await house.worker()
    const missing = await house.submit(client, 'job', 3)
    assert(missing?.kind === 'submitted' && missing.outcomes[0]!.error?.code === 'PROGRAM_MISSING')
    assert.equal((await client.ask({ kind: 'putProgram', program: programId, bytes: programBytes }))?.kind, 'done')
    assert.deepEqual(await house.submit(client, 'job', 3), {
      kind: 'submitted',
      request: 3,
      outcomes: [{ job: 'job', existing: false, error: undefined }],
    })

    const assign = worker.the('assign')
    assert.equal(assign.plan?.task, 'work')
    assert.deepEqual([assign.epoch, assign.incarnation], [1, 1])
    assert.deepEqual(assign.runs[0], { job: 'job', stage: 0, first: 0, count: 1, attempt: 1 })
    assert.deepEqual(
      assign.inputs.map(bytes => Buffer.from(bytes)),
      [chunkOf(['iiii'])],
    )
    await worker.say({ kind: 'getProgram', request: 5, program: programId })
    assert.deepEqual(Buffer.from(worker.the('program').bytes!), programBytes)
    await worker.say({ kind: 'getProgram', request: 6, program: 'f'.repeat(64) })
    assert.equal(worker.of('program')[1]!.bytes, undefined)

    await worker.finishAll()
    assert.deepEqual(
      [...results(client.heard, 'job')],
      [0, 1, 2].map(index => [index, `result of job/0/${index}`]),
    )
    assert.deepEqual(client.the('jobChanged'), { kind: 'jobChanged', job: 'job', state: 'succeeded', reason: '' })
    assert.equal(worker.work.lanes.size, 0)
    // Later lanes of the worker need the plan again; more tasks of an open one do not.
    assert.equal(client.heard.at(-1)!.kind, 'jobChanged')
  })

  it('that fails for good is told with its attempts; a failure that is tried again is not told', async () => {
    const { house, client, worker } = await House.staffed()
    await house.submit(client, 'job', 1, { stages: [stage({ retries: 1, backoffMs: 1000 })] })
    await worker.end([failed()])
    assert.deepEqual(client.of('tasksFailed'), [])
    await house.world.advance(749)
    assert.equal(worker.of('assign').length, 1)
    await house.world.advance(2)
    assert.equal(worker.of('assign')[1]!.runs[0]!.attempt, 2)
    await worker.end([failed('TASK_TIMEOUT')])
    const { failures } = client.the('tasksFailed')
    assert.deepEqual(
      [failures[0]!.code, failures[0]!.stack, failures[0]!.attempts.map(one => one.code)],
      ['TASK_TIMEOUT', 'at TASK_TIMEOUT', ['TASK_FAILED', 'TASK_TIMEOUT']],
    )
    assert.equal(client.the('jobChanged').state, 'failed')
  })

  it('of an array that grows is sent on as it comes, behind what its lane has', async () => {
    const { house, client, worker } = await House.staffed()
    await house.submit(client, 'job', 1, { open: true })
    await worker.finish()
    for (let first = 1; first < 61; first += 20) {
      assert.equal((await client.ask({ kind: 'addTasks', job: 'job', inputs: inputs(20, { first, open: true }) }))?.kind, 'done')
    }
    await worker.finish(15)
    await worker.finish(5)
    const extension = worker.of('assign').at(-1)!
    assert.equal(extension.lane, worker.lane.id)
    assert.equal(extension.plan, undefined)
    while (worker.work.busy.length > 0) await worker.finish(Math.min(10, worker.lane.open.length))
    assert.equal((await client.ask({ kind: 'addTasks', job: 'job', inputs: inputs(0, { first: 61 }) }))?.kind, 'done')
    assert.equal(results(client.heard, 'job').size, 61)
    assert.equal(client.the('jobChanged').state, 'succeeded')
  })

  it('of a job that is cancelled is told to stop at once, and comes back as skipped', async () => {
    const { house, client, worker } = await House.staffed({ cpus: 2 })
    await house.submit(client, 'one', 1)
    await house.submit(client, 'job', 3)
    assert.equal((await client.ask({ kind: 'cancelTasks', job: 'one', stage: 0, ranges: [{ first: 0, count: 1 }] }))?.kind, 'done')
    const single = worker.the('cancel')
    assert.deepEqual([single.job, single.stage, single.ranges], ['one', 0, [{ first: 0, count: 1 }]])
    worker.forget()
    assert.equal((await client.ask({ kind: 'cancelJob', job: 'job', reason: 'enough' }))?.kind, 'done')
    const whole = worker.the('cancel')
    assert.deepEqual([whole.job, whole.stage, whole.ranges, whole.epoch], ['job', undefined, [], 1])
    assert.deepEqual(
      client.of('jobChanged').map(one => [one.job, one.state, one.reason]),
      [['job', 'cancelled', 'enough']],
    )
    for (const lane of worker.work.busy) await worker.end([{ kind: 'skipped', count: 1 }], lane)
    assert.deepEqual(results(client.heard, 'job').size, 0)
    assert.equal(house.state.jobs.byId.get('job')!.finishedAtMs > 0, true)
  })

  it('that reports progress is heard by those who watch', async () => {
    const house = await House.open()
    const client = await house.client()
    const stranger = await house.client('session-2')
    const worker = await house.worker()
    await house.putProgram(client)
    await house.submit(client, 'job', 1)
    const progress = { kind: 'progress' as const, job: 'job', stage: 0, index: 0, fraction: 0.5, note: 'half' }
    await worker.say(progress)
    assert.deepEqual(client.the('progress'), progress)
    assert.deepEqual(stranger.heard, [])
  })
})

describe('nobody is told before it is durable', () => {
  it('but work is handed out at once', async () => {
    const { house, client, worker } = await House.staffed()
    house.disk.hold()
    assert.equal(await house.submit(client, 'job', 1), undefined)
    assert.equal(worker.of('assign').length, 1)
    await worker.finish()
    assert.deepEqual(client.of('results'), [])
    assert.deepEqual(worker.of('acknowledge'), [])
    assert.equal(house.disk.waiting, 2)
    house.disk.release()
    await house.world.calm()
    assert.deepEqual(
      client.heard.slice(1).map(message => message.kind),
      ['submitted', 'results', 'jobChanged'],
    )
    assert.equal(worker.of('acknowledge').length, 1)
  })

  it('two appends are under way at most; what comes meanwhile gathers in the next', async () => {
    const { house, client } = await House.ready()
    house.disk.hold()
    for (const id of ['a', 'b', 'c', 'd', 'e']) await house.submit(client, id, 1)
    assert.equal(house.disk.waiting, 2)
    const rows = house.disk.rows.length
    house.disk.release()
    await house.world.calm()
    assert.equal(house.disk.rows.length, rows + 3)
    assert.deepEqual(
      client.of('submitted').map(message => message.outcomes[0]!.job),
      ['a', 'b', 'c', 'd', 'e'],
    )
  })

  it('an answer that needs no record waits for those before it', async () => {
    const { house, client } = await House.ready()
    house.disk.hold()
    await house.submit(client, 'job', 1)
    assert.equal(await house.submit(client, 'job', 1), undefined)
    assert.equal(await client.ask({ kind: 'ask', view: 'job', argument: '{"job":"job"}' }), undefined)
    assert.equal(await client.ask({ kind: 'readResults', job: 'job', stage: 0, first: 0, count: 1 }), undefined)
    assert.equal(await client.ask({ kind: 'watch', job: 'job' }), undefined)
    house.disk.release()
    await house.world.calm()
    const kinds = client.heard.slice(1).map(message => message.kind)
    assert.deepEqual(kinds.slice(0, 3), ['submitted', 'submitted', 'view'])
    assert.deepEqual(kinds.slice(3).sort(), ['done', 'resultsRead'])
    assert.deepEqual(
      client.of('submitted').map(message => message.outcomes[0]!.existing),
      [false, true],
    )
  })

  it('nobody at all when the disk refuses: the leadership is over', async () => {
    const { house, client, worker } = await House.staffed()
    await house.submit(client, 'before', 1)
    client.forget()
    worker.forget()
    house.disk.failing = true
    assert.equal(await house.submit(client, 'job', 1), undefined)
    await house.world.calm()
    assert.match(house.ended!, /^JOURNAL_WRITE_FAILED/)
    assert.deepEqual(client.heard, [])
    assert.deepEqual(worker.of('acknowledge'), [])
    assert.notEqual(client.closed, undefined)
    house.disk.failing = false
    await house.start()
    await client.connect(house.address)
    assert.deepEqual(
      (await client.view('jobs')).map(job => job.id),
      ['before'],
    )
  })

  it('nobody when another leader took the disk', async () => {
    const { house, client } = await House.ready()
    const [old, address] = [house.leader, house.address]
    house.disk.hold()
    const starting = house.start('candidate-2')
    await house.world.calm()
    // The claim of the other stands before this append in the disk's queue.
    await house.submit(client, 'lost', 1)
    house.disk.release()
    await starting
    await house.world.calm()
    assert.match(await Promise.race([old.ended, 'still there']), /^FENCED: A newer leader than epoch 1 writes the journal/)
    assert.notEqual(address, house.address)
    assert.deepEqual(client.of('submitted'), [])
    assert.notEqual(client.closed, undefined)
  })
})

describe('a leader that stops', () => {
  it('leaves a snapshot, and the next one goes on from it', async () => {
    const { house, client, worker } = await House.staffed()
    await house.submit(client, 'job', 2)
    await worker.finish()
    const stopped = house.leader.stop('it was asked to')
    await house.world.calm()
    await stopped
    assert.equal(house.ended, 'it was asked to')
    assert.equal(house.disk.snapshots.length, 1)
    assert.notEqual(client.closed, undefined)
    await house.leader.stop('again')
    await house.start()
    await worker.connect(house.address)
    await worker.finish()
    assert.equal(house.state.jobs.byId.get('job')!.state, 'succeeded')
  })

  it('has not led where its port is taken or it cannot be announced', async () => {
    const house = await House.open()
    const port = Number(house.address.split(':').at(-1))
    await assert.rejects(house.start('candidate-2', port), { code: 'ADDRESS_IN_USE' })
  })
})

describe('a report', () => {
  it('with outcomes of several kinds is acknowledged as a whole', async () => {
    const { house, client, worker } = await House.warm()
    await house.submit(client, 'job', 6)
    const { lane } = worker
    assert.equal(lane.open.length, 6)
    const rest = { kind: 'finished' as const, count: 2, items: chunkOf(['x', 'y']), blocks: [], elapsedMicros: 10 }
    await worker.end([finished(lane, 3), failed('TASK_FAILED', false), rest], lane)
    assert.deepEqual(worker.of('acknowledge').at(-1)!.lanes, [{ lane: lane.id, count: 6 }])
    assert.deepEqual([...results(client.heard, 'job').keys()], [0, 1, 2, 4, 5])
    assert.equal(client.of('tasksFailed')[0]!.failures[0]!.index, 3)
  })

  it('that was recorded already is acknowledged again', async () => {
    const { house, client, worker } = await House.staffed()
    await house.submit(client, 'job', 1)
    const { lane } = worker
    const told = [finished(lane)]
    await worker.end(told, lane)
    worker.forget()
    await worker.say({ kind: 'report', lane: lane.id, from: 0, outcomes: told })
    assert.deepEqual(worker.the('acknowledge').lanes, [{ lane: lane.id, count: 1 }])
    assert.equal(client.of('results').length, 1)
  })
})
