// Owns the named limits of what travels and what is kept. Every queue, buffer, batch and frame has one.
// Must not hold tuning that is one room's own business.

/** Version of hello and messages. Peers of another version are refused with VERSION_MISMATCH. */
export const protocolVersion = 4

/** Version of the journal's records. A journal of a newer version is refused with JOURNAL_VERSION. */
export const recordVersion = 4

/** Every limit by its name; units stand last in it. */
export const limits = {
  /** A WebSocket frame, either way. */
  frameBytesMax: 40 << 20,
  /** A program's bundle with its source map. */
  programBytesMax: 32 << 20,
  /** A value up to this size travels in the message; a larger one becomes a block by itself. 64 KiB of the user's, and 256 bytes for what says what they are. */
  inlineBytesMax: 65_792,
  /** Inputs or results of many tasks in one message: no more than this (one item may pass it). */
  chunkBytesMax: 1 << 20,
  chunkTasksMax: 2000,
  /** An encoded error (message, stack) of one attempt. */
  errorBytesMax: 32 << 10,
  /** One block. */
  blockBytesMax: 8 * 2 ** 30,
  /** The key by which a worker knows capabilities for its blocks; workers that are named for one block. */
  blockKeyBytes: 32,
  replicasMax: 16,
  /** Nesting of a value. */
  valueDepthMax: 500,
  /** Jobs in one submit message. */
  submitJobsMax: 2000,
  /** Stages of one job. */
  stagesMax: 1000,
  /** Chunks of inputs sent with a job. */
  inputsMax: 10_000,
  /** Steps of a workflow that are sent at once, what one step may need, and how deep workflows may be steps of one another. */
  stepsMax: 200_000,
  needsMax: 10_000,
  flowStepsMax: 2_000_000,
  workflowDepthMax: 1000,
  /** A list whose items become tasks: what is beyond this travels as blocks, one per item. */
  spreadBytesMax: 24 << 20,
  /** The key of an entry of a space; what one transaction may name of each kind, and how many jobs it may submit. */
  spaceKeyBytesMax: 512,
  transactionEntriesMax: 1000,
  transactionJobsMax: 100,
  transactionSignalsMax: 100,
  /** Limits of the time for which a lock is held without a sign of its holder. */
  lockTtlMsMin: 1000,
  lockTtlMsMax: 24 * 3_600_000,
  /** Grants named in one sign of life. */
  keptGrantsMax: 10_000,
  /** A secret, and the beginnings of names that it may be for. */
  secretBytesMax: 64 << 10,
  secretJobsMax: 100,
  /** Of an event; name and id of what it starts make the id of a job, name and key that of a step. */
  eventNameBytesMax: 64,
  eventKeyBytesMax: 128,
  eventIdBytesMax: 100,
  triggerNameBytesMax: 80,
  triggerBytesMax: 64 << 10,
  /** Runs that one event starts at most: half of them by its name, half by its name and key. */
  triggersPerEventMax: 200,
  jobIdBytesMax: 200,
  nameBytesMax: 200,
  labelsMax: 32,
  /** Users, and what their scopes and tokens are made of. */
  userNameBytesMax: 64,
  tokenIdBytesMax: 32,
  tokenBytesMax: 128,
  scopeTextsMax: 100,
  /** How long a token may be good for. */
  tokenTtlMsMax: 3660 * 24 * 3_600_000,
  /** Log kept per attempt; the rest is counted and dropped. */
  logBytesPerAttemptMax: 1 << 20,
  logLineBytesMax: 16 << 10,
} as const
