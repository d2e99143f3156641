// Owns the bytes of schedules in a snapshot. Must not hold derived things.
import { boolean, type Infer, list, scheduleSpec, string, struct, varint } from '../../protocol/index.ts'
import type { State } from '../state.ts'

const countMax = 2 ** 31
const name = string(4096)

export const schedulesState = list(
  struct({
    spec: scheduleSpec,
    payload: varint,
    bytes: varint,
    paused: boolean,
    nextAtMs: varint,
    running: list(name, countMax),
    queue: list(varint, countMax),
    lastJob: name,
    lastAtMs: varint,
    ran: varint,
    skipped: varint,
    missed: varint,
  }),
  countMax,
)

export function schedulesValue({ schedules }: State): Infer<typeof schedulesState> {
  return [...schedules.byName.values()].map(one => ({ ...one, running: [...one.running] }))
}

export function restoreSchedules({ schedules }: State, values: Infer<typeof schedulesState>): void {
  for (const value of values) {
    const schedule = { ...value, running: new Set(value.running) }
    schedules.byName.set(schedule.spec.schedule, schedule)
    for (const job of schedule.running) schedules.byJob.set(job, schedule)
    schedules.changed.add(schedule)
  }
}
