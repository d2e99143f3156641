// Owns what is forgotten, and when: finished jobs beyond their number, age or bytes, and programs nobody uses.
// Must not forget anything that runs.
import type { JournalRecord } from '../../protocol/index.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'

/** Jobs forgotten in one turn: the rest waits for the next, so that no turn takes long. */
const forgottenPerTurnMax = 500
/** Programs kept although nobody uses them. */
const idleProgramsMax = 1000

export function retire(state: State, limits: CoreLimits, emit: (record: JournalRecord) => void): void {
  const { finished } = state.jobs
  let surplus = finished.size - limits.finishedJobsMax
  let bytesOver = state.jobs.resultBytes - limits.resultBytesMax
  const old: string[] = []
  for (const job of finished) {
    const ageMs = state.nowMs - job.finishedAtMs
    const tooLarge = bytesOver > 0 && ageMs > limits.resultGraceMs
    if ((surplus <= 0 && !tooLarge && ageMs <= limits.finishedJobAgeMs) || old.length === forgottenPerTurnMax) break
    old.push(job.plan.job)
    surplus--
    bytesOver -= job.flow?.keptBytes ?? 0
    for (const stage of job.stages) for (const segment of stage.results) bytesOver -= segment.bytes
  }
  if (old.length > 0) emit({ kind: 'JobsForgotten', jobs: old })
  retireProgram(state, limits, emit)
}

function retireProgram(state: State, limits: CoreLimits, emit: (record: JournalRecord) => void): void {
  const { idle } = state.programs
  for (const program of idle) {
    // The one that is idle for the longest is the first. One in a turn is enough: each turn looks again.
    if (idle.size > idleProgramsMax || state.nowMs - program.idleSinceMs > limits.programIdleMs)
      emit({ kind: 'ProgramForgotten', program: program.id })
    return
  }
}
