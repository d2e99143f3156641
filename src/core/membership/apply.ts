// Owns what the facts about workers do to the state. Must not choose anything.
import type { RecordOf } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import { closeLane, returnTail } from '../tasks/apply.ts'
import { copy } from './resources.ts'
import { markMoved, unbucket, type Worker } from './state.ts'

export function applyWorkerJoined(state: State, record: RecordOf<'WorkerJoined'>): void {
  const { worker: id, incarnation, boot, capacity, host, pid, blocks, labels } = record
  if (state.membership.workers.has(id)) throw new Error(`worker ${id} joined twice`)
  const worker: Worker = {
    id,
    incarnation,
    boot,
    capacity,
    free: copy(capacity),
    host,
    pid,
    blocks,
    labels,
    draining: false,
    lanes: [],
    bucket: -1,
    moved: false,
  }
  state.membership.workers.set(id, worker)
  state.membership.nextIncarnation = Math.max(state.membership.nextIncarnation, incarnation + 1)
  markMoved(state.membership, worker)
  state.membership.roomier.add(worker)
}

export function applyWorkerLost(state: State, record: RecordOf<'WorkerLost'>): void {
  const worker = workerOf(state, record.worker)
  for (const lane of worker.lanes) {
    returnTail(state, lane, 0, true)
    closeLane(state, lane)
  }
  unbucket(state.membership, worker)
  state.membership.workers.delete(worker.id)
}

export function applyWorkerDraining(state: State, record: RecordOf<'WorkerDraining'>): void {
  const worker = workerOf(state, record.worker)
  worker.draining = true
  for (const lane of worker.lanes) lane.closing = true
  markMoved(state.membership, worker)
}

function workerOf(state: State, id: string): Worker {
  const worker = state.membership.workers.get(id)
  if (!worker) throw new Error(`no worker ${id}`)
  return worker
}
