// Owns what schedules are: when their next tick is, what runs of them there are, and ticks that wait for those.
// Must not know how ticks are counted: the next one is stamped on each command.
import type { PayloadId, ScheduleSpec } from '../../protocol/index.ts'

/** A schedule and where it stands. */
export interface ScheduleState {
  readonly spec: ScheduleSpec
  /** What is submitted at each tick. */
  readonly payload: PayloadId
  readonly bytes: number
  paused: boolean
  /** Wall time of the next tick. */
  nextAtMs: number
  /** Jobs of it that run. */
  readonly running: Set<string>
  /** Ticks whose runs wait for those that run, oldest first. */
  queue: number[]
  /** The last run, and counts since it was made. */
  lastJob: string
  lastAtMs: number
  ran: number
  skipped: number
  missed: number
}

export interface Schedules {
  readonly byName: Map<string, ScheduleState>
  /** Derived: job → the schedule that it is a run of, as long as it runs. */
  readonly byJob: Map<string, ScheduleState>
  /** Derived: those that changed since the leader's clock looked. */
  readonly changed: Set<ScheduleState>
}

export function createSchedules(): Schedules {
  return { byName: new Map(), byJob: new Map(), changed: new Set() }
}

/** Ticks that wait for running ones. */
export const queueMax = 100

/** True if a tick that waits may run. */
export function mayStart(schedule: ScheduleState): boolean {
  return schedule.queue.length > 0 && schedule.running.size === 0 && !schedule.paused
}
