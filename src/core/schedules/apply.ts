// Owns what the facts about schedules do to the state. Must not choose anything.
import type { RecordOf } from '../../protocol/index.ts'
import { leaveProgram, useProgram } from '../programs/apply.ts'
import type { State } from '../state.ts'
import { takePayload } from '../tasks/apply.ts'
import type { ScheduleState } from './state.ts'

function scheduleOf(state: State, name: string): ScheduleState {
  const schedule = state.schedules.byName.get(name)
  if (!schedule) throw new Error(`no schedule ${name}`)
  return schedule
}

export function applyScheduleSet(state: State, record: RecordOf<'ScheduleSet'>): void {
  const { spec, payload, bytes, nextAtMs } = record
  const known = state.schedules.byName.get(spec.schedule)
  for (const program of spec.programs) useProgram(state, program)
  if (known) letGo(state, known)
  takePayload(state, payload)
  const before = known ?? { paused: false, running: new Set<string>(), queue: [], lastJob: '', lastAtMs: 0, ran: 0, skipped: 0, missed: 0 }
  const schedule: ScheduleState = { ...before, spec, payload, bytes, nextAtMs }
  state.schedules.byName.set(spec.schedule, schedule)
  for (const job of schedule.running) state.schedules.byJob.set(job, schedule)
  state.schedules.changed.add(schedule)
}

function letGo(state: State, schedule: ScheduleState): void {
  for (const program of schedule.spec.programs) leaveProgram(state, program)
  state.payloadDrops.push(schedule.payload)
  state.schedules.changed.delete(schedule)
}

export function applyScheduleTicked(state: State, record: RecordOf<'ScheduleTicked'>): void {
  const schedule = scheduleOf(state, record.schedule)
  schedule.nextAtMs = record.nextAtMs
  schedule.lastAtMs = Math.max(schedule.lastAtMs, record.atMs)
  if (record.outcome === 'skipped') schedule.skipped++
  else if (record.outcome === 'missed') schedule.missed++
  else if (record.outcome === 'queued') schedule.queue.push(record.atMs)
  state.schedules.changed.add(schedule)
}

export function applyScheduleRan(state: State, record: RecordOf<'ScheduleRan'>): void {
  const schedule = scheduleOf(state, record.schedule)
  if (record.queued) schedule.queue.shift()
  schedule.ran++
  schedule.lastJob = record.job
  // A job of that name may have been there already, and be over.
  if (state.jobs.byId.get(record.job)?.finishedAtMs === 0) {
    schedule.running.add(record.job)
    state.schedules.byJob.set(record.job, schedule)
  }
  state.schedules.changed.add(schedule)
}

export function applySchedulePaused(state: State, record: RecordOf<'SchedulePaused'>): void {
  const schedule = scheduleOf(state, record.schedule)
  schedule.paused = record.paused
  schedule.nextAtMs = record.nextAtMs
  state.schedules.changed.add(schedule)
}

export function applyScheduleDeleted(state: State, record: RecordOf<'ScheduleDeleted'>): void {
  const schedule = scheduleOf(state, record.schedule)
  letGo(state, schedule)
  for (const job of schedule.running) state.schedules.byJob.delete(job)
  state.schedules.byName.delete(record.schedule)
}

/** A run has ended: what waited for it may begin. */
export function runEnded(state: State, job: string): void {
  const schedule = state.schedules.byJob.get(job)
  if (!schedule) return
  state.schedules.byJob.delete(job)
  schedule.running.delete(job)
  state.schedules.changed.add(schedule)
}
