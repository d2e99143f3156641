// Owns what follows when a worker registers, is lost or drains. Must not write state.
import { CoxswainError, type JournalRecord, type LaneReport, type RecordOf, type Run } from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'
import { failureOf } from '../tasks/failures.ts'
import { findReady } from '../tasks/ready.ts'
import type { Lane } from '../tasks/state.ts'
import type { Worker } from './state.ts'

/** Everything that follows from the end of an incarnation: the tasks at the heads of its lanes lost an attempt, all others go back in line. */
export function loseWorker(worker: Worker, reason: string, nowMs: number, limits: CoreLimits): JournalRecord[] {
  const records: JournalRecord[] = []
  for (const lane of worker.lanes) {
    const head = lane.runs[0]
    if (!head || head.stage.job.state !== 'running') continue
    records.push(
      failureOf(
        lane,
        head,
        { code: 'WORKER_LOST', message: `Worker ${worker.id} was lost: ${reason}`, stack: '', retryable: true },
        nowMs,
        0,
        limits,
      ),
    )
  }
  records.push({ kind: 'WorkerLost', worker: worker.id, incarnation: worker.incarnation, reason })
  return records
}

export function decideLoseWorker(state: State, command: CommandOf<'loseWorker'>, limits: CoreLimits): Decision {
  const worker = state.membership.workers.get(command.worker)
  if (!worker || worker.incarnation !== command.incarnation) return answer({ kind: 'done' })
  return { records: loseWorker(worker, command.reason, state.nowMs, limits), payloads: [], reply: { kind: 'done' } }
}

export function decideDrainWorker(state: State, command: CommandOf<'drainWorker'>): Decision {
  const worker = state.membership.workers.get(command.worker)
  if (!worker) return refuse(new CoxswainError('NOT_FOUND', `There is no worker ${command.worker}.`, { id: command.worker }))
  if (worker.draining) return answer({ kind: 'done' })
  return {
    records: [{ kind: 'WorkerDraining', worker: worker.id, incarnation: worker.incarnation }],
    payloads: [],
    reply: { kind: 'done' },
  }
}

export function decideRegisterWorker(state: State, command: CommandOf<'registerWorker'>, limits: CoreLimits): Decision {
  const known = state.membership.workers.get(command.worker)
  if (known && known.boot === command.boot) return reconcile(state, known, command.lanes)
  if (!known && state.membership.workers.size >= limits.workersMax) {
    return refuse(
      new CoxswainError('OVERLOADED', `The cluster has ${limits.workersMax} workers, its limit.`, {
        id: command.worker,
        retryAfterMs: 5000,
      }),
    )
  }
  const records = known ? loseWorker(known, 'it registered anew after a restart', state.nowMs, limits) : []
  const incarnation = state.membership.nextIncarnation
  const { worker, boot, capacity, host, pid, blocks, labels } = command
  records.push({ kind: 'WorkerJoined', worker, incarnation, boot, capacity, host, pid, blocks, labels })
  // Lanes of an incarnation that was declared lost have been handed out again: none is kept.
  return { records, payloads: [], reply: { kind: 'registered', incarnation, keep: [] } }
}

/** A worker that is still known connects again: leader and worker agree, lane by lane, on what it runs. */
function reconcile(state: State, worker: Worker, reports: readonly LaneReport[]): Decision {
  const records: JournalRecord[] = []
  const keep: { lane: number; tasks: number }[] = []
  const reported = new Map(reports.map(report => [report.lane, report]))
  for (const lane of worker.lanes) {
    const report = reported.get(lane.id)
    const received = report?.received ?? lane.done
    // What was assigned and never arrived is ready again; so is all of a lane the worker does not know.
    if (received < lane.assigned) records.push({ kind: 'TasksReturned', lane: lane.id, keep: Math.max(0, received - lane.done) })
    if (!report) continue
    const adopted = received > lane.assigned ? adoptTail(state, lane, report) : []
    if (adopted.length > 0) records.push(assignment(worker, lane.id, adopted))
    keep.push({ lane: lane.id, tasks: Math.min(received, lane.assigned) + countTasks(adopted) })
  }
  for (const report of reports) {
    if (state.tasks.lanes.has(report.lane)) continue
    const adopted = adoptable(state, report.runs)
    if (adopted.length === 0 || report.acknowledged > 0) continue
    records.push(assignment(worker, report.lane, adopted))
    keep.push({ lane: report.lane, tasks: countTasks(adopted) })
  }
  return { records, payloads: [], reply: { kind: 'registered', incarnation: worker.incarnation, keep } }
}

function assignment(worker: Worker, lane: number, runs: Run[]): RecordOf<'TasksAssigned'> {
  return { kind: 'TasksAssigned', lane, worker: worker.id, incarnation: worker.incarnation, runs, adopted: true }
}

function countTasks(runs: readonly Run[]): number {
  return runs.reduce((sum, run) => sum + run.count, 0)
}

/** The first of these runs whose tasks nobody else was given meanwhile. */
function adoptable(state: State, runs: readonly Run[]): Run[] {
  const adopted: Run[] = []
  for (const run of runs) {
    const stage = state.jobs.byId.get(run.job)?.stages[run.stage]
    if (!stage || stage.job.state !== 'running' || !findReady(stage, run.first, run.count, run.attempt)) break
    adopted.push(run)
  }
  return adopted
}

/** Runs that the worker received for a lane and the journal does not know: an earlier leader died before they were durable. */
function adoptTail(state: State, lane: Lane, report: LaneReport): Run[] {
  let skip = lane.assigned - report.acknowledged
  const tail: Run[] = []
  for (const run of report.runs) {
    const before = Math.min(Math.max(skip, 0), run.count)
    skip -= run.count
    if (before < run.count) tail.push({ ...run, first: run.first + before, count: run.count - before })
  }
  return adoptable(state, tail)
}
