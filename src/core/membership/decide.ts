// Owns what follows when a worker registers, is lost or drains. Must not write state.
import { CoxswainError, type JournalRecord } from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'
import { failureOf } from '../tasks/failures.ts'
import { reconcile } from './reconcile.ts'
import type { Worker } from './state.ts'

/** A reason is kept in the journal, where its length in bytes is limited. */
const reasonCharsMax = 500

/** Everything that follows from the end of an incarnation: the tasks at the heads of its lanes lost an attempt, all others go back in line. */
export function loseWorker(worker: Worker, because: string, nowMs: number, limits: CoreLimits): JournalRecord[] {
  const reason = because.slice(0, reasonCharsMax)
  const records: JournalRecord[] = []
  for (const lane of worker.lanes) {
    const head = lane.runs[0]!
    if (head.stage.job.state !== 'running' || head.stage.cancelling.has(head.first)) continue
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
