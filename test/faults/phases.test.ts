// Owns the tests of a workflow in whose every phase the leader, or the worker that the others wait for, is killed: it comes to what an undisturbed one
// comes to, and no result changes once it is there. Must not race: each phase waits at a gate until somebody has died in it.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { JobHandle } from '../../src/index.ts'
import { phases } from './flow-tasks.ts'
import { FaultCluster, linesOf, rejection, until } from './harness.ts'

/** The phases of the workflow of that name in which somebody dies: where its tasks wait, and where it waits itself. */
const gates = ['list', 'spread', 'fold', 'expansion', 'sleep', 'signal', 'compensation'] as const
type Phase = (typeof gates)[number]

describe('a workflow in whose every phase somebody is killed', { timeout: 120_000 }, () => {
  let cluster: FaultCluster
  const width = 760
  /** What each step came to when nobody was killed. */
  let undisturbed: Map<string, string>

  /** What each step has come to by now, by its number and name. */
  async function results(job: JobHandle<unknown>): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    for await (const step of job.steps()) {
      if (step.status === 'waiting' || step.status === 'open') continue
      const value = step.status === 'succeeded' ? await job.stepResult(step) : undefined
      // Each run has a folder of its own.
      const text = JSON.stringify(value ?? null).replaceAll(cluster.folder, '')
      found.set(`${step.step} ${step.name} ${step.status}`, text.replace(/run-\w+/g, ''))
    }
    return found
  }

  async function stepIs(job: JobHandle<unknown>, kind: string): Promise<boolean> {
    for await (const step of job.steps()) if (step.kind === kind && step.status === 'open') return true
    return false
  }

  /** Plays it once; `kill` is called in each phase, with the worker at the gate if there is one. */
  async function play(name: string, kill: (phase: Phase, worker: string | undefined) => Promise<void>): Promise<Map<string, string>> {
    const folder = cluster.path(`run-${name}`)
    mkdirSync(folder)
    const job = await cluster.client.submit(phases, { folder, width }, { id: `phases-${name}` })
    const atGate = (phase: string): string | undefined => linesOf(join(folder, `${phase}.waits`)).at(-1)
    let before = new Map<string, string>()
    for (const phase of gates) {
      await until(`${name} is in the phase ${phase}`, async () =>
        phase === 'sleep' || phase === 'signal' ? stepIs(job, phase) : atGate(phase) !== undefined,
      )
      await kill(phase, atGate(phase))
      const now = await until('it is seen again', () => results(job))
      for (const [step, value] of before) assert.equal(now.get(step), value, `${step} has another result than before`)
      before = now
      if (phase === 'signal') await cluster.client.signal(job.id, 'go', 'on', { id: 'go' })
      else writeFileSync(join(folder, phase), '')
    }
    await rejection(job.result(), 'TASK_FAILED')
    // A task that was killed while it marked may have marked twice.
    assert.deepEqual([...new Set(linesOf(join(folder, 'marks')))], ['one', 'two', 'three', 'undo three', 'undo two', 'undo one'])
    return results(job)
  }

  before(async () => {
    cluster = await FaultCluster.start('phases', ['--candidates', '2', '--workers', '2', '--cpus', '2', '--executors', '2'])
    undisturbed = await play('undisturbed', async () => {})
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('comes to the same when it is the leader', async () => {
    const disturbed = await play('leaders', async () => void (await cluster.killLeader()))
    assert.deepEqual(disturbed, undisturbed)
  })

  test('comes to the same when it is the worker that runs what the others wait for', async () => {
    const disturbed = await play('workers', async (_phase, worker = 'worker-1') => {
      // It may just be starting again.
      await until(`${worker} was killed`, () => cluster.signal(worker, 'SIGKILL'))
    })
    assert.deepEqual(disturbed, undisturbed)
  })
})
