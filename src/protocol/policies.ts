// Owns the limits that a user sets: how much of a stage may run at once and begin in a time, how many runs of a key, and how long all of it may take.
// Must not hold anything that changes while the job runs.
import { enumeration, type Infer, list, optional, string, struct, varint } from './codec.ts'
import { limits } from './limits.ts'

/** What limits a stage besides its plan. 0 stands for "no limit". */
export const stagePolicy = struct({
  stage: varint,
  /** All stages of the cluster with this key share its limits; with an empty one they are this stage's own. */
  key: string(limits.nameBytesMax),
  /** Tasks that are handed out and have not ended. */
  concurrency: varint,
  /** Tasks handed out in any `ratePerMs`. */
  rateLimit: varint,
  ratePerMs: varint,
  /** From when a step of the stage could begin to its end, with all its attempts and waits. */
  stepTimeoutMs: varint,
})
export type StagePolicy = Infer<typeof stagePolicy>

/** What happens with a run whose key is full: it waits, the oldest runs of the key are cancelled for it, or it is refused. */
export const busyRules = ['queue', 'cancel', 'reject'] as const
/** A rule for a run whose key is full. */
export type BusyRule = (typeof busyRules)[number]

/** What limits a job as a whole. 0 stands for "no limit". */
export const runPolicy = struct({
  /** Of jobs with this key so many run at once; an empty one: as many as there are. */
  key: string(limits.nameBytesMax),
  concurrency: varint,
  whenBusy: enumeration(...busyRules),
  /** From its start to its end. */
  timeoutMs: varint,
})
export type RunPolicy = Infer<typeof runPolicy>

/** Fields of what submits a job: limits of its stages, and of the job as a whole. */
export const jobPolicies = { policies: list(stagePolicy, limits.stagesMax), run: optional(runPolicy) }
