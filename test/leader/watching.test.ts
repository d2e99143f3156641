// Shows that a client which watches a job is sent everything once, whatever is under way when it begins to.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Chunk, ChunkWriter } from '../../src/protocol/index.ts'
import type { ScriptedClient } from '../fakes/peers.ts'
import { failed } from '../fakes/worker.ts'
import { House } from './house.ts'

/** The tasks whose results a client was sent, in the order in which they came. */
function tasks(client: ScriptedClient): number[] {
  return client.of('results').flatMap(({ first, items }) => Array.from({ length: new Chunk(items).count }, (_, i) => first + i))
}

async function houseWithJob(count: number) {
  const { house, client, worker } = await House.staffed()
  await house.submit(client, 'job', count, { watch: false })
  const watcher = await house.client('session-2')
  return { house, client, worker, watcher }
}

describe('a client that begins to watch', () => {
  it('is sent what there is, then what comes, then the end', async () => {
    const { client, worker, watcher } = await houseWithJob(4)
    await worker.finish()
    await worker.end([failed('TASK_FAILED', false)])
    assert.deepEqual(client.of('results'), [])
    assert.equal((await watcher.ask({ kind: 'watch', job: 'job' }))?.kind, 'done')
    assert.deepEqual(tasks(watcher), [0])
    assert.equal(watcher.the('tasksFailed').failures[0]!.index, 1)
    await worker.finishAll()
    assert.deepEqual(tasks(watcher), [0, 2, 3])
    assert.deepEqual(watcher.the('jobChanged').state, 'failed')
    assert.equal(watcher.heard.at(-1)!.kind, 'jobChanged')
  })

  it('while results are on their way to the disk, gets them once', async () => {
    const { house, worker, watcher } = await houseWithJob(3)
    await worker.finish()
    house.disk.hold()
    await worker.finish()
    void watcher.ask({ kind: 'watch', job: 'job' })
    await house.world.calm()
    await worker.finish()
    assert.equal(watcher.heard.length, 0)
    house.disk.release()
    await house.world.calm()
    assert.deepEqual(tasks(watcher).sort(), [0, 1, 2])
    assert.equal(watcher.the('jobChanged').state, 'succeeded')
    assert.equal(watcher.heard.at(-1)!.kind, 'jobChanged')
  })

  it('of a job that is over gets all of it and its end', async () => {
    const { worker, watcher } = await houseWithJob(3)
    await worker.finishAll()
    await watcher.ask({ kind: 'watch', job: 'job' })
    assert.deepEqual(tasks(watcher), [0, 1, 2])
    assert.equal(watcher.the('jobChanged').state, 'succeeded')
    watcher.forget()
    await watcher.ask({ kind: 'watch', job: 'job' })
    assert.deepEqual(tasks(watcher), [0, 1, 2])
  })

  it('and reads slowly, is sent more when it has read, and the end after all the rest', async () => {
    const { house, worker, watcher } = await houseWithJob(3)
    await worker.finish(1)
    const far = watcher.connection.peer
    watcher.connection.pause()
    far.send(Buffer.alloc(5 << 20, 1))
    await watcher.ask({ kind: 'watch', job: 'job' })
    await worker.finishAll()
    await house.world.advance(100)
    // It has not read yet: nothing of what there was is put on top.
    assert(far.bufferedBytes < (5 << 20) + 1000)
    far.drop()
    await house.world.advance(100)
    assert.deepEqual(tasks(watcher), [0])
    assert.equal(watcher.heard.at(-1)!.kind, 'jobChanged')
  })

  it('that stops watching is sent nothing more', async () => {
    const { worker, watcher } = await houseWithJob(2)
    await watcher.ask({ kind: 'watch', job: 'job' })
    await worker.finish()
    await watcher.say({ kind: 'unwatch', job: 'job' })
    await worker.finish()
    assert.deepEqual(tasks(watcher), [0])
    assert.deepEqual(watcher.of('jobChanged'), [])
  })

  it('must name a job that is there', async () => {
    const { watcher } = await houseWithJob(1)
    const answer = await watcher.ask({ kind: 'watch', job: 'nobody' })
    assert(answer?.kind === 'failed' && answer.error.code === 'NOT_FOUND' && answer.error.id === 'nobody')
  })

  it('by submitting again what it submitted gets what there is', async () => {
    const { house, client, worker } = await houseWithJob(2)
    await worker.finish()
    const answer = await house.submit(client, 'job', 2)
    assert(answer?.kind === 'submitted' && answer.outcomes[0]!.existing)
    assert.deepEqual(tasks(client), [0])
    await worker.finish()
    assert.deepEqual(tasks(client), [0, 1])
    assert.equal(client.the('jobChanged').state, 'succeeded')
  })

  it('goes on watching a job when another of its id is refused', async () => {
    const { house, client, worker, watcher } = await houseWithJob(2)
    await client.ask({ kind: 'watch', job: 'job' })
    for (const one of [client, watcher]) {
      const answer = await house.submit(one, 'job', 2, { content: 'other' })
      assert(answer?.kind === 'submitted' && answer.outcomes[0]!.error?.code === 'JOB_ID_REUSED')
    }
    await worker.finishAll()
    assert.deepEqual(tasks(client), [0, 1])
    assert.deepEqual(tasks(watcher), [])
  })
})

describe('results', () => {
  it('can be read by range, with failures, in pieces', async () => {
    const { house, client, worker } = await houseWithJob(5)
    await worker.finish()
    await worker.end([failed('TASK_FAILED', false)])
    await worker.finish()
    const read = async (first: number, count: number) => {
      const answer = await client.ask({ kind: 'readResults', job: 'job', stage: 0, first, count })
      assert(answer?.kind === 'resultsRead')
      return {
        parts: answer.parts.map(part => [part.first, new Chunk(part.items).count]),
        failures: answer.failures.map(one => one.index),
        next: answer.next,
      }
    }
    assert.deepEqual(await read(0, 5), {
      parts: [
        [0, 1],
        [2, 1],
      ],
      failures: [1],
      next: undefined,
    })
    assert.deepEqual(await read(1, 1), { parts: [], failures: [1], next: undefined })
    assert.deepEqual(await read(2, 99), { parts: [[2, 1]], failures: [], next: undefined })
    for (const [job, stage] of [
      ['nobody', 0],
      ['job', 4],
    ] as const) {
      const answer = await client.ask({ kind: 'readResults', job, stage, first: 0, count: 1 })
      assert(answer?.kind === 'failed' && answer.error.code === 'NOT_FOUND')
    }
    await client.say({ kind: 'releaseResults', job: 'job', stage: 0, ranges: [{ first: 0, count: 3 }] })
    await house.world.advance(10)
    assert.deepEqual(await read(0, 5), { parts: [], failures: [], next: undefined })
  })

  it('that are many, or failures that are long, come in several answers', async () => {
    const { house, client, worker } = await House.warm({ limits: { laneAheadMs: 1e9, assignTasksMax: 20_000, laneTasksMax: 20_000 } })
    await house.submit(client, 'job', 400, { watch: false })
    const long = { ...failed('TASK_FAILED', false), stack: 's'.repeat(30_000) }
    while (worker.work.busy.length > 0) {
      const half = Math.ceil(worker.lane.open.length / 2)
      await worker.end(Array.from({ length: half }, () => long))
    }
    const seen: number[] = []
    let pieces = 0
    for (let next: number | undefined = 0; next !== undefined; pieces++) {
      const answer = await client.ask({ kind: 'readResults', job: 'job', stage: 0, first: next, count: 1000 })
      assert(answer?.kind === 'resultsRead')
      seen.push(...answer.failures.map(one => one.index))
      next = answer.next
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 400 }, (_, i) => i),
    )
    assert(pieces > 2)
  })

  it('that are large come in several answers', async () => {
    const { client, worker } = await houseWithJob(3)
    for (let i = 0; i < 3; i++) {
      const writer = new ChunkWriter()
      writer.add(Buffer.alloc(3 << 20))
      await worker.end([{ kind: 'finished', count: 1, items: writer.finish(), blocks: [], elapsedMicros: 1e6 }])
    }
    const answer = await client.ask({ kind: 'readResults', job: 'job', stage: 0, first: 0, count: 3 })
    assert(answer?.kind === 'resultsRead')
    assert.deepEqual([answer.parts.length, answer.next], [2, 2])
  })
})
