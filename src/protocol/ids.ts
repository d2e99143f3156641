// Owns what ids look like and how they are made from parts. Must not make random ones: those come from the platform.
import { CoxswainError } from './errors.ts'
import { limits } from './limits.ts'

/** A job's name, chosen by the user (it is the idempotency key) or made by the SDK. */
export type JobId = string
/** A worker's name; it stays the same over restarts. */
export type WorkerId = string
/** Number of a lane: epoch × 2^32 + a count within the epoch, so that two leaders never give the same one. */
export type LaneId = number
/** Number of a payload in the journal's store, growing over all leaders. */
export type PayloadId = number
/** SHA-256 of a program's bundle, 64 hex digits. */
export type ProgramId = string
/** SHA-256 of a block's bytes, 64 hex digits. */
export type BlockId = string

const jobIdPattern = /^[\p{L}\p{N}][\p{L}\p{N}._:@+-]*$/u

/** Throws INVALID_ARGUMENT unless the text can be a job id: letters, digits and `._:@+-`, not more than 200 bytes. */
export function checkJobId(id: string): JobId {
  if (typeof id !== 'string' || !jobIdPattern.test(id) || Buffer.byteLength(id) > limits.jobIdBytesMax) {
    throw new CoxswainError(
      'INVALID_ARGUMENT',
      `The job id ${JSON.stringify(id)} is not usable: letters, digits and . _ : @ + - only, at most ${limits.jobIdBytesMax} bytes.`,
      { id: String(id) },
    )
  }
  return id
}

/** The number of a lane from its leader's epoch and its count within it. */
export function laneId(epoch: number, count: number): LaneId {
  return epoch * 2 ** 32 + count
}

/** The epoch of the leader that opened a lane. */
export function laneEpoch(lane: LaneId): number {
  return Math.floor(lane / 2 ** 32)
}

/** How a lane is written for people: `epoch.count`. */
export function laneText(lane: LaneId): string {
  return `${laneEpoch(lane)}.${lane % 2 ** 32}`
}

/** A block as one worker holds it: the same bytes may lie on several. */
export function blockHolding(block: BlockId, holder: WorkerId): string {
  return `${block}@${holder}`
}

/** How a task is written for people: `job/stage/index`, and `job/index` in a job of one stage. */
export function taskText(job: JobId, stage: number, index: number, stages = 1): string {
  return stages === 1 ? `${job}/${index}` : `${job}/${stage}/${index}`
}

const secretNamePattern = /^[A-Za-z_][\w.-]*$/

/** True for a text that can be the name of a secret. */
export function isSecretName(name: string): boolean {
  return secretNamePattern.test(name)
}
