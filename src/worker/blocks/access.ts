// Owns who may read and write blocks here: capabilities of the leader are checked, without asking it.
// Must not tell why it refuses, nor whether a block is here.
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../platform/index.ts'
import {
  type BlockId,
  type CapabilityBounds,
  capabilityText,
  capabilityToleranceMs,
  readCapability,
  type WorkerId,
} from '../../protocol/index.ts'

/** What somebody asks for, and with what right. */
export interface AccessRequest {
  operation: CapabilityBounds['operation']
  /** Who says that it asks. */
  bearer: string
  block: BlockId
  /** What it brings. */
  capability: string
}

export class BlockAccess {
  readonly #holder: WorkerId
  readonly #clock: Clock
  #key: Uint8Array | undefined
  /** What cluster time is ahead of this machine's monotonic clock: wall clocks that are wrong or set move nothing. */
  #aheadMs = 0
  #refused = 0

  constructor(holder: WorkerId, clock: Clock) {
    this.#holder = holder
    this.#clock = clock
  }

  /** Requests that were refused since the start. */
  get refused(): number {
    return this.#refused
  }

  /** The leader registered this worker: from now on its new key counts, and no other. */
  renew(key: Uint8Array, timeMs: number): void {
    this.#key = key
    this.#aheadMs = timeMs - this.#clock.monotonicMs()
  }

  /** True if the capability is the leader's and for just this. Signatures are compared in constant time. */
  admits(request: AccessRequest): boolean {
    const admitted = this.#admits(request)
    if (!admitted) this.#refused++
    return admitted
  }

  #admits({ operation, bearer, block, capability }: AccessRequest): boolean {
    const written = readCapability(capability)
    if (!written || !this.#key || bearer === '') return false
    const { anyBlock, expiresAtMs, signature } = written
    const bounds = { operation, holder: this.#holder, bearer, block: anyBlock ? undefined : block, expiresAtMs }
    const expected = createHmac('sha256', this.#key).update(capabilityText(bounds)).digest()
    const genuine = timingSafeEqual(expected, Buffer.from(signature, 'base64url'))
    return genuine && this.#clock.monotonicMs() + this.#aheadMs <= expiresAtMs + capabilityToleranceMs
  }
}
