// Owns the answers about workers and the cluster's load. Must not write anything.
import type { WorkerView } from '../../protocol/index.ts'
import { change, copy } from '../membership/resources.ts'
import type { Worker } from '../membership/state.ts'
import { loadOf, type Observed } from '../observed/observed.ts'
import type { State } from '../state.ts'
import { outstanding } from '../tasks/state.ts'

function viewWorker(worker: Worker, observed: Observed, nowMs: number): WorkerView {
  const seen = observed.workers.get(worker.id)
  const reserved = copy(worker.capacity)
  change(reserved, worker.free, -1)
  let tasks = 0
  for (const lane of worker.lanes) tasks += outstanding(lane)
  const { id, incarnation, host, pid, blocks, labels, capacity } = worker
  return {
    id,
    incarnation,
    state: !seen ? 'silent' : worker.draining ? 'draining' : 'ready',
    host,
    pid,
    blocks,
    labels,
    capacity,
    reserved,
    load: loadOf(worker, observed),
    lanes: worker.lanes.length,
    tasks,
    cpuShare: seen?.cpuShare ?? 0,
    memoryUsedBytes: seen?.memoryUsedBytes ?? 0,
    memoryFreeBytes: seen?.memoryFreeBytes ?? 0,
    eventLoopDelayMs: seen?.eventLoopDelayMs ?? 0,
    diskFreeBytes: seen?.diskFreeBytes ?? 0,
    executors: seen?.executors ?? 0,
    silentMs: seen ? Math.max(0, Math.round(nowMs - seen.seenMs)) : -1,
  }
}

/** All workers, by name. `nowMs` is the monotonic time by which they were observed. */
export function viewWorkers(state: State, observed: Observed, nowMs: number): WorkerView[] {
  return [...state.membership.workers.values()].map(worker => viewWorker(worker, observed, nowMs)).sort((a, b) => (a.id < b.id ? -1 : 1))
}
