// Owns the journal's store in a simulated etcd: the real backend, as several candidates have it open, and what an onlooker sees of its rows.
// Must not change what the backend asks of etcd.
import type { RangeAnswer, TransactionRequest } from '../../src/journal/etcd/api.ts'
import type { StoreClock } from '../../src/journal/etcd/caller.ts'
import { decodeHistory } from '../../src/journal/etcd/history-values.ts'
import { openEtcdStore } from '../../src/journal/etcd/index.ts'
import { fromRowKey, leaderKey } from '../../src/journal/etcd/keys.ts'
import { decodeIndex, decodeRow } from '../../src/journal/etcd/values.ts'
import { type Append, copyOfAppend, type Inspectable, type Store } from '../../src/journal/index.ts'
import type { Boot, Kernel } from '../kernel/kernel.ts'
import type { Fault } from '../scenario.ts'
import type { Archive, ClusterHandle, ClusterStore, DurableRow } from './cluster-store.ts'
import { SimulatedEtcd } from './etcd.ts'
import { Losses } from './losses.ts'

export class SharedEtcd implements ClusterStore {
  readonly kernel: Kernel
  readonly etcd: SimulatedEtcd
  readonly locking = false
  readonly rows: DurableRow[] = []
  readonly losses = new Losses()
  queuedMax = 0
  durable: ClusterStore['durable']
  snapshotUsed: ClusterStore['snapshotUsed']
  deposed: ClusterStore['deposed']
  asked: ClusterStore['asked']
  writing: ClusterStore['writing']
  readonly #rowBytesKept: number
  #leading: Boot | undefined
  /** Appends that were asked for, by what their rows say. */
  readonly #asked = new Map<string, Append>()

  constructor(kernel: Kernel, rowBytesKept: number) {
    this.kernel = kernel
    this.#rowBytesKept = rowBytesKept
    this.etcd = new SimulatedEtcd(kernel)
    this.etcd.writing = (boot, request, leftMs) => this.writing?.(boot, putsAny(request, 'blob/s'), leftMs)
    this.etcd.transacted = (request, succeeded, boot) => {
      if (succeeded) this.#look(request, boot)
    }
  }

  async open(boot: Boot): Promise<ClusterHandle> {
    const { kernel } = this
    const { node } = boot
    const clock: StoreClock = {
      monotonicMs: () => kernel.monotonicMs(node),
      timer: (delayMs, callback) => kernel.at(boot, Math.max(1, delayMs) / node.rate, 'timer', callback),
    }
    const store = await openEtcdStore({ etcd: this.etcd.connect(boot), clock, rowBytesKept: this.#rowBytesKept })
    return this.#watched(store, boot)
  }

  #watched(store: Store & Inspectable, boot: Boot): ClusterHandle {
    let under = 0
    const { journal, snapshots, leadership } = store
    return {
      history: store.history,
      journal: {
        ...journal,
        append: async append => {
          this.asked?.(boot)
          this.#remember(append)
          this.queuedMax = Math.max(this.queuedMax, ++under)
          try {
            return await journal.append(append)
          } finally {
            under--
          }
        },
      },
      snapshots: {
        ...snapshots,
        latest: async () => {
          const found = await snapshots.latest()
          if (found) this.snapshotUsed?.()
          return found
        },
      },
      leadership: {
        ...leadership,
        claim: claim => {
          this.#remember(claim.opening)
          return leadership.claim(claim)
        },
      },
      close: () => store.close(),
      // What it has sent is on its way: the kernel lets nothing come back to it.
      crash: () => undefined,
    }
  }

  #remember(append: Append): void {
    this.#asked.set(nameOf(append), copyOfAppend(append))
  }

  /** What a transaction that had its effect means for the onlooker. */
  #look(request: TransactionRequest, boot: Boot | undefined): void {
    if (putsAny(request, leaderKey)) {
      const before = this.#leading
      this.#leading = boot
      if (before && before !== boot && before.alive) this.deposed?.(before)
    }
    for (const operation of request.success) {
      const head = 'put' in operation ? fromRowKey(operation.put.key) : undefined
      if (head && 'put' in operation) this.#note(head.firstIndex, operation.put.value)
    }
  }

  #note(firstIndex: number, value: Uint8Array): void {
    const { epoch, count, previousHash, hash, manifestBytes, body } = decodeRow(firstIndex, value)
    const append = this.#asked.get(nameOf({ epoch, firstIndex }))
    if (!append) throw new Error(`row ${firstIndex} of epoch ${epoch} was written, and nobody asked for it`)
    const noted: DurableRow = {
      atMs: this.kernel.nowMs,
      // Two candidates may ask for the opening of one epoch: what was written counts, not what was asked for last.
      ...{ epoch, firstIndex, count, records: body ? Uint8Array.from(body.subarray(manifestBytes)) : append.records },
      payloads: new Map(append.payloads.map(({ payload, bytes }) => [payload, bytes])),
      drops: append.drops,
      previousHash: Uint8Array.from(previousHash),
      hash: Uint8Array.from(hash),
    }
    this.rows.push(noted)
    this.kernel.note(`row ${firstIndex}`, hash)
    this.durable?.(noted)
  }

  suffer({ kind, share }: Fault, name: string): boolean {
    const { mood, cut, state } = this.etcd
    switch (kind) {
      case 'slow-disk':
        mood.latencyMs = 1 + share * 100
        return true
      case 'disk-unsure':
        mood.unsure = share * 0.2
        return true
      case 'disk-fails':
        mood.watchBreaks = share
        return true
      case 'disk-full':
        state.noSpace = true
        return true
      case 'store-cut':
        cut.add(name)
        return true
      case 'store-down':
        mood.down = share < 0.5 ? 'unreachable' : 'noQuorum'
        return true
      case 'store-stale':
        mood.stale = share * 0.5
        return true
      case 'store-lease-lies':
        mood.leaseLies = share
        state.endLeases()
        return true
      case 'store-compacted':
        if (state.compacted < state.revision) state.compact(state.revision)
        return true
      default:
        return false
    }
  }

  recover(fault: Fault, name: string): void {
    if (fault.kind === 'store-cut') this.etcd.cut.delete(name)
    else this.#calmMood()
  }

  calm(): void {
    this.#calmMood()
    this.etcd.cut.clear()
  }

  #calmMood(): void {
    const cut = [...this.etcd.cut]
    this.etcd.heal()
    for (const name of cut) this.etcd.cut.add(name)
  }

  archive(): Archive | undefined {
    const { state } = this.etcd
    const all = (kind: string): RangeAnswer['rows'] => state.range({ key: `${kind}/`, end: `${kind}0` }).rows
    if (all('todo').length > 0) return undefined
    const payloads = new Set(all('index').flatMap(({ key, value }) => [...decodeIndex(key, value).entries.keys()]))
    return { rows: all('history').map(({ key, value }) => decodeHistory(key, value)), payloads }
  }
}

function nameOf({ epoch, firstIndex }: Pick<Append, 'epoch' | 'firstIndex'>): string {
  return `${epoch}/${firstIndex}`
}

function putsAny({ success }: TransactionRequest, prefix: string): boolean {
  return success.some(operation => 'put' in operation && operation.put.key.startsWith(prefix))
}
