// Owns the answers about schedules. Reads state, in pieces of bounded size.
// Must not write anything.
import type { ScheduleView, Views, WhyView } from '../../protocol/index.ts'
import type { ScheduleState } from '../schedules/state.ts'
import type { State } from '../state.ts'
import { momentOf } from './moment.ts'

const limitMax = 1000
const runningMax = 10

function viewSchedule(schedule: ScheduleState): ScheduleView {
  const { spec, paused, nextAtMs, running, queue, lastJob, lastAtMs, ran, skipped, missed } = schedule
  return {
    name: spec.schedule,
    runs: spec.name,
    ...(spec.cron !== '' ? { cron: spec.cron } : { everyMs: spec.everyMs }),
    ...(spec.timezone !== '' && { timezone: spec.timezone }),
    overlap: spec.overlap,
    catchUp: spec.catchUp,
    paused,
    ...(!paused && { nextAtMs }),
    running: [...running].slice(0, runningMax),
    queued: queue.length,
    ...(lastJob !== '' && { lastJob }),
    ...(lastAtMs > 0 && { lastAtMs }),
    ran,
    skipped,
    missed,
  }
}

/** Of what has names: the one that is asked for, or a page in the order of the names. */
export function pageOf<T>(byName: ReadonlyMap<string, T>, { name, after = '', limit = limitMax }: Views['schedules']['argument']): T[] {
  if (name !== undefined) {
    const found = byName.get(name)
    return found ? [found] : []
  }
  const names = [...byName.keys()].filter(one => one > after).sort()
  return names.slice(0, Math.min(Math.max(1, limit), limitMax)).map(one => byName.get(one)!)
}

/** Schedules, in the order of their names. */
export function viewSchedules({ schedules }: State, query: Views['schedules']['argument']): ScheduleView[] {
  return pageOf(schedules.byName, query).map(viewSchedule)
}

/** What a schedule waits for: its next tick, the run that holds those that came, or whoever paused it. */
export function whySchedule({ spec: { schedule: id, overlap }, paused, queue, running, nextAtMs }: ScheduleState): WhyView {
  if (paused) return { id, rule: 'paused', text: `is paused: cox schedule resume ${id}` }
  const [run] = running
  const next = `its next tick is at ${momentOf(nextAtMs)} UTC`
  if (run === undefined || overlap === 'cancel') return { id, rule: 'tick', text: next }
  if (queue.length > 0)
    return { id, rule: 'overlap', text: `${queue.length} of its ticks wait for the end of ${run}: cox why ${run}; ${next}` }
  const then = overlap === 'queue' ? 'waits for that' : 'is skipped'
  return { id, rule: 'overlap', text: `${next}, and ${then} if ${run} still runs then` }
}
