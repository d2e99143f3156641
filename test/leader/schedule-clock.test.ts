// Shows what a leader's clock makes of ticks: one run for each, the rules for those that were missed, and that nothing piles up while it waits.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createState } from '../../src/core/index.ts'
import { Payloads } from '../../src/leader/payloads.ts'
import { ScheduleClock } from '../../src/leader/schedules.ts'
import { encodeStored, type ScheduleSpec } from '../../src/protocol/index.ts'
import type { ScriptedClient } from '../fakes/peers.ts'
import { inputs } from '../fakes/plans.ts'
import { World } from '../fakes/world.ts'
import { House, programId } from './house.ts'

const everyMs = 120_000
/** Wall time of the first tick in the world. */
const firstTickMs = Math.ceil(new World().wallMs / everyMs) * everyMs

function specOf(more: Partial<ScheduleSpec>): ScheduleSpec {
  return {
    ...{ schedule: 'often', contentHash: 'a'.repeat(64), cron: '', timezone: '', everyMs },
    ...{ overlap: 'queue', catchUp: 'last', name: 'work', programs: [programId] },
    ...more,
  }
}

async function make(house: House, client: ScriptedClient, more: Partial<ScheduleSpec> = {}): Promise<void> {
  const what = encodeStored({
    plan: house.plan('any'),
    inputs: [inputs(1)],
    flow: undefined,
    policies: [],
    run: undefined,
  })
  const answer = await client.ask({ kind: 'setSchedule', spec: specOf(more), submission: what, replace: false })
  assert.equal(answer?.kind, 'done')
}

/** The ticks that were decided on, counted from the first one, and what became of them. */
async function ticks(house: House): Promise<string[]> {
  const records = await house.records()
  return records.flatMap(record => (record.kind === 'ScheduleTicked' ? [`${(record.atMs - firstTickMs) / everyMs} ${record.outcome}`] : []))
}

describe('ticks', () => {
  it('run when their time has come, and not before', async () => {
    const { house, client } = await House.staffed()
    await make(house, client)
    const untilMs = firstTickMs - house.world.wallMs - house.world.nowMs
    await house.world.advance(untilMs - 1)
    assert.deepEqual(await ticks(house), [])
    await house.world.advance(1)
    assert.deepEqual(await ticks(house), ['0 ran'])
    assert.equal(house.state.jobs.byId.has(`often@${new Date(firstTickMs).toISOString().replace('.000', '')}`), true)
  })

  const missed: [ScheduleSpec['catchUp'], string[]][] = [
    ['none', ['0 missed', '6 ran']],
    ['last', ['5 ran', '6 queued']],
    ['all', ['0 ran', '1 queued', '2 queued', '3 queued', '4 queued', '5 queued', '6 queued']],
  ]
  for (const [catchUp, expected] of missed)
    it(`that passed while nobody led are taken by the rule ${catchUp}`, async () => {
      const { house, client } = await House.ready()
      await make(house, client, { catchUp })
      await house.kill()
      // Time passes without anybody.
      house.world.wallMs = firstTickMs - house.world.nowMs + 5.5 * everyMs
      await house.start()
      await house.world.advance(0.5 * everyMs)
      assert.deepEqual(await ticks(house), expected)
    })
})

describe('the clock of schedules', () => {
  it('does not pile up what it waits for, however often schedules change meanwhile', async () => {
    const world = new World()
    const state = createState()
    const loop = { post() {} }
    const clock = new ScheduleClock(state, loop as never, new Payloads({} as never), world.platform)
    for (let i = 0; i < 10; i++) {
      const one = { ...{ payload: 1, bytes: 1, paused: false, nextAtMs: world.wallMs + everyMs, running: new Set<string>() } }
      const counts = { queue: [], lastJob: '', lastAtMs: 0, ran: 0, skipped: 0, missed: 0 }
      state.schedules.byName.set(`s${i}`, { spec: specOf({ schedule: `s${i}` }), ...one, ...counts })
    }
    for (let round = 0; round < 1000; round++) {
      for (const one of state.schedules.byName.values()) state.schedules.changed.add(one)
      clock.look()
      assert(clock.waiting <= 2 * 10 + 64 + 10, String(clock.waiting))
    }
    clock.stop()
  })
})
