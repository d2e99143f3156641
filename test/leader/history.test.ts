// Shows the history through a leader: one list of all jobs, results and failures that are still read, and that each row is there exactly with its fact.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { verifyStore } from '../../src/journal/index.ts'
import { Chunk, type JobsQuery, type JobView, type LeaderToClient, type Views } from '../../src/protocol/index.ts'
import type { ScriptedClient } from '../fakes/peers.ts'
import { failed, resultOf } from '../fakes/worker.ts'
import { House } from './house.ts'

const limits = { finishedJobsMax: 2 }

async function list(client: ScriptedClient, query: JobsQuery = {}): Promise<JobView[]> {
  return client.view('jobs', query)
}

const idsOf = (views: readonly JobView[]): string[] => views.map(view => view.id)

/** A house with eight jobs that have ended, five of which are in the history: one that failed is kept longer; and one that runs. */
async function busyHouse(): Promise<{ house: House; client: ScriptedClient }> {
  const { house, client, worker } = await House.staffed({ limits })
  for (let i = 0; i < 8; i++) {
    await house.submit(client, `job-${i}`, 2, { name: `name ${i % 2}`, labels: i % 3 === 0 ? ['x'] : [], watch: false })
    if (i === 1) await worker.end([failed('TASK_FAILED', false)])
    await worker.finishAll()
    await house.world.advance(10)
  }
  await house.submit(client, 'running', 1, { watch: false, labels: ['x'] })
  return { house, client }
}

describe('the list of jobs', () => {
  it('is one, newest first, of those in memory and those in the history, with every condition and page by page', async () => {
    const { house, client } = await busyHouse()
    const all = ['running', 'job-7', 'job-6', 'job-5', 'job-4', 'job-3', 'job-2', 'job-1', 'job-0']
    assert.equal(house.state.history.size, 5)
    const views = await list(client)
    assert.deepEqual(idsOf(views), all)
    assert.deepEqual(
      views.map(view => view.archived === true),
      [false, false, false, true, true, true, true, false, true],
    )
    for (const limit of [1, 2, 5]) {
      const pages: string[] = []
      for (let before: string | undefined; ; ) {
        const page = idsOf(await list(client, { limit, ...(before !== undefined && { before }) }))
        pages.push(...page)
        before = page.at(-1)
        if (page.length < limit) break
      }
      assert.deepEqual(pages, all)
    }
    assert.deepEqual(idsOf(await list(client, { label: 'x' })), ['running', 'job-6', 'job-3', 'job-0'])
    assert.deepEqual(idsOf(await list(client, { state: 'failed' })), ['job-1'])
    assert.deepEqual(idsOf(await list(client, { state: 'running' })), ['running'])
    assert.deepEqual(idsOf(await list(client, { name: 'name 1', limit: 2 })), ['job-7', 'job-5'])
    assert.deepEqual(idsOf(await list(client, { prefix: 'job-', label: 'x' })), ['job-6', 'job-3', 'job-0'])
    const { submittedAtMs } = views.find(view => view.id === 'job-3')!
    const since = idsOf(await list(client, { sinceMs: submittedAtMs }))
    assert.deepEqual(since, all.slice(0, 6))
    assert.deepEqual(idsOf(await list(client, { untilMs: submittedAtMs })), all.slice(6))
  })

  it('is refused behind a job that is not there, and for conditions that are none', async () => {
    const { client } = await busyHouse()
    const code = async (argument: unknown): Promise<string> => {
      const answer = await client.ask({ kind: 'ask', view: 'jobs', argument: JSON.stringify(argument) })
      return answer?.kind === 'failed' ? answer.error.code : String(answer?.kind)
    }
    assert.equal(await code({ before: 'nobody' }), 'NOT_FOUND')
    assert.equal(await code({ label: { x: 1 } }), 'INVALID_ARGUMENT')
    assert.equal(await code({ sinceMs: 'yesterday' }), 'INVALID_ARGUMENT')
    assert.equal(await code({ limit: 'many' }), 'view')
  })
})

describe('an archived job', () => {
  it('is seen, read, watched and submitted again as before, also under the next leader', async () => {
    const { house, client } = await busyHouse()
    const look = async (from: ScriptedClient): Promise<void> => {
      const view = await from.view('job', { job: 'job-0' })
      assert.deepEqual([view.state, view.tasks.succeeded, view.archived], ['succeeded', 2, true])
      const read = (await from.ask({ kind: 'readResults', job: 'job-0', stage: 0, first: 0, count: 2 })) as Extract<
        LeaderToClient,
        { kind: 'resultsRead' }
      >
      const results = read.parts.flatMap(({ first, items }) => {
        const chunk = new Chunk(items)
        return Array.from({ length: chunk.count }, (_, i) => [first + i, chunk.item(i).toString()])
      })
      assert.deepEqual(
        results,
        [0, 1].map(index => [index, resultOf({ job: 'job-0', stage: 0, index })]),
      )
      const broken = await from.ask({ kind: 'readResults', job: 'job-1', stage: 0, first: 0, count: 2 })
      assert(broken?.kind === 'resultsRead' && broken.failures[0]?.index === 0 && broken.parts[0]?.first === 1)
      assert.equal((await from.view('task', { job: 'job-1', stage: 0, index: 0 })).state, 'failed')
      assert.equal((await from.view('task', { job: 'job-0', stage: 0, index: 1 })).state, 'succeeded')
      assert.match((await from.view('why', { id: 'job-0' }))[0]!.text, /does not wait: it has succeeded/)
      assert.match((await from.view('story', { id: 'job-0' })).lines.at(-1)!.text, /moved into the history/)
      from.forget()
      await from.ask({ kind: 'watch', job: 'job-0' })
      await house.world.calm()
      assert.equal(from.of('results').length, 2)
      assert.equal(from.the('jobChanged').state, 'succeeded')
      from.forget()
      const again = await house.submit(from, 'job-0', 2, { name: 'name 0', labels: ['x'] })
      assert.deepEqual(again?.kind === 'submitted' && again.outcomes[0]?.existing, true)
      await house.world.calm()
      assert(from.heard.some(one => one.kind === 'jobChanged' && one.state === 'succeeded'))
    }
    await look(client)
    const before = await list(client)
    await house.restart()
    const next = await house.client()
    await look(next)
    assert.deepEqual(
      (await list(next)).map(view => ({ ...view, tasks: undefined })),
      before.map(view => ({ ...view, tasks: undefined })),
    )
    assert.deepEqual((await verifyStore(house.disk.open())).problems, [])
  })

  it('says what is not kept of it', async () => {
    const { client } = await busyHouse()
    const code = async <V extends keyof Views>(view: V, argument: Views[V]['argument']): Promise<string> => {
      const answer = await client.ask({ kind: 'ask', view, argument: JSON.stringify(argument) })
      return answer?.kind === 'failed' ? answer.error.code : String(answer?.kind)
    }
    assert.equal(await code('steps', { job: 'job-0' }), 'NOT_FOUND')
    assert.equal(await code('task', { job: 'job-0', stage: 0, index: 9 }), 'NOT_FOUND')
    assert.equal(await code('job', { job: 'nobody' }), 'NOT_FOUND')
  })

  it('is there once its fact is durable, and not before', async () => {
    const { house, client, worker } = await House.staffed({ limits: { finishedJobsMax: 0 } })
    await house.submit(client, 'job', 1, { watch: false })
    await worker.finishAll()
    house.disk.hold()
    await house.submit(client, 'next', 0, { watch: false })
    await house.world.calm()
    assert.equal(house.disk.history.size, 1, 'the row of the job that ended before')
    await house.kill()
    house.disk.release()
    await house.start()
    assert.deepEqual(idsOf(await list(await house.client())), ['job'])
    assert.equal(house.disk.history.size, 1)
  })

  it('loses its results before its row, and both in the store', async () => {
    const { house, client, worker } = await House.staffed({
      limits: { finishedJobsMax: 0, historyJobsMax: 2, resultBytesMax: 20, resultGraceMs: 100 },
    })
    for (const id of ['a', 'b', 'c']) {
      await house.submit(client, id, 1, { watch: false })
      await worker.finishAll()
    }
    await house.world.advance(5000)
    await house.submit(client, 'tick', 0, { watch: false })
    await house.world.calm()
    assert.deepEqual(idsOf(await list(client)), ['tick', 'c'])
    assert.equal(house.disk.history.size, 2)
    const read = await client.ask({ kind: 'readResults', job: 'c', stage: 0, first: 0, count: 1 })
    assert(read?.kind === 'resultsRead')
    const { payloads } = await house.store.journal.size()
    // That of the program, and of results that are within the limit.
    assert.equal(payloads, 1 + read.parts.length)
    assert.deepEqual((await verifyStore(house.store)).problems, [])
  })
})
