// Owns which programs are known and who needs them. Must not hold their bytes.
import type { PayloadId, ProgramId } from '../../protocol/index.ts'

export interface Program {
  id: ProgramId
  payload: PayloadId
  bytes: number
  /** Stages of unfinished jobs that run it. */
  users: number
  /** Cluster time when it was last added or lost its last user. */
  idleSinceMs: number
}

export interface Programs {
  byId: Map<ProgramId, Program>
  /** Derived: programs without users, the one that is idle for the longest first. */
  idle: Set<Program>
}

export function createPrograms(): Programs {
  return { byId: new Map(), idle: new Set() }
}
