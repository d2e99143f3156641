// Shows what is read of a step of a workflow over the wire: what it was given and what it came to, while it runs, afterwards, and when it is gone.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Chunk, type LeaderToClient } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import type { ScriptedClient } from '../fakes/peers.ts'
import { chunkOf } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { House, programId } from './house.ts'

const own = { program: programId }

async function houseWith(steps: Steps, options: Parameters<typeof House.staffed>[0] = {}) {
  const staffed = await House.staffed(options)
  const { house, client } = staffed
  const plan = house.plan('flow', { stages: steps.stages })
  await client.ask({
    kind: 'submitJobs',
    jobs: [{ plan, inputs: steps.inputs, flow: steps.plan, policies: [], run: undefined, watch: false }],
  })
  return staffed
}

async function read(client: ScriptedClient, step: number, part: 'input' | 'result', first = 0) {
  return client.ask({ kind: 'readStep', job: 'flow', step, part, first })
}

function itemsOf(answer: LeaderToClient | undefined): string[] {
  assert.equal(answer?.kind, 'stepRead', JSON.stringify(answer))
  const { chunks } = answer as Extract<LeaderToClient, { kind: 'stepRead' }>
  return chunks.map(bytes => new Chunk(bytes)).flatMap(chunk => chunk.items(0, chunk.count).map(String))
}

async function results(client: ScriptedClient, step: number): Promise<string[]> {
  return itemsOf(await read(client, step, 'result'))
}

async function refusal(client: ScriptedClient, step: number, part: 'input' | 'result'): Promise<string> {
  const answer = await read(client, step, part)
  return answer?.kind === 'failed' ? answer.error.code : `no refusal: ${answer?.kind}`
}

/** Waits for a signal, whose payload a second step gets; a third needs that. */
function signalled(): Steps {
  const steps = new Steps()
  const go = steps.add([], { kind: 'signal', name: 'go' })
  const taken = steps.add([['value', go]], own)
  steps.add([['value', taken]], own)
  return steps
}

describe('what a step came to', () => {
  it('is not there before its end, and is read from then on, of a signal as its payload', async () => {
    const { client, worker } = await houseWith(signalled())
    assert.equal(await refusal(client, 0, 'result'), 'STEP_NOT_READY')
    assert.equal(await refusal(client, 1, 'input'), 'STEP_NOT_READY')
    assert.equal(await refusal(client, 9, 'result'), 'NOT_FOUND')
    await client.ask({ kind: 'signal', job: 'flow', name: 'go', signal: 's1', items: chunkOf(['on']) })
    assert.deepEqual(await results(client, 0), ['on'])
    assert.equal(await refusal(client, 0, 'input'), 'NOT_FOUND')
    assert.equal(await refusal(client, 1, 'result'), 'STEP_NOT_READY')
    await worker.finish()
    assert.deepEqual(await results(client, 1), ['result of flow/0/0'])
    assert.equal(await refusal(client, 2, 'result'), 'STEP_NOT_READY')
  })

  it('is the list, where that became tasks, page by page', async () => {
    const steps = new Steps()
    const list = steps.add([], own)
    steps.add([['spread', list]], { ...own, count: 0, task: 'each' })
    const { client, worker } = await houseWith(steps)
    const large = ['a', 'b', 'c'].map(text => text.repeat(3 << 20))
    assert.equal(await refusal(client, 1, 'input'), 'STEP_NOT_READY', 'how many tasks it has is not known yet')
    await worker.end([{ kind: 'spread', items: chunkOf(large), blocks: [], elapsedMicros: 1 }])
    assert.deepEqual(await results(client, 0), large)
    const pages: string[][] = []
    for (let first: number | undefined = 0; first !== undefined; ) {
      const page = await read(client, 1, 'input', first)
      assert(page?.kind === 'stepRead' && page.list)
      pages.push(itemsOf(page))
      first = page.next
    }
    assert.equal(pages.length, 2)
    assert.deepEqual(pages.flat(), large)
    assert.equal(await refusal(client, 1, 'result'), 'STEP_NOT_READY')
  })

  it('is how its task failed, and of those that needed it that they were cancelled', async () => {
    const steps = new Steps()
    const first = steps.add([], own)
    steps.add([['value', first]], own)
    const { client, worker } = await houseWith(steps)
    await worker.end([failed('TASK_FAILED', false)])
    const answer = await read(client, 0, 'result')
    assert.equal(answer?.kind === 'stepRead' && answer.failure?.failure.code, 'TASK_FAILED')
    const after = await read(client, 1, 'result')
    assert(after?.kind === 'failed')
    assert.equal(after.error.code, 'TASK_CANCELLED')
    assert.match(after.error.message, /what it needed failed with TASK_FAILED in task 0\/0/)
    assert.equal(itemsOf(await read(client, 0, 'input')).length, 1)
    assert.equal(await refusal(client, 1, 'input'), 'NOT_FOUND')
  })

  it('is read from the history as far as that keeps it', async () => {
    const { client, worker, house } = await houseWith(signalled(), { limits: { finishedJobsMax: 1 } })
    await client.ask({ kind: 'signal', job: 'flow', name: 'go', signal: 's1', items: chunkOf(['on']) })
    await worker.finishAll()
    for (const id of ['x', 'y', 'z']) {
      await house.submit(client, id, 1, { watch: false })
      await worker.finishAll()
      await house.world.advance(10)
    }
    assert.notEqual(house.state.history.find('flow'), undefined)
    assert.deepEqual(await results(client, 1), ['result of flow/0/0'])
    assert.equal(await refusal(client, 0, 'result'), 'JOB_ARCHIVED')
    assert.equal(await refusal(client, 1, 'input'), 'JOB_ARCHIVED')
  })
})

describe('what a step was given', () => {
  it('is its own part and what others gave, also when it has ended and another leader leads', async () => {
    const { house, client, worker } = await houseWith(signalled())
    await client.ask({ kind: 'signal', job: 'flow', name: 'go', signal: 's1', items: chunkOf(['on']) })
    await worker.finishAll()
    await house.restart()
    await client.connect(house.address)
    const given = itemsOf(await read(client, 1, 'input'))
    assert.equal(given.length, 1)
    assert.match(given[0]!, /on$/)
  })
})
