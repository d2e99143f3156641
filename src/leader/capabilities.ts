// Owns the making of capabilities for blocks: a key for each registration of a worker, and what is signed with it for whom.
// Must not keep what it made: a capability proves itself to the worker that it is for.
import { createHash, createHmac } from 'node:crypto'
import { holdersOfBlock } from '../core/index.ts'
import type { Random } from '../platform/index.ts'
import {
  type BlockId,
  type CapabilityBounds,
  capabilityLifeMs,
  capabilityText,
  type LeaderToWorker,
  limits,
  type WorkerAddress,
  type WorkerToLeader,
  writeCapability,
} from '../protocol/index.ts'
import { includes } from './access/policy.ts'
import type { LeaderContext } from './context.ts'
import type { ClientLink, WorkerLink } from './links.ts'

/** A client, as far as it matters what it may have. */
export type Asker = Pick<ClientLink, 'session' | 'principal'>

type Replica = Extract<LeaderToWorker, { kind: 'blockLocated' }>['replicas'][number]

/** A key that nobody can guess: two random ids have 244 bits of chance between them. */
export function newBlockKey(random: Random): Buffer {
  return createHash('sha256').update(`${random.uuid()} ${random.uuid()}`).digest()
}

function sign(key: Uint8Array, bounds: CapabilityBounds): string {
  const { block, expiresAtMs } = bounds
  const signature = createHmac('sha256', key).update(capabilityText(bounds)).digest('base64url')
  return writeCapability({ anyBlock: block === undefined, expiresAtMs, signature })
}

/** Whole milliseconds of cluster time at which what is made now expires. */
function expiry(context: LeaderContext): number {
  return Math.floor(context.nowMs()) + capabilityLifeMs
}

/** Workers that are here and known to hold the block, the named one first. */
function holdersOf({ state, links }: LeaderContext, block: BlockId, named: string): WorkerLink[] {
  const names = new Set([named])
  for (const holder of holdersOfBlock(state, block)) {
    if (names.size >= limits.replicasMax) break
    names.add(holder)
  }
  return [...names].flatMap(name => links.workers.get(name) ?? [])
}

/** Answers a worker that asks where a block can be had. What it gets is for this block and for it alone. */
export function answerLocation(context: LeaderContext, link: WorkerLink, asked: Extract<WorkerToLeader, { kind: 'locateBlock' }>): void {
  const { request, block, holder: named } = asked
  const expiresAtMs = expiry(context)
  const replicas = holdersOf(context, block, named).flatMap(({ id: holder, blockKey }): Replica[] => {
    const address = context.state.membership.workers.get(holder)?.blocks ?? ''
    if (address === '') return []
    const capability = sign(blockKey, { operation: 'read', holder, bearer: link.id, block, expiresAtMs })
    return [{ worker: holder, address, capability }]
  })
  link.send({ kind: 'blockLocated', request, replicas })
}

/** All workers that a client may store on and fetch from, with what it needs for that; `block`: which of them are known to hold it. */
export function locate(context: LeaderContext, { session, principal }: Asker, block: unknown): WorkerAddress[] {
  const { state, links, observed } = context
  const expiresAtMs = expiry(context)
  // Who may not submit has no inputs to store.
  const writes = principal.kind === 'user' && includes(principal.role, 'submitter')
  const holders = typeof block === 'string' ? holdersOfBlock(state, block) : undefined
  return [...state.membership.workers.values()].flatMap(({ id: holder, blocks }): WorkerAddress[] => {
    const key = links.workers.get(holder)?.blockKey
    if (!key || !observed.workers.has(holder)) return []
    const bounds = { holder, bearer: session, block: undefined, expiresAtMs }
    const read = sign(key, { ...bounds, operation: 'read' })
    const write = writes ? sign(key, { ...bounds, operation: 'write' }) : ''
    return [{ worker: holder, blocks, bearer: session, read, write, ...(holders?.has(holder) && { holds: true }) }]
  })
}
