// Owns `schedule()`: what its definition is, its types, and what is wrong with one at the earliest moment.
// Must not send anything.
import { nextTick } from '../platform/node/index.ts'
import { CoxswainError, catchUpRules, overlapRules } from '../protocol/index.ts'
import { type Duration, durationMs } from './amounts.ts'
import type { TaskOf } from './define.ts'
import type { WorkflowOf } from './flow/workflow.ts'
import { checkJobOptions } from './parts.ts'
import type { RunLimits } from './policies.ts'
import { startFlaw } from './starts.ts'

/** What can be said about a schedule; its limits are those of each run. */
export interface ScheduleOptions<Input> extends RunLimits {
  /** Its name within the cluster. Each run is the job `name@tick`. */
  name: string
  /** When: a cron expression of five fields (or six, with seconds first), */
  cron?: string
  /** or every so often, counted from the first moment of 1970; at least 1 s. */
  every?: Duration
  /** IANA name of the timezone that the expression is in. Default UTC. */
  timezone?: string
  /** What is run, */
  workflow?: WorkflowOf<Input, unknown>
  /** or a single task. */
  task?: TaskOf<Input, unknown>
  /** The input of each run; the job's id tells which tick it is of. */
  input?: Input
  /** What happens at a tick while a run of the schedule has not ended: nothing, its run waits, or the running one is cancelled. Default `skip`. */
  overlap?: 'skip' | 'queue' | 'cancel'
  /** Which ticks are run that passed by more than a minute while no leader lived. Default `last`; `all` goes back 24 hours at most. */
  catchUp?: 'none' | 'last' | 'all'
  /** Labels of each run, besides `schedule:NAME`. */
  labels?: readonly string[]
  priority?: number
}

/** A schedule: what is run, and when. Give it to `cluster.schedule`. */
export interface Schedule<Input> extends ScheduleOptions<Input> {
  readonly kind: 'schedule'
  /** @internal */
  readonly everyMs: number
}

const everyMsMin = 1000
const nameBytesMax = 120

/**
 * Defines a schedule.
 *
 * ```ts
 * export const atNight = schedule({ name: 'at-night', cron: '0 2 * * *', timezone: 'Europe/Berlin', workflow: nightly, input: { full: true } })
 * await cluster.schedule(atNight)
 * ```
 * Throws INVALID_SCHEDULE for an expression, interval, timezone, name or rule that cannot be; INVALID_ARGUMENT for such labels or priority.
 */
export function schedule<Input>(options: ScheduleOptions<Input>): Schedule<Input> {
  const { name, cron = '', every, timezone = '', overlap = 'skip', catchUp = 'last' } = options
  const invalid = (what: string): never => {
    throw new CoxswainError('INVALID_SCHEDULE', `Schedule ${String(name)}: ${what}.`, { id: String(name) })
  }
  const flaw = startFlaw(options, nameBytesMax)
  if (flaw !== undefined) invalid(flaw)
  if ((cron === '') === (every === undefined)) invalid(`it needs either cron or every, and has ${cron === '' ? 'neither' : 'both'}`)
  if (timezone !== '' && cron === '') invalid('a timezone belongs to cron')
  const everyMs = every === undefined ? 0 : durationMs(every, `every of schedule ${name}`, 'INVALID_SCHEDULE')
  if (every !== undefined && everyMs < everyMsMin) invalid(`every is ${everyMs} ms, and must be at least ${everyMsMin}`)
  if (!overlapRules.includes(overlap)) invalid(`overlap is ${JSON.stringify(overlap)}, and must be one of ${overlapRules.join(', ')}`)
  if (!catchUpRules.includes(catchUp)) invalid(`catchUp is ${JSON.stringify(catchUp)}, and must be one of ${catchUpRules.join(', ')}`)
  checkJobOptions({ labels: options.labels ?? [], priority: options.priority ?? 0 })
  let next: number | undefined
  try {
    next = nextTick({ cron, timezone, everyMs }, 0)
  } catch (error) {
    invalid((error as Error).message)
  }
  if (next === undefined) invalid(`${JSON.stringify(cron)} never comes`)
  return { ...options, kind: 'schedule', everyMs }
}
