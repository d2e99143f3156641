// Owns what is kept of what has ended, and how long: whole in memory, as a row of the history, or not at all; and programs nobody uses.
// Must not let go of anything that runs.
import type { JobId, JournalRecord } from '../../protocol/index.ts'
import { inputBytesOf } from '../jobs/accounts.ts'
import type { Job } from '../jobs/state.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'

/** Jobs archived, emptied or forgotten in one turn: the rest waits for the next, so that no turn takes long. */
const jobsPerTurnMax = 500
/** Jobs beyond their number go together, when they are so small a part of it: one by one, each would lengthen the turn that ends another. */
const surplusParts = 32
/** Programs kept although nobody uses them. */
const idleProgramsMax = 1000

type Emit = (record: JournalRecord) => void

export function retire(state: State, limits: CoreLimits, emit: Emit): void {
  retireJobs(state, limits, emit)
  if (state.history.size > 0) retireHistory(state, limits, emit)
  retireProgram(state, limits, emit)
}

function resultBytesOf(job: Job): number {
  let bytes = (job.flow?.keptBytes ?? 0) + inputBytesOf(job)
  for (const stage of job.stages) for (const segment of stage.results) bytes += segment.bytes
  return bytes
}

/** Finished jobs in memory, the oldest first: those beyond their number, and those whose results take too much, go into the history. */
function retireJobs(state: State, limits: CoreLimits, emit: Emit): void {
  const { succeeded, others } = state.jobs.finished
  // What is in the history already goes before them.
  let bytesOver = state.jobs.resultBytes - state.history.bytes - limits.resultBytesMax
  const old: JobId[] = []
  const tooOld: JobId[] = []
  for (const finished of [succeeded, others]) {
    let surplus = finished.size - limits.finishedJobsMax
    if (surplus * surplusParts < limits.finishedJobsMax) surplus = 0
    for (const job of finished) {
      const ageMs = state.nowMs - job.finishedAtMs
      const tooLarge = bytesOver > 0 && ageMs > limits.resultGraceMs
      const forgotten = ageMs > limits.finishedJobAgeMs
      if ((surplus <= 0 && !tooLarge && !forgotten) || old.length + tooOld.length === jobsPerTurnMax) break
      if (forgotten || limits.historyJobsMax === 0) tooOld.push(job.plan.job)
      else old.push(job.plan.job)
      surplus--
      if (bytesOver > 0) bytesOver -= resultBytesOf(job)
    }
  }
  if (tooOld.length > 0) emit({ kind: 'JobsForgotten', jobs: tooOld })
  if (old.length > 0) emit({ kind: 'JobsArchived', jobs: old })
}

/** Jobs in the history, the oldest first: results that take too much go, then rows beyond their number or age. */
function retireHistory(state: State, limits: CoreLimits, emit: Emit): void {
  const { history, nowMs } = state
  let bytesOver = state.jobs.resultBytes - limits.resultBytesMax
  let count = 0
  for (let place = history.emptiedTo; bytesOver > 0 && count < jobsPerTurnMax && place < history.end; place++) {
    if (nowMs - history.finishedAtMs(place) <= limits.resultGraceMs) break
    bytesOver -= history.bytesAt(place)
    count++
  }
  if (count > 0) emit({ kind: 'HistoryEmptied', first: history.emptiedTo, count })
  let gone = 0
  while (gone < Math.min(jobsPerTurnMax, history.size)) {
    const tooMany = history.size - gone > limits.historyJobsMax
    if (!tooMany && nowMs - history.finishedAtMs(history.first + gone) <= limits.finishedJobAgeMs) break
    gone++
  }
  if (gone > 0) emit({ kind: 'HistoryForgotten', first: history.first, count: gone })
}

function retireProgram(state: State, limits: CoreLimits, emit: Emit): void {
  const { idle } = state.programs
  for (const program of idle) {
    // The one that is idle for the longest is the first. One in a turn is enough: each turn looks again.
    if (idle.size > idleProgramsMax || state.nowMs - program.idleSinceMs > limits.programIdleMs)
      emit({ kind: 'ProgramForgotten', program: program.id })
    return
  }
}
