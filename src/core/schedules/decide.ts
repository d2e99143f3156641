// Owns what follows when a schedule is made or changed, and at each of its ticks. Must not write state, nor know what time it is.
import { CoxswainError, type JournalRecord, OverloadedError } from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse, type Submission } from '../commands.ts'
import { decideSubmitJob } from '../jobs/decide.ts'
import { goesOn } from '../jobs/state.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'
import { mayStart, queueMax, type ScheduleState } from './state.ts'

const retryAfterMs = 100

function missing(schedule: string): CoxswainError {
  return new CoxswainError('NOT_FOUND', `There is no schedule ${schedule}.`, { id: schedule })
}

/** Its runs are checked now as they will be when they are submitted. */
export function decideSetSchedule(state: State, command: CommandOf<'setSchedule'>, limits: CoreLimits): Decision {
  const { spec, bytes, submission, nextAtMs, replace } = command
  const { schedule: name } = spec
  const known = state.schedules.byName.get(name)
  if (known?.spec.contentHash === spec.contentHash) return answer({ kind: 'done' })
  if (known && !replace)
    return refuse(
      new CoxswainError('SCHEDULE_CHANGED', `There is a schedule ${name} already, and it asks for something else.`, { id: name }),
    )
  if (!known && state.schedules.byName.size >= limits.schedulesMax)
    return refuse(new OverloadedError(`The cluster holds its limit of ${limits.schedulesMax} schedules.`, { retryAfterMs }))
  const tried = decideSubmitJob(state, { kind: 'submitJob', ...submission }, limits)
  // A key that is full now need not be so then.
  if (tried.reply.kind === 'refused' && tried.reply.error.code !== 'KEY_BUSY') return tried
  const payload = state.nextPayload
  return {
    records: [{ kind: 'ScheduleSet', spec, payload, bytes: bytes.length, nextAtMs }],
    payloads: [{ payload, bytes }],
    reply: { kind: 'done' },
  }
}

/** The tick of a schedule that is due; one that was decided on before, by whichever leader, is done. */
export function decideTickSchedule(state: State, command: CommandOf<'tickSchedule'>, limits: CoreLimits): Decision {
  const { schedule: name, dueMs, atMs, nextAtMs, missed, submission } = command
  const schedule = state.schedules.byName.get(name)
  if (!schedule || schedule.paused || schedule.nextAtMs !== dueMs) return answer({ kind: 'done' })
  const ticked = (outcome: 'ran' | 'skipped' | 'queued' | 'missed'): JournalRecord => ({
    kind: 'ScheduleTicked',
    schedule: name,
    atMs,
    nextAtMs,
    outcome,
  })
  const only = (outcome: 'skipped' | 'queued' | 'missed'): Decision => ({
    records: [ticked(outcome)],
    payloads: [],
    reply: { kind: 'done' },
  })
  if (missed) return only('missed')
  const { overlap } = schedule.spec
  const busy = schedule.running.size > 0
  if (busy && overlap === 'skip') return only('skipped')
  if (busy && overlap === 'queue') return only(schedule.queue.length < queueMax ? 'queued' : 'skipped')
  const decision = decideRun(state, schedule, submission, false, limits)
  if (decision.reply.kind === 'refused') return decision.reply.error.code === 'KEY_BUSY' ? only('skipped') : decision
  const made = decision.records.flatMap(record => (record.kind === 'JobCancelled' ? [record.job] : []))
  const cancels = [...schedule.running].filter(id => {
    const job = state.jobs.byId.get(id)
    return job && goesOn(job) && !made.includes(id)
  })
  decision.records.unshift(
    ...cancels.map((job): JournalRecord => ({ kind: 'JobCancelled', job, reason: `the next tick of ${name} has come` })),
    ticked('ran'),
  )
  return decision
}

/** A tick that waited, or a run that its user asked for. */
export function decideRunSchedule(state: State, command: CommandOf<'runSchedule'>, limits: CoreLimits): Decision {
  const schedule = state.schedules.byName.get(command.schedule)
  if (!schedule) return command.queued ? answer({ kind: 'done' }) : refuse(missing(command.schedule))
  const { job } = command.submission.plan
  const known = state.jobs.byId.has(job) || state.history.find(job) !== undefined
  if (command.queued ? !mayStart(schedule) : known) return answer({ kind: 'done' })
  return decideRun(state, schedule, command.submission, command.queued, limits)
}

/** One run. A job of its name that is there already, whoever submitted it, is that run. */
function decideRun(state: State, schedule: ScheduleState, submission: Submission, queued: boolean, limits: CoreLimits): Decision {
  const { job } = submission.plan
  const decision = decideSubmitJob(state, { kind: 'submitJob', ...submission }, limits)
  if (decision.reply.kind === 'refused' && decision.reply.error.code !== 'JOB_ID_REUSED') return decision
  const records = decision.reply.kind === 'submitted' ? decision.records : []
  return {
    ...decision,
    records: [...records, { kind: 'ScheduleRan', schedule: schedule.spec.schedule, job, queued }],
    reply: { kind: 'done' },
  }
}

export function decideChangeSchedule(state: State, command: CommandOf<'changeSchedule'>): Decision {
  const { schedule: name, change, nextAtMs } = command
  const schedule = state.schedules.byName.get(name)
  if (!schedule) return refuse(missing(name))
  const paused = change === 'pause'
  if (change !== 'delete' && schedule.paused === paused) return answer({ kind: 'done' })
  const record: JournalRecord =
    change === 'delete' ? { kind: 'ScheduleDeleted', schedule: name } : { kind: 'SchedulePaused', schedule: name, paused, nextAtMs }
  return { records: [record], payloads: [], reply: { kind: 'done' } }
}
