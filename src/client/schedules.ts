// Owns schedules as a client holds them: making them known to the cluster, and what can be done with one.
// Must not count ticks: the leader does.
import { createHash } from 'node:crypto'
import { CoxswainError, encodeStored, limits, type ScheduleSpec, type ScheduleView } from '../protocol/index.ts'
import { JobHandle } from './job-handle.ts'
import type { Parts } from './parts.ts'
import type { Schedule } from './schedule.ts'
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
  async status(): Promise<ScheduleView> {
    const reply = await this.#parts.session.request({ kind: 'ask', view: 'schedules', argument: JSON.stringify({ name: this.name }) })
    const [view] = JSON.parse(reply.kind === 'view' ? reply.body : '[]') as ScheduleView[]
    if (!view) throw new CoxswainError('NOT_FOUND', `There is no schedule ${this.name}.`, { id: this.name })
    return view
  }

  /** No more ticks until `resume`; what runs goes on. Resolves when that is durable. */
  async pause(): Promise<void> {
    await this.#change('pause')
  }

  /** Ticks again, from now on: those that passed meanwhile are not caught up with. */
  async resume(): Promise<void> {
    await this.#change('resume')
  }

  /** Forgets the schedule; what runs goes on, what waits in its queue is given up. */
  async delete(): Promise<void> {
    await this.#change('delete')
  }

  /** Runs it now, besides its ticks and whatever runs; resolves with the job. */
  async trigger(): Promise<JobHandle<unknown>> {
    const run = `trigger-${this.#parts.platform.random.uuid()}`
    await this.#parts.session.request({ kind: 'triggerSchedule', schedule: this.name, run })
    return new JobHandle(this.#parts, `${this.name}@${run}`, 'unknown')
  }

  async #change(change: 'pause' | 'resume' | 'delete'): Promise<void> {
    await this.#parts.session.request({ kind: 'changeSchedule', schedule: this.name, change })
  }
}

/** Makes a schedule known. Rejects with SCHEDULE_CHANGED where there is another one of its name and `replace` is not set. */
export async function setSchedule<Input>(
  parts: Parts,
  submitter: Submitter,
  definition: Schedule<Input>,
  replace: boolean,
): Promise<ScheduleHandle> {
  if ((definition as { kind?: unknown } | undefined)?.kind !== 'schedule')
    throw new CoxswainError('INVALID_ARGUMENT', 'The first argument is not a schedule: pass what schedule() returned.')
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
  const rules = JSON.stringify([cron, timezone, everyMs, overlap, catchUp, labels, priority, plan.contentHash])
  const spec: ScheduleSpec = {
    schedule: name,
    contentHash: createHash('sha256').update(rules).digest('hex'),
    ...{ cron, timezone, everyMs, overlap, catchUp },
    name: plan.name,
    programs: [...new Set(plan.stages.map(stage => stage.program))],
  }
  const bytes = encodeStored(messageOf(job))
  await submitter.withPrograms([job], () => parts.session.request({ kind: 'setSchedule', spec, submission: bytes, replace }))
  return new ScheduleHandle(parts, name)
}
