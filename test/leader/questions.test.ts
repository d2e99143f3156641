// Shows the answers to questions over the wire: views, stories, logs, and questions that make no sense.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readerBytesMax, readingsMax } from '../../src/leader/logs.ts'
import type { LogLine } from '../../src/protocol/index.ts'
import { failed } from '../fakes/worker.ts'
import { House } from './house.ts'

const line = (text: string, job = 'job'): LogLine => ({ job, stage: 0, index: 0, attempt: 1, stream: 'out', atMs: 1, text })

async function houseWithJob() {
  const { house, client, worker } = await House.staffed()
  await house.submit(client, 'job', 2)
  return { house, client, worker }
}

describe('a question', () => {
  it('about the cluster is answered with everything in it', async () => {
    const { house, client, worker } = await houseWithJob()
    await house.world.advance(100)
    const status = await client.view('status')
    assert.deepEqual(status.leader, {
      id: 'candidate-1',
      epoch: 1,
      pid: 42,
      address: house.address,
      rssBytes: 1000,
      eventLoopDelayMs: 0,
      upMs: 100,
    })
    assert.deepEqual(status.candidates, [
      { id: 'candidate-1', state: 'leader', pid: 42, basePriority: 100, failureRate: 0, priority: 100, lagRecords: 0 },
    ])
    assert.deepEqual([status.jobs, status.tasks, status.load], [{ running: 1, finished: 0 }, { waiting: 1, running: 1 }, 1])
    assert.equal(status.journal.index, (await house.records()).length)
    assert.equal(status.workers[0]!.id, 'w1')
    await worker.finishAll()
    assert.deepEqual((await client.view('status')).jobs, { running: 0, finished: 1 })
  })

  it('about jobs, tasks, workers, reasons and places is answered', async () => {
    const { client } = await houseWithJob()
    assert.deepEqual(
      (await client.view('jobs', { name: 'work' })).map(job => job.id),
      ['job'],
    )
    assert.equal((await client.view('job', { job: 'job' })).tasks.total, 2)
    assert.deepEqual((await client.view('task', { job: 'job', stage: 0, index: 0 })).worker, 'w1')
    assert.equal((await client.view('workers'))[0]!.lanes, 1)
    assert.equal((await client.view('why', { id: 'job' }))[0]!.rule, 'resources-busy')
    assert.deepEqual(
      (await client.view('locate')).map(({ worker, blocks }) => [worker, blocks]),
      [['w1', 'http://w1']],
    )
  })

  it('about the story of an id is answered from the journal', async () => {
    const { house, client, worker } = await houseWithJob()
    await worker.end([failed('TASK_TIMEOUT', false)])
    await worker.finish()
    await house.restart()
    await client.connect(house.address)
    const { lines, complete } = await client.view('story', { id: 'job/0' })
    assert.equal(complete, true)
    assert.match(lines.at(-1)!.text, /^ended: failed$/)
    assert(lines.some(one => one.epoch === 1 && /task 0 failed on w1/.test(one.text)))
    assert.equal((await client.view('story', { id: 'job', limit: 2 })).lines.length, 2)
  })

  it('that makes no sense is refused, and the leader goes on', async () => {
    const { client } = await houseWithJob()
    const refused = async (view: 'job' | 'jobs' | 'why' | 'task' | 'story', argument: string): Promise<string> => {
      const answer = await client.ask({ kind: 'ask', view, argument })
      assert.equal(answer?.kind, 'failed', argument)
      return answer?.kind === 'failed' ? answer.error.code : ''
    }
    assert.equal(await refused('job', '{"job":"nobody"}'), 'NOT_FOUND')
    assert.equal(await refused('job', '{}'), 'NOT_FOUND')
    assert.equal(await refused('job', 'no json'), 'INVALID_ARGUMENT')
    assert.equal(await refused('job', '5'), 'INVALID_ARGUMENT')
    assert.equal(await refused('job', 'null'), 'INVALID_ARGUMENT')
    assert.equal(await refused('why', '{}'), 'INVALID_ARGUMENT')
    assert.equal(await refused('task', '{"job":"job","stage":0,"index":"x"}'), 'NOT_FOUND')
    assert.equal(await refused('task', '{"job":"job","stage":0}'), 'NOT_FOUND')
    const all = await client.ask({ kind: 'ask', view: 'jobs', argument: '' })
    assert.equal(all?.kind, 'view')
  })

  it('about a program of other bytes than its name says is refused', async () => {
    const { client } = await houseWithJob()
    const answer = await client.ask({ kind: 'putProgram', program: 'f'.repeat(64), bytes: Buffer.from('x') })
    assert(answer?.kind === 'failed' && answer.error.code === 'INVALID_ARGUMENT')
  })

  it('in many bytes of text is refused in few', async () => {
    const { client } = await houseWithJob()
    const answer = await client.ask({ kind: 'ask', view: 'job', argument: JSON.stringify({ job: '任'.repeat(20_000) }) })
    assert(answer?.kind === 'failed' && answer.error.code === 'NOT_FOUND')
    assert(Buffer.byteLength(answer.error.message) <= 8000)
    assert(!answer.error.message.includes('\uFFFD'))
  })

  it('of nothing is answered with nothing', async () => {
    const { client } = await houseWithJob()
    assert.deepEqual(await client.ask({ kind: 'submitJobs', jobs: [] }), { kind: 'submitted', request: 3, outcomes: [] })
  })
})

describe('logs', () => {
  it('are asked of all workers, and end when all have told', async () => {
    const { house, client, worker } = await houseWithJob()
    const other = await house.worker('w2')
    await client.ask({ kind: 'readLogs', job: 'job', stage: undefined, index: 1, follow: false })
    const { request } = worker.the('readLogs')
    assert.deepEqual(other.the('readLogs'), { kind: 'readLogs', request, job: 'job', stage: undefined, index: 1, follow: false })
    await worker.say({ kind: 'logLines', request, lines: [line('one')], dropped: 0, ended: false })
    await other.say({ kind: 'logLines', request, lines: [], dropped: 2, ended: true })
    await worker.say({ kind: 'logLines', request, lines: [line('two')], dropped: 0, ended: true })
    assert.deepEqual(
      client.of('logLines').map(one => [one.lines.map(each => each.text).join(), one.dropped, one.ended]),
      [
        ['one', 0, false],
        ['', 2, false],
        ['two', 0, false],
        ['', 0, true],
      ],
    )
    // What still comes for it is not wanted.
    await worker.say({ kind: 'logLines', request, lines: [line('late')], dropped: 0, ended: false })
    assert.equal(worker.the('unfollow').request, request)
  })

  it('end at once where there is no worker, and when the last one that is asked is lost', async () => {
    const { house, client, worker } = await houseWithJob()
    void client.ask({ kind: 'readLogs', job: 'job', stage: undefined, index: undefined, follow: false })
    await worker.hangUp()
    assert.equal(client.the('logLines').ended, true)
    await client.ask({ kind: 'readLogs', job: 'job', stage: undefined, index: undefined, follow: false })
    assert.equal(client.of('logLines')[1]!.ended, true)
    const nobody = await client.ask({ kind: 'readLogs', job: 'nobody', stage: undefined, index: undefined, follow: false })
    assert(nobody?.kind === 'failed' && nobody.error.code === 'NOT_FOUND')
    assert.equal(house.ended, undefined)
  })

  it('that are followed come from workers that join later, and not twice from one that comes back', async () => {
    const { house, client, worker } = await houseWithJob()
    await client.ask({ kind: 'readLogs', job: 'job', stage: undefined, index: undefined, follow: true })
    const { request } = worker.the('readLogs')
    await worker.say({ kind: 'logLines', request, lines: [line('1'), line('2')], dropped: 0, ended: false })
    const later = await house.worker('w2')
    assert.equal(later.the('readLogs').request, request)
    await later.say({ kind: 'logLines', request, lines: [line('a')], dropped: 0, ended: false })
    await worker.connect(house.address)
    assert.equal(worker.the('readLogs').request, request)
    await worker.say({ kind: 'logLines', request, lines: [line('1'), line('2'), line('3')], dropped: 0, ended: false })
    assert.deepEqual(
      client.of('logLines').flatMap(one => one.lines.map(each => each.text)),
      ['1', '2', 'a', '3'],
    )
    await client.say({ kind: 'unfollow', request: 3 })
    assert.equal(later.the('unfollow').request, request)
  })

  it('are no longer followed when their client is gone', async () => {
    const { client, worker } = await houseWithJob()
    await client.ask({ kind: 'readLogs', job: 'job', stage: undefined, index: undefined, follow: true })
    await client.hangUp()
    assert.equal(worker.the('unfollow').request, worker.the('readLogs').request)
  })

  it('end with their job', async () => {
    const { client, worker } = await houseWithJob()
    await client.ask({ kind: 'readLogs', job: 'job', stage: undefined, index: undefined, follow: true })
    const { request } = worker.the('readLogs')
    await worker.finishAll()
    assert.equal(worker.the('unfollow').request, request)
    await worker.say({ kind: 'logLines', request, lines: [line('last')], dropped: 0, ended: true })
    assert.deepEqual(client.of('logLines').at(-1)!.ended, true)
  })

  it('are dropped and counted while their reader is slow', async () => {
    const { client, worker } = await houseWithJob()
    await client.ask({ kind: 'readLogs', job: 'job', stage: undefined, index: undefined, follow: true })
    const { request } = worker.the('readLogs')
    const far = client.connection.peer
    far.stuck = true
    far.send(Buffer.alloc(readerBytesMax + 1))
    await worker.say({ kind: 'logLines', request, lines: [line('1'), line('2')], dropped: 1, ended: false })
    far.drop()
    await worker.say({ kind: 'logLines', request, lines: [line('3')], dropped: 0, ended: false })
    assert.deepEqual(
      client.of('logLines').map(one => [one.lines.length, one.dropped]),
      [[1, 3]],
    )
  })

  it('have no more readers than there may be', async () => {
    const { house, client } = await houseWithJob()
    const ask = () => client.ask({ kind: 'readLogs', job: 'job', stage: undefined, index: undefined, follow: true })
    const asked = Array.from({ length: readingsMax }, ask)
    await Promise.all(asked)
    const one = await ask()
    assert(one?.kind === 'failed' && one.error.code === 'OVERLOADED')
    await client.hangUp()
    const other = await house.client()
    assert.equal(await other.ask({ kind: 'readLogs', job: 'job', stage: undefined, index: undefined, follow: true }), undefined)
  })
})
