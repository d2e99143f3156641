// Owns capabilities for the tests of blocks, signed as the leader signs them. Must not use the code that makes or checks them.
import { createHmac } from 'node:crypto'
import { blockBearerHeader, blockHolderHeader } from '../../src/protocol/index.ts'
import { BlockAccess } from '../../src/worker/blocks/access.ts'

/** The key of every worker here, and cluster time at its registration. */
export const blockKey = Buffer.alloc(32, 7)
export const registeredAtMs = 1_700_000_000_000
/** Who asks, where a test does not say. */
export const tester = 'a tester'

/** What a capability is for, where it is not for anything. */
export interface Grant {
  operation?: 'read' | 'write'
  holder?: string
  bearer?: string
  /** Without it, for any. */
  block?: string
  expiresAtMs?: number
  key?: Uint8Array
}

/** A capability. */
export function capabilityOf(grant: Grant = {}): string {
  const { operation = 'read', holder = 'w1', bearer = tester, block, expiresAtMs = registeredAtMs + 600_000, key = blockKey } = grant
  const text = JSON.stringify(['coxswain block capability 1', operation, holder, bearer, block ?? '', expiresAtMs])
  const signature = createHmac('sha256', key).update(text).digest('base64url')
  return `${block === undefined ? 'a' : 'b'}.${expiresAtMs.toString(36)}.${signature}`
}

/** Headers of a request with it; `from`: the worker whose block it is. */
export function granted(grant: Grant = {}, from?: string): Record<string, string> {
  return {
    authorization: `Bearer ${capabilityOf(grant)}`,
    [blockBearerHeader]: encodeURIComponent(grant.bearer ?? tester),
    ...(from !== undefined && { [blockHolderHeader]: encodeURIComponent(from) }),
  }
}

/** Access to a worker that was registered `sinceMs` ago. */
export function accessTo(holder: string, sinceMs = 0): BlockAccess {
  let nowMs = 1000
  const access = new BlockAccess(holder, { monotonicMs: () => nowMs, wallMs: () => 0, timer: () => () => {}, soon: () => {} })
  access.renew(blockKey, registeredAtMs)
  nowMs += sinceMs
  return access
}
