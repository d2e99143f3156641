// Owns what schedules and triggers keep of the runs that they start: bytes of their own in the journal, with a version of their own.
// Must not follow the messages: those may change with the protocol, and what is stored is read for ever.
import { boolean, bytes, decodeMessage, encodeMessage, type Infer, list, optional, struct, union, varint } from './codec.ts'
import { flowPlan } from './flow.ts'
import { limits } from './limits.ts'
import { jobPlan, taskBlock } from './plan.ts'
import { runPolicy, stagePolicy } from './policies.ts'

const first = struct({
  plan: jobPlan,
  inputs: list(
    struct({ stage: varint, first: varint, items: bytes(limits.frameBytesMax), blocks: list(taskBlock), seal: boolean }),
    limits.inputsMax,
  ),
  flow: optional(flowPlan),
  policies: list(stagePolicy, limits.stagesMax),
  run: optional(runPolicy),
})

/** A job that is to be submitted again and again. A new layout gets a new case and number; old ones are read for ever. */
export const storedSubmission = union({ v1: [1, first] })
/** What it is made of, as this release has it. */
export type StoredSubmission = Infer<typeof first>

/** The bytes of a job that is to be submitted again and again. */
export function encodeStored(submission: StoredSubmission): Buffer {
  return encodeMessage(storedSubmission, { ...submission, kind: 'v1' })
}

/** The job in these bytes, of whatever version; throws FRAME_MALFORMED on anything else. */
export function decodeStored(stored: Uint8Array): StoredSubmission {
  const { kind: _, ...submission } = decodeMessage(storedSubmission, stored)
  return submission
}
