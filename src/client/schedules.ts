// Owns schedules as a client holds them: making them known to the cluster, and what can be done with one.
// Must not count ticks: the leader does.
import { CoxswainError, encodeStored, limits, type ScheduleSpec, type ScheduleView } from '../protocol/index.ts'
import { JobHandle } from './job-handle.ts'
import type { Parts } from './parts.ts'
import type { Schedule } from './schedule.ts'
import { changeStarter, checkStarter, starterSpec, starterView } from './starters.ts'
import { prepareJob } from './submission.ts'
import { messageOf, type Submitter } from './submitter.ts'

/** A schedule that the cluster knows. */
export class ScheduleHandle {
  readonly name: string
  readonly #parts: Parts

  /** @internal Made by `cluster.schedule`. */
  constructor(parts: Parts, name: string) {
    this.#parts = parts
    this.name = name
  }

  /** How it stands. Rejects with NOT_FOUND. */
  status(): Promise<ScheduleView> {
    return starterView(this.#parts, 'schedule', this.name)
  }

  /** No more ticks until `resume`; what runs goes on. Resolves when that is durable. */
  pause(): Promise<void> {
    return changeStarter(this.#parts, 'schedule', this.name, 'pause')
  }

  /** Ticks again, from now on: those that passed meanwhile are not caught up with. */
  resume(): Promise<void> {
    return changeStarter(this.#parts, 'schedule', this.name, 'resume')
  }

  /** Forgets the schedule; what runs goes on, what waits in its queue is given up. */
  delete(): Promise<void> {
    return changeStarter(this.#parts, 'schedule', this.name, 'delete')
  }

  /** Runs it now, besides its ticks and whatever runs; resolves with the job. */
  async trigger(): Promise<JobHandle<unknown>> {
    const run = `trigger-${this.#parts.platform.random.uuid()}`
    await this.#parts.session.request({ kind: 'triggerSchedule', schedule: this.name, run })
    return new JobHandle(this.#parts, `${this.name}@${run}`, 'unknown')
  }
}

/** Makes a schedule known. Rejects with SCHEDULE_CHANGED where there is another one of its name and `replace` is not set. */
export async function setSchedule<Input>(
  parts: Parts,
  submitter: Submitter,
  definition: Schedule<Input>,
  replace: boolean,
): Promise<ScheduleHandle> {
  checkStarter(definition, 'schedule')
  const { name, cron = '', timezone = '', everyMs, overlap = 'skip', catchUp = 'last', labels = [], priority = 0 } = definition
  const what = (definition.workflow ?? definition.task)!
  const { concurrencyKey, concurrency, whenBusy, timeout } = definition
  const limited = {
    ...(concurrencyKey !== undefined && { concurrencyKey }),
    ...(concurrency !== undefined && { concurrency }),
    ...(whenBusy !== undefined && { whenBusy }),
    ...(timeout !== undefined && { timeout }),
  }
  const options = { id: `${name}@tick`, labels: [...labels, `schedule:${name}`], priority, ...limited }
  const job = await prepareJob(parts, what as Parameters<typeof prepareJob>[1], definition.input, options, true)
  const { plan, inputs } = job
  if (inputs.some(one => one.blocks.length > 0))
    throw new CoxswainError(
      'VALUE_CANNOT_TRAVEL',
      `The input of schedule ${name} is larger than ${limits.inlineBytesMax} bytes: give it the place where that is.`,
      { id: name },
    )
  const rules = { cron, timezone, everyMs, overlap, catchUp }
  const spec: ScheduleSpec = { schedule: name, ...rules, ...starterSpec([...Object.values(rules), labels, priority], plan) }
  const bytes = encodeStored(messageOf(job))
  await submitter.withPrograms([job], () => parts.session.request({ kind: 'setSchedule', spec, submission: bytes, replace }))
  return new ScheduleHandle(parts, name)
}
