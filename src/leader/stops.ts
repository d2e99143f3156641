// Owns which workers are told to stop what, when tasks, a step or a job are cancelled, late or given up. Must not send anything.
import type { State } from '../core/index.ts'
import type { LeaderToWorker, Range } from '../protocol/index.ts'

/** Tasks of a lane that are to stop, and the worker that has it. */
export type Stop = { worker: string } & Omit<Extract<LeaderToWorker, { kind: 'cancel' }>, 'kind' | 'epoch'>

/** The lanes with tasks of a job, or of one stage of it. */
export function stopsOf(state: State, id: string, stage: number | undefined, ranges: Range[]): Stop[] {
  const job = state.jobs.byId.get(id)!
  const stops: Stop[] = []
  for (const one of stage === undefined ? job.stages : [job.stages[stage]!]) {
    if (one.runningCount === 0) continue
    for (const lane of state.tasks.lanes.values())
      if (lane.runs.some(run => run.stage === one)) stops.push({ worker: lane.worker.id, lane: lane.id, job: id, stage, ranges })
  }
  return stops
}

/** The same for a job of which something is late or given up: all of it where it has ended, else what is to stop of it. */
export function lateStops(state: State, id: string): Stop[] {
  const job = state.jobs.byId.get(id)!
  if (job.state !== 'running') return stopsOf(state, id, undefined, [])
  return job.stages.flatMap(({ number, cancelling }) =>
    cancelling.ranges.length === 0
      ? []
      : stopsOf(
          state,
          id,
          number,
          cancelling.ranges.map(range => ({ ...range })),
        ),
  )
}
