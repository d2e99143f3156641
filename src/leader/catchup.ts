// Owns sending a client what its job has already: results, failures, its end. At the client's pace, in pieces.
// Must not send what comes later: that is the outbox's.
import { failureOfTask, type Stage } from '../core/index.ts'
import { CoxswainError, type TaskFailure } from '../protocol/index.ts'
import type { LeaderContext } from './context.ts'
import type { ClientLink } from './links.ts'

/** Bytes that may wait for the client before the next piece is read. */
const aheadBytesMax = 4 << 20
const waitMs = 5
const failuresPerMessageMax = 100

function roomIn(context: LeaderContext, link: ClientLink): Promise<void> {
  return new Promise(resolve => {
    const look = (): void => {
      if (link.closed || link.connection.bufferedBytes < aheadBytesMax) resolve()
      else context.platform.clock.timer(waitMs, look)
    }
    look()
  })
}

async function sendResults(context: LeaderContext, link: ClientLink, stage: Stage): Promise<void> {
  const job = stage.job.plan.job
  for (const segment of [...stage.results]) {
    await roomIn(context, link)
    if (link.closed) return
    try {
      const items = await context.payloads.read(segment.payload)
      link.send({ kind: 'results', job, stage: stage.number, first: segment.first, items })
    } catch (error) {
      // Released meanwhile by this very client: it has it.
      if (!(error instanceof CoxswainError) || error.code !== 'RESULT_GONE') throw error
    }
  }
}

function finalFailures(stage: Stage): TaskFailure[] {
  const failures: TaskFailure[] = []
  for (const index of stage.troubles.keys()) {
    const failure = failureOfTask(stage, index)
    if (failure) failures.push(failure)
  }
  return failures
}

/** Sends all results that were not released, all final failures, and the end of the job if it is over. */
export async function catchUp(context: LeaderContext, link: ClientLink, id: string): Promise<void> {
  const job = context.state.jobs.byId.get(id)
  if (!job || link.catchingUp.has(id)) return
  link.catchingUp.add(id)
  try {
    for (const stage of job.stages) {
      await sendResults(context, link, stage)
      const failures = finalFailures(stage)
      for (let from = 0; from < failures.length; from += failuresPerMessageMax) {
        link.send({ kind: 'tasksFailed', job: id, stage: stage.number, failures: failures.slice(from, from + failuresPerMessageMax) })
      }
    }
  } finally {
    link.catchingUp.delete(id)
  }
  if (job.state !== 'running') link.send({ kind: 'jobChanged', job: id, state: job.state, reason: job.reason })
}
