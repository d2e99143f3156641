// Owns what a run's journal says, for those who hold clients and executions to it.
// Must not judge it.

/** When facts became durable. */
export interface Facts {
  submittedMs: Map<string, number>
  cancelledMs: Map<string, number>
  finishedMs: Map<string, { atMs: number; state: string }>
  /** By the task's key. */
  resultMs: Map<string, number>
  /** Epoch in which a task's input became durable, by `job/stage/index`. */
  addedEpochs: Map<string, number>
  /** Epoch of a stage's latest result, by `job/stage`; and the stages that a stage waits for. */
  resultEpochs: Map<string, number>
  /** Epoch in which an attempt's failure became durable, by `job/stage/index#attempt`. */
  failedEpochs: Map<string, number>
  producers: Map<string, string[]>
  lanes: Set<number>
  workersLost: number
  clusters: Set<string>
  poisoned: Set<string>
  /** The token of each grant, and when it became durable that it has its turn. */
  granted: Map<string, { token: number; atMs: number }>
}

/** Nothing is known. */
export function createFacts(): Facts {
  return {
    submittedMs: new Map(),
    cancelledMs: new Map(),
    finishedMs: new Map(),
    resultMs: new Map(),
    addedEpochs: new Map(),
    resultEpochs: new Map(),
    failedEpochs: new Map(),
    producers: new Map(),
    lanes: new Set(),
    workersLost: 0,
    clusters: new Set(),
    poisoned: new Set(),
    granted: new Map(),
  }
}
