// Owns the times and sizes by which a worker's machine decides.
// Must not hold limits that other rooms know too: those are in protocol/limits.ts.

export const tuning = {
  /** After this silence of a lane, what of it has not been sent to the executor goes back to the leader. */
  silenceMs: 100,
  /** A task may have started this much later than the agent can tell. */
  startSlackMs: 20,
  /** How long a lane waits for an executor before its tasks go back to the leader. */
  executorWaitMsMax: 1_000,
  /** A task whose signal was aborted (deadline, cancel) has this long to end before its executor is killed. */
  graceMs: 2_000,
  /** From SIGTERM to SIGKILL. */
  killAfterTermMs: 1_000,
  /** A program must have loaded by then. */
  loadMsMax: 30_000,
  /** After an executor could not be started, none is tried for this long. */
  startAgainMs: 500,
  /** Idle executors are kept warm this long, and at most so many of them. */
  idleMsMax: 60_000,
  idleExecutorsMax: 8,
  /** Executors beyond the slots for tasks that take a fraction of a cpu: several programs may share one cpu. */
  fractionalExecutorsMax: 3,
  /** Lanes that share one executor, at most. */
  sharedLanesMax: 64,
  /** Work sent ahead to an executor in one batch, as time. */
  batchMs: 10,
  /** Tasks that take longer than this are sent one at a time, and so is the first of a kind of which nothing is known. */
  aheadMsMax: 10,
  /** Bytes of outcomes that wait for their acknowledgement; above it no new tasks are sent to executors. */
  unacknowledgedBytesMax: 64 << 20,
  /** Bytes of inputs held for lanes; what comes beyond goes back to the leader. */
  inputBytesMax: 256 << 20,
  /** Outcomes that go into one report, in bytes and in number. */
  reportBytesMax: 4 << 20,
  reportOutcomesMax: 10_000,
  /** Memory of a task that does not ask for any. */
  memoryBytesDefault: 256 << 20,
  heapMiBMin: 64,
  /** An executor's processes may hold its memory × this + the baseline. */
  memoryFactor: 1.25,
  memoryBaselineBytes: 128 << 20,
  /** Processes in an executor's group, the shim and its watcher among them. */
  processesMax: 64,
  /** Kinds of tasks whose duration is remembered. */
  estimatesMax: 256,
} as const
