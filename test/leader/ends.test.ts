// Shows how the end of a workflow is told: with its result where that is small, and to each who watches it once.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Chunk, limits, type Outcome } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import type { ScriptedClient } from '../fakes/peers.ts'
import { chunkOf } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { House, programId } from './house.ts'

/** Two steps, the second of which has `count` tasks and is the result. */
function twoSteps(count = 1): Steps {
  const steps = new Steps()
  const first = steps.add([], { program: programId })
  steps.add([['after', first]], { program: programId, count })
  return steps
}

function submission(house: House, id: string, steps: Steps, watch: boolean) {
  return { plan: house.plan(id, { stages: steps.stages }), inputs: steps.inputs, flow: steps.plan, policies: [], run: undefined, watch }
}

async function houseWithFlow({ watch = true, steps = twoSteps() } = {}) {
  const { house, client, worker } = await House.staffed()
  await client.ask({ kind: 'submitJobs', jobs: [submission(house, 'flow', steps, watch)] })
  client.forget()
  return { house, client, worker }
}

/** The ends that a client was told: job, whether it is a list, and the results. */
function ends(client: ScriptedClient): [string, boolean, string[]][] {
  return client
    .of('workflowsEnded')
    .flatMap(message => message.ends)
    .map(({ job, list, items }) => {
      const chunk = new Chunk(items)
      return [job, list, chunk.items(0, chunk.count).map(String)]
    })
}

function finishedAs(text: string): Outcome {
  return { kind: 'finished', count: 1, items: chunkOf([text]), blocks: [], elapsedMicros: 1 }
}

describe('a workflow that succeeds', () => {
  it('is told to who submitted it with its result, and nothing more', async () => {
    const { client, worker } = await houseWithFlow()
    await worker.finishAll()
    assert.deepEqual(ends(client), [['flow', false, ['result of flow/0/1']]])
    assert.deepEqual(
      client.heard.map(message => message.kind),
      ['workflowsEnded'],
    )
  })

  it('is told when its end is durable', async () => {
    const { house, client, worker } = await houseWithFlow()
    await worker.finish()
    house.disk.hold()
    await worker.finish()
    assert.deepEqual(client.heard, [])
    house.disk.release()
    await house.world.calm()
    assert.equal(ends(client).length, 1)
  })

  it('has all results of its last step, where that has many tasks', async () => {
    const { client, worker } = await houseWithFlow({ steps: twoSteps(3) })
    await worker.finishAll()
    assert.deepEqual(ends(client), [['flow', true, [0, 1, 2].map(task => `result of flow/1/${task}`)]])
  })

  it('is told without its result where that is large', async () => {
    const { client, worker } = await houseWithFlow()
    await worker.finish()
    await worker.end([finishedAs('x'.repeat(limits.inlineBytesMax + 1))])
    assert.deepEqual(ends(client), [])
    assert.equal(client.the('jobChanged').state, 'succeeded')
  })

  it('is told to who asks for it later, each time anew', async () => {
    const { house, client, worker } = await houseWithFlow({ watch: false })
    const before = await house.client('session-2')
    await before.ask({ kind: 'watch', job: 'flow' })
    before.forget()
    await worker.finishAll()
    assert.equal(ends(before).length, 1)
    assert.deepEqual(client.heard, [])
    for (let times = 1; times <= 2; times++) {
      await client.ask({ kind: 'watch', job: 'flow' })
      assert.equal(ends(client).length, times)
    }
    await house.restart()
    const after = await house.client('session-3')
    await after.ask({ kind: 'watch', job: 'flow' })
    assert.deepEqual(ends(after), [['flow', false, ['result of flow/0/1']]])
  })

  it('is told together with others that ended in the same turn', async () => {
    const { house, client, worker } = await House.warm({ cpus: 4 })
    const jobs = ['a', 'b', 'c'].map(id => {
      const steps = new Steps()
      steps.add([], { program: programId })
      return submission(house, id, steps, true)
    })
    await client.ask({ kind: 'submitJobs', jobs })
    client.forget()
    await Promise.all(
      worker.work.busy.map(lane =>
        worker.end(
          lane.open.map(task => finishedAs(task.job)),
          lane,
        ),
      ),
    )
    assert.deepEqual(
      client.the('workflowsEnded').ends.map(({ job }) => job),
      ['a', 'b', 'c'],
    )
  })
})

describe('a workflow that does not succeed', () => {
  it('is told with the reason', async () => {
    const { client, worker } = await houseWithFlow()
    await worker.end([failed('TASK_FAILED', false)])
    assert.equal(client.the('jobChanged').state, 'failed')
    assert.match(client.the('jobChanged').reason, /TASK_FAILED/)
  })
})
