// Owns the named limits and periods of the leader's mind. Must not hold what travels: that is protocol/limits.ts.

/** Every limit and period of the leader's mind. */
export interface CoreLimits {
  /** Tasks that were added and have no outcome. Above it, adding is refused as OVERLOADED. */
  openTasksMax: number
  /** Bytes of inputs of such tasks. */
  inputBytesMax: number
  /** Jobs that run. */
  runningJobsMax: number
  /** Finished jobs that are kept whole in memory, of those that succeeded and of all others; older ones go into the history. */
  finishedJobsMax: number
  /** Finished jobs in the history (0: there is none), how long a finished job is known at all, and bytes of results of all of them. */
  historyJobsMax: number
  finishedJobAgeMs: number
  resultBytesMax: number
  /** However many bytes they hold, results are kept this long, so that whoever waited for them can read them. */
  resultGraceMs: number
  /** Deaths of executors or workers under one task before it is quarantined. */
  deathsMax: number
  /** How much work a lane has ahead, and the most tasks and bytes in one assignment. */
  laneAheadMs: number
  laneTasksMax: number
  assignTasksMax: number
  assignBytesMax: number
  /** A program nobody uses is forgotten after this. */
  programIdleMs: number
  workersMax: number
  schedulesMax: number
  triggersMax: number
  /** Ids of events that are remembered so that each counts once, and for how long. */
  eventIdsMax: number
  eventIdAgeMs: number
  /** Locks that are held or waited for. */
  grantsMax: number
  secretsMax: number
  usersMax: number
  tokensPerUserMax: number
  /** A token that expired so long ago is forgotten when its user gets another one. */
  expiredTokenAgeMs: number
  /** Entries of all spaces, and their bytes. */
  spaceEntriesMax: number
  spaceBytesMax: number
}

/** What holds where nothing else is asked for. */
export const defaultLimits: CoreLimits = {
  openTasksMax: 20_000_000,
  inputBytesMax: 4 * 2 ** 30,
  runningJobsMax: 200_000,
  finishedJobsMax: 1000,
  historyJobsMax: 1_000_000,
  finishedJobAgeMs: 30 * 24 * 3_600_000,
  resultBytesMax: 1 * 2 ** 30,
  resultGraceMs: 60_000,
  deathsMax: 3,
  laneAheadMs: 40,
  laneTasksMax: 8_000,
  assignTasksMax: 2_000,
  assignBytesMax: 1 << 20,
  programIdleMs: 24 * 3_600_000,
  workersMax: 20_000,
  schedulesMax: 50_000,
  triggersMax: 10_000,
  eventIdsMax: 200_000,
  eventIdAgeMs: 24 * 3_600_000,
  grantsMax: 100_000,
  secretsMax: 1000,
  usersMax: 10_000,
  tokensPerUserMax: 100,
  expiredTokenAgeMs: 30 * 24 * 3_600_000,
  spaceEntriesMax: 1_000_000,
  spaceBytesMax: 256 * 2 ** 20,
}

/** Largest priority of a candidate. */
export const priorityMax = 1000
/** Priority of a candidate that did not say. */
export const priorityDefault = 100
