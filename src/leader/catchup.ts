// Owns sending a client what its job has already: results, failures, its end. At the client's pace, in pieces.
// Must not send what is recorded later: that is the outbox's.
import { failureOfTask, type KeptStage, reasonOf, type Stage } from '../core/index.ts'
import { CoxswainError, type LeaderToClient, type TaskFailure } from '../protocol/index.ts'
import type { LeaderContext } from './context.ts'
import { readEnd, resultOf, sendEnds } from './ends.ts'
import type { ClientLink } from './links.ts'
import { resultsHold } from './payloads.ts'

/** Bytes that may wait for the client before the next piece is read. */
const aheadBytesMax = 4 << 20
const waitMs = 5
const failuresPerMessageMax = 100

/** What a job had at one index of the journal. */
export interface Past {
  job: string
  stages: { stage: number; results: KeptStage['results']; failures: TaskFailure[] }[]
  /** Its end, if it is over, or as soon as it is: told after everything else. */
  end: Extract<LeaderToClient, { kind: 'jobChanged' }> | undefined
}

function finalFailures(stage: Stage): TaskFailure[] {
  const failures: TaskFailure[] = []
  for (const index of stage.troubles.keys()) {
    const failure = failureOfTask(stage, index)
    if (failure) failures.push(failure)
  }
  return failures
}

/** All results of the job that were not released, all final failures, and its end if it is over; undefined if there is no such job. */
export function pastOf(context: LeaderContext, id: string): Past | undefined {
  const job = context.state.jobs.byId.get(id)
  if (!job) return undefined
  // Of a workflow only its end is told: its result may be of any step.
  const stages = (job.flow ? [] : job.stages).map(stage => ({
    stage: stage.number,
    results: [...stage.results].map(({ first, count, payload, from }) => ({ first, count, payload, from })),
    failures: finalFailures(stage),
  }))
  const { state } = job
  const reason = reasonOf(job)
  return { job: id, stages, end: state === 'running' ? undefined : { kind: 'jobChanged', job: id, state, reason } }
}

function roomIn(context: LeaderContext, link: ClientLink): Promise<void> {
  return new Promise(resolve => {
    const look = (): void => {
      if (link.closed || link.connection.bufferedBytes < aheadBytesMax) resolve()
      else context.platform.clock.timer(waitMs, look)
    }
    look()
  })
}

/** Sends what a job had, as long as the client watches it. All of it must be durable by now. */
export async function catchUp(context: LeaderContext, link: ClientLink, past: Past): Promise<void> {
  const { job } = past
  const wanted = (): boolean => !link.closed && link.catchingUp.get(job) === past
  for (const { stage, results, failures } of past.stages) {
    for (const { first, count, payload, from = 0 } of results) {
      await roomIn(context, link)
      if (!wanted()) return
      try {
        const needed = (): boolean => resultsHold(context.state, { job, stage, first, payload })
        const items = await context.payloads.readPiece({ payload, from, count }, needed)
        if (wanted()) link.send({ kind: 'results', job, stage, first, items })
      } catch (error) {
        // Released meanwhile by this very client: it has it.
        if (!(error instanceof CoxswainError) || error.code !== 'RESULT_GONE') throw error
      }
    }
    for (let from = 0; from < failures.length; from += failuresPerMessageMax) {
      if (wanted()) link.send({ kind: 'tasksFailed', job, stage, failures: failures.slice(from, from + failuresPerMessageMax) })
    }
  }
  if (!wanted()) return
  const found = past.end && context.state.jobs.byId.get(job)
  const result = found && resultOf(found)
  const end = result && (await readEnd(context.payloads, result))
  if (!wanted()) return
  link.catchingUp.delete(job)
  if (end) sendEnds(context.links, link, [end])
  else if (past.end) link.send(past.end)
}
