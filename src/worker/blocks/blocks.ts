// Owns a worker's blocks as a whole: its store, who may ask for them, those of others, the durable tier if there is one.
// Must not know how tasks run.
import type { ObjectStore, Platform } from '../../platform/index.ts'
import type { BlockReference, LeaderToWorker, TaskBlock, WorkerId } from '../../protocol/index.ts'
import type { ExecutorEvent } from '../machine/index.ts'
import { BlockAccess } from './access.ts'
import { BlockFetcher, type Replica } from './fetch.ts'
import { BlockGate } from './gate.ts'
import type { BlockStore } from './store.ts'
import { Tier } from './tier.ts'

export interface WorkerBlocksOptions {
  /** The worker's name. */
  name: WorkerId
  /** Where blocks outlive machines. */
  tier?: ObjectStore
}

/** What is on the worker's disk, as far as its blocks need it. */
export interface WorkerBlocksStores {
  blocks: BlockStore
  epochs: { readonly cluster: string }
}

export interface WorkerBlocksHandlers {
  /** Asks the leader for workers that hold the block. */
  locate(reference: BlockReference): Promise<readonly Replica[]>
  /** Is told what executors say: outcomes once their blocks are where they have to be. */
  event(event: ExecutorEvent): void
}

export class WorkerBlocks {
  readonly store: BlockStore
  readonly access: BlockAccess
  readonly tier: Tier | undefined
  readonly #name: WorkerId
  readonly #handlers: WorkerBlocksHandlers
  readonly #platform: Platform
  readonly #fetcher: BlockFetcher
  readonly #gate: BlockGate | undefined

  constructor(options: WorkerBlocksOptions, stores: WorkerBlocksStores, platform: Platform, handlers: WorkerBlocksHandlers) {
    const { name, tier } = options
    const pause = (ms: number): Promise<void> => new Promise(resolve => void platform.clock.timer(ms, resolve))
    this.store = stores.blocks
    this.#name = name
    this.#handlers = handlers
    this.#platform = platform
    this.access = new BlockAccess(name, platform.clock)
    this.tier = tier && new Tier(tier, { cluster: () => stores.epochs.cluster, pause })
    const locate = (reference: BlockReference): Promise<readonly Replica[]> => handlers.locate(reference)
    this.#fetcher = new BlockFetcher(this.store, { web: platform.web, name, locate, tier: this.tier, pause })
    this.#gate =
      this.tier &&
      new BlockGate(
        block => this.#keep(block),
        event => handlers.event(event),
      )
  }

  /** Where the block is on this machine, fetched if need be. */
  provide(reference: BlockReference): Promise<string> {
    return this.#fetcher.provide(reference)
  }

  /** Ends its connections. */
  close(): void {
    this.#fetcher.close()
  }

  /** An executor says something. */
  take(event: ExecutorEvent): void {
    if (this.#gate) this.#gate.take(event)
    else this.#handlers.event(event)
  }

  /** Brings a block of this worker to the tier; what others hold is there. */
  async #keep({ block, bytes, holder }: TaskBlock): Promise<void> {
    if (holder === this.#name) await this.tier!.store(holder, block, { path: this.store.pathOf(block), bytes })
  }

  /** Nothing names these blocks of the holder any more: this worker's own, or of one that is gone, which may be in the tier. */
  drop({ blocks, holder }: Extract<LeaderToWorker, { kind: 'dropBlocks' }>): void {
    const own = holder === this.#name
    const dropping = own ? this.store.drop(blocks) : Promise.resolve()
    dropping
      .then(() => this.#dropThere(blocks, holder, async block => own && (await this.store.find(block)) !== undefined))
      .catch(error => this.#platform.log('warn', 'block-not-dropped', { error: (error as Error).message }))
  }

  async #dropThere(blocks: readonly string[], holder: WorkerId, kept: (block: string) => Promise<boolean>): Promise<void> {
    for (const block of this.tier ? blocks : []) await this.tier!.remove(holder, block, () => kept(block))
  }
}
