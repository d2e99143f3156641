// Owns what is forgotten, and when: finished jobs beyond their number, age or bytes, and programs nobody uses.
// Must not forget anything that runs.
import type { JournalRecord } from '../../protocol/index.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'

/** Jobs forgotten in one turn: the rest waits for the next, so that no turn takes long. */
const forgottenPerTurnMax = 500
/** Programs are looked at when there are more than this, oldest first. */
const programsKeptMax = 1000

export function retire(state: State, limits: CoreLimits, emit: (record: JournalRecord) => void): void {
  const { finished } = state.jobs
  let surplus = finished.size - limits.finishedJobsMax
  let bytesOver = state.jobs.resultBytes - limits.resultBytesMax
  const old: string[] = []
  for (const job of finished) {
    const expired = state.nowMs - job.finishedAtMs > limits.finishedJobAgeMs
    if ((surplus <= 0 && bytesOver <= 0 && !expired) || old.length === forgottenPerTurnMax) break
    old.push(job.plan.job)
    surplus--
    for (const stage of job.stages) for (const segment of stage.results) bytesOver -= segment.bytes
  }
  if (old.length > 0) emit({ kind: 'JobsForgotten', jobs: old })
  retirePrograms(state, limits, emit)
}

function retirePrograms(state: State, limits: CoreLimits, emit: (record: JournalRecord) => void): void {
  const programs = state.programs.byId
  if (programs.size <= programsKeptMax) {
    // Looking at one program a turn finds every idle one in time, at no cost worth naming.
    const [oldest] = programs.values()
    if (oldest && oldest.users === 0 && state.nowMs - oldest.idleSinceMs > limits.programIdleMs)
      emit({ kind: 'ProgramForgotten', program: oldest.id })
    return
  }
  for (const program of programs.values()) {
    if (program.users > 0) continue
    emit({ kind: 'ProgramForgotten', program: program.id })
    return
  }
}
