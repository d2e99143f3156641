// Owns how the disk of a store behaves, and what faults do to that.
// Must not carry it out.
import type { Fault } from '../scenario.ts'

/** How the disk behaves; faults change it. */
export interface DiskMood {
  syncMs: number
  /** How likely a write fails: having done nothing, or having done it all. */
  failed: number
  indeterminate: number
  /** Writes fail because there is no room. */
  full: boolean
}

/** A sound disk. */
export const calmDisk: Readonly<DiskMood> = { syncMs: 0.4, failed: 0, indeterminate: 0, full: false }

/** Behaves as a fault says; false if that is none of a disk's. */
export function sufferDisk(mood: DiskMood, { kind, share }: Fault): boolean {
  if (kind === 'slow-disk') mood.syncMs = 1 + share * 300
  else if (kind === 'disk-fails') mood.failed = share * 0.1
  else if (kind === 'disk-unsure') mood.indeterminate = share * 0.1
  else if (kind === 'disk-full') mood.full = true
  else return false
  return true
}
