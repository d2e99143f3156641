// The workloads by their names.
import { poison, retries, runs } from './calls.ts'
import { events } from './events.ts'
import { flows } from './flows.ts'
import { cancels, commits, resubmits, submits } from './jobs.ts'
import { limits } from './limits.ts'
import { arrays, maps } from './many.ts'
import { schedules } from './schedules.ts'
import { locks, registers } from './shared.ts'
import type { WorkloadMaker } from './workload.ts'

export { Tools, type Workload } from './workload.ts'

export const workloads: Readonly<Record<string, WorkloadMaker>> = {
  runs,
  retries,
  poison,
  submits,
  cancels,
  resubmits,
  maps,
  arrays,
  flows,
  registers,
  locks,
  schedules,
  commits,
  events,
  limits,
}
