// Owns what a schedule is, as plain data: when, and what then. Must not know what a job is beyond its plan.
import { bytes, enumeration, type Infer, list, string, struct, varint } from './codec.ts'
import { limits } from './limits.ts'
import { hashField, nameField } from './plan.ts'

/** What happens at a tick while a run of the schedule has not ended. */
export const overlapRules = ['skip', 'queue', 'cancel'] as const
/** What happens with ticks that passed while no leader lived: none of them runs, the last one, or each. */
export const catchUpRules = ['none', 'last', 'all'] as const

/** When a schedule has its ticks. `cron` and `timezone` are empty where it is `everyMs`, and the other way round. */
export const scheduleSpec = struct({
  schedule: nameField,
  /** Hash of all that was asked. */
  contentHash: hashField,
  cron: string(limits.nameBytesMax),
  timezone: string(limits.nameBytesMax),
  everyMs: varint,
  overlap: enumeration(...overlapRules),
  catchUp: enumeration(...catchUpRules),
  /** Of what is run. */
  name: nameField,
  programs: list(hashField, 100),
})
export type ScheduleSpec = Infer<typeof scheduleSpec>

/** What a run is made of: a stored submission, whose job id is filled in. */
export const scheduledSubmission = bytes(limits.frameBytesMax)

/** What became of a tick. */
export const tickOutcomes = ['ran', 'skipped', 'queued', 'missed'] as const
