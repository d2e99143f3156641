// Random steps about schedules, as those of random-steps.ts: they are made and changed, and have their ticks.
import assert from 'node:assert/strict'
import { inputs, plan, program } from '../fakes/plans.ts'
import type { Harness } from './harness.ts'

export function setSchedule(cluster: Harness, a: number, b: number, c: number): void {
  const name = `every-${a % 3}`
  const known = cluster.state.schedules.byName.get(name)
  const overlap = (['skip', 'queue', 'cancel'] as const)[a % 3]!
  const spec = {
    schedule: name,
    contentHash: String(b % 2).repeat(64),
    cron: '',
    timezone: '',
    everyMs: 100,
    overlap,
    catchUp: 'last' as const,
    name: 'work',
    programs: [program],
  }
  const submission = { plan: plan(`${name}@check`), inputs: [inputs(1)] }
  cluster.ask({
    kind: 'setSchedule',
    spec,
    bytes: Buffer.from('what'),
    submission,
    nextAtMs: known?.nextAtMs ?? cluster.nowMs + 100,
    replace: c % 2 === 0,
  })
}

/** What the leader's clock would ask for: the next tick, also when it was decided on before, and what waits. */
export function tick(cluster: Harness, a: number, b: number, c: number): void {
  const schedules = [...cluster.state.schedules.byName.values()]
  const schedule = schedules[a % schedules.length]
  if (!schedule) return
  const { spec, nextAtMs: dueMs } = schedule
  const submission = (atMs: number): { plan: ReturnType<typeof plan>; inputs: ReturnType<typeof inputs>[] } => ({
    plan: plan(`${spec.schedule}@${atMs}`),
    inputs: [inputs(1)],
  })
  if (c % 3 === 0 && schedule.queue.length > 0) {
    cluster.ask({ kind: 'runSchedule', schedule: spec.schedule, queued: true, submission: submission(schedule.queue[0]!) })
  } else {
    const tick = {
      kind: 'tickSchedule' as const,
      schedule: spec.schedule,
      dueMs,
      atMs: dueMs,
      nextAtMs: dueMs + 100,
      missed: b % 9 === 0,
      submission: submission(dueMs),
    }
    cluster.ask(tick)
    const records = cluster.records.length
    cluster.ask(tick)
    assert.equal(cluster.records.length, records, 'a tick that was decided on follows from nothing')
  }
  cluster.settle()
}
