// Owns the form of capabilities for blocks: what they are bound to, what of that is signed, and how they are written.
// Must not sign or judge: the leader makes them, and workers check them without asking anybody.
import type { BlockId, WorkerId } from './ids.ts'

/** The request header in which who asks (a client by its session, a worker) says its name, as `encodeURIComponent` writes it. */
export const blockBearerHeader = 'x-coxswain-bearer'
/** The one that says, in the same way, whose block is asked for: not only its holder may have it. */
export const blockHolderHeader = 'x-coxswain-holder'

/** A capability ends so long after it was made. */
export const capabilityLifeMs = 600_000
/** Who checks it allows for clocks that differ by so much. */
export const capabilityToleranceMs = 60_000

/** What a capability is for. */
export interface CapabilityBounds {
  operation: 'read' | 'write'
  /** The worker whose server may be asked. */
  holder: WorkerId
  /** Session of the client, or name of the worker, that may ask. */
  bearer: string
  /** The only block it is for; undefined: any. */
  block: BlockId | undefined
  /** Cluster time. */
  expiresAtMs: number
}

/** A capability as it is written: the rest of its bounds is what the request itself says. */
export interface WrittenCapability {
  anyBlock: boolean
  expiresAtMs: number
  /** HMAC-SHA256 of `capabilityText` under the holder's key, in base64url. */
  signature: string
}

const written = /^([ab])\.([0-9a-z]{1,10})\.([\w-]{43})$/

/** What is signed. */
export function capabilityText({ operation, holder, bearer, block, expiresAtMs }: CapabilityBounds): string {
  return JSON.stringify(['coxswain block capability 1', operation, holder, bearer, block ?? '', expiresAtMs])
}

/** A capability as it travels. */
export function writeCapability({ anyBlock, expiresAtMs, signature }: WrittenCapability): string {
  return `${anyBlock ? 'a' : 'b'}.${expiresAtMs.toString(36)}.${signature}`
}

/** What such a text says, or undefined if it is none. */
export function readCapability(text: string): WrittenCapability | undefined {
  const match = written.exec(text)
  if (!match) return undefined
  return { anyBlock: match[1] === 'a', expiresAtMs: Number.parseInt(match[2]!, 36), signature: match[3]! }
}
