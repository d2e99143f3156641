// Owns the bytes of what limits jobs as a whole, and of deadlines, in a snapshot. Must not hold derived things: they are made anew.
import { type Infer, integer, list, runPolicy, string, struct, varint } from '../../protocol/index.ts'
import { expectEnd } from '../deadlines/apply.ts'
import { type Deadline, isAwaited } from '../deadlines/state.ts'
import type { State } from '../state.ts'
import { queueOf } from './apply.ts'

const countMax = 2 ** 31
const name = string(4096)

export const runsState = struct({
  /** In the order of their submission, which is that of their turns. `startedAtMs`: 0 for one that has not begun. */
  runs: list(struct({ job: name, policy: runPolicy, startedAtMs: varint }), countMax),
  deadlines: list(struct({ job: name, step: integer, atMs: varint }), countMax),
  /** Steps that did not end in their time. */
  late: list(struct({ job: name, step: varint }), countMax),
})

/** Deadlines of what has not ended, in the order in which they come. */
function awaited(state: State): Deadline[] {
  const pending = state.delayed.sorted().flatMap(({ item }) => ('deadline' in item ? [item.deadline] : []))
  return [...state.deadlines.due, ...pending].filter(isAwaited)
}

export function runsValue(state: State): Infer<typeof runsState> {
  const jobs = [...state.jobs.byId.values()]
  return {
    runs: jobs.flatMap(({ plan, run }) => (run ? [{ job: plan.job, ...run }] : [])),
    deadlines: awaited(state).map(({ job, ...one }) => ({ ...one, job: job.plan.job })),
    late: jobs.flatMap(({ plan, flow }) => (flow ? [...flow.late].map(step => ({ job: plan.job, step })) : [])),
  }
}

export function restoreRuns(state: State, value: Infer<typeof runsState>): void {
  for (const { job: id, policy, startedAtMs } of value.runs) {
    const job = state.jobs.byId.get(id)!
    // One that has ended, or was cancelled before its turn, has its key no more.
    const over = job.finishedAtMs > 0 || (startedAtMs === 0 && job.state !== 'running')
    const queue = policy.key === '' || over ? undefined : queueOf(state, policy)
    job.run = { policy, queue, startedAtMs }
    if (!queue) continue
    if (startedAtMs > 0) queue.running.add(job)
    else {
      queue.line.add(job, job.plan.priority)
      queue.waiting++
    }
  }
  for (const { job: id, step, atMs } of value.deadlines) {
    const job = state.jobs.byId.get(id)!
    if (atMs <= state.nowMs) state.deadlines.due.push({ job, step, atMs })
    else expectEnd(state, job, step, atMs)
  }
  for (const { job, step } of value.late) state.jobs.byId.get(job)!.flow!.late.add(step)
}
