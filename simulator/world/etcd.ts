// Owns a simulated etcd as processes reach it: calls that take time and overtake each other, answers that never come, watches, leases, and all that it may do
// to those who believe it.
// Must not be kinder than a real one: one contract holds both.
import {
  type Etcd,
  EtcdError,
  type Operation,
  type TransactionRequest,
  type WatchEvent,
  type WatchHandlers,
} from '../../src/journal/etcd/api.ts'
import type { Boot, Kernel } from '../kernel/kernel.ts'
import type { RandomStream } from '../kernel/random.ts'
import { EtcdState } from './etcd-state.ts'

/** How it behaves; faults change it. */
export interface EtcdMood {
  /** Each way, on average. */
  latencyMs: number
  /** How likely a call's answer is lost; the call had its effect, had none, or has it late. */
  unsure: number
  /** No member answers, or there is no quorum: writes wait, and their outcome is not known. */
  down: 'no' | 'unreachable' | 'noQuorum'
  /** How likely a read is answered from an older revision (etcd#20418). */
  stale: number
  /** How likely a lease that has ended is renewed with success. */
  leaseLies: number
  /** How likely an event finds its watch broken: it goes on after a while, from where it stood. */
  watchBreaks: number
}

const calm: EtcdMood = { latencyMs: 0.2, unsure: 0, down: 'no', stale: 0, leaseLies: 0, watchBreaks: 0 }
/** After so long a client gives a call up. */
const callMs = 1000
/** A late effect comes so much later, on average; so does a broken watch. */
const [lateMs, resumeMs] = [400, 300]
/** How often the store looks whether leases have ended. */
const expireEveryMs = 250
/** A stale answer is so many revisions old, at most. */
const staleRevisionsMax = 5

type Fate = 'done' | 'lost before' | 'lost after' | 'late'

interface Watcher {
  boot: Boot | undefined
  key: string
  end: string | undefined
  next: number
  handlers: WatchHandlers
  state: 'synced' | 'broken' | 'over'
}

/** The caller's bytes may change as soon as the call was made. */
function copyOf({ compare, success, failure }: TransactionRequest): TransactionRequest {
  const own = (operations: readonly Operation[]): Operation[] =>
    operations.map(operation =>
      'put' in operation ? { put: { ...operation.put, value: Uint8Array.from(operation.put.value) } } : operation,
    )
  return { compare: [...compare], success: own(success), ...(failure && { failure: own(failure) }) }
}

/** A simulated etcd. */
export class SimulatedEtcd {
  readonly kernel: Kernel
  readonly state = new EtcdState()
  readonly mood: EtcdMood = { ...calm }
  /** What its members say. */
  version = '3.6.16'
  /** Nodes that do not reach it. */
  readonly cut = new Set<string>()
  /** Told of each call before it is made; what it returns is the call's fate. For tests. */
  fateOf: ((request: TransactionRequest | undefined) => Fate | undefined) | undefined
  /** Told of each transaction that had its effect. */
  transacted: ((request: TransactionRequest, succeeded: boolean, boot: Boot | undefined) => void) | undefined
  /** Told of each transaction with an effect to come, and in how long. */
  writing: ((boot: Boot, request: TransactionRequest, leftMs: number) => void) | undefined
  readonly #watchers = new Set<Watcher>()
  readonly #random: RandomStream
  #expiring = false

  constructor(kernel: Kernel) {
    this.kernel = kernel
    this.#random = kernel.stream('etcd')
    this.state.changed = () => this.#tell()
  }

  /** All is well from now on. */
  heal(): void {
    Object.assign(this.mood, calm)
    this.cut.clear()
    this.state.noSpace = false
    this.state.quotaBytes = Number.POSITIVE_INFINITY
  }

  /** A connection of a process; without one nothing ends it but `close`. */
  connect(boot?: Boot): Etcd {
    const open = { closed: false }
    const watchers = new Set<Watcher>()
    const call = <T>(effect: () => T, write: boolean, request?: TransactionRequest): Promise<T> =>
      open.closed ? Promise.reject(new EtcdError('closed', 'The connection is closed.')) : this.#call(boot, effect, write, request)
    return {
      range: range => call(() => this.state.range(range, this.#staleRevision()), false),
      transact: request => {
        const copy = copyOf(request)
        const reads = [...copy.success, ...(copy.failure ?? [])].every(operation => 'range' in operation)
        return call(() => this.#transact(copy, reads, boot), !reads, copy)
      },
      grantLease: ttlSeconds => {
        this.#expireLater()
        return call(() => this.state.grant(ttlSeconds, this.kernel.nowMs), true)
      },
      keepLease: lease => call(() => this.#keep(lease), true),
      revokeLease: lease => call(() => this.state.revoke(lease), true),
      watch: (range, handlers) => {
        const watcher: Watcher = { boot, key: range.key, end: range.end, next: range.from, handlers, state: 'broken' }
        watchers.add(watcher)
        this.#watchers.add(watcher)
        this.kernel.at(boot, this.#latencyMs(), 'io', () => this.#resume(watcher))
        return () => this.#endWatch(watcher)
      },
      compact: revision => call(() => this.state.compact(revision), true),
      members: async () => [{ version: this.version, dbSizeBytes: this.state.dbBytes, leader: '1', noSpace: this.state.noSpace }],
      close: () => {
        open.closed = true
        for (const watcher of watchers) this.#endWatch(watcher)
      },
    }
  }

  #latencyMs(): number {
    return 0.02 + this.#random.exponential(this.mood.latencyMs)
  }

  #staleRevision(): number | undefined {
    const { state, mood } = this
    if (mood.stale === 0 || !this.#random.chance(mood.stale)) return undefined
    return Math.max(state.compacted + 1, state.revision - this.#random.whole(0, staleRevisionsMax))
  }

  #transact(request: TransactionRequest, reads: boolean, boot: Boot | undefined): ReturnType<EtcdState['transact']> {
    this.state.expire(this.kernel.nowMs)
    const answer = this.state.transact(request, reads ? this.#staleRevision() : undefined)
    if (!reads) this.transacted?.(request, answer.succeeded, boot)
    return answer
  }

  #keep(lease: string): number {
    try {
      return this.state.keep(lease, this.kernel.nowMs)
    } catch (error) {
      if (this.mood.leaseLies > 0 && this.#random.chance(this.mood.leaseLies)) return 1
      throw error
    }
  }

  #fate(request: TransactionRequest | undefined): Fate {
    const told = this.fateOf?.(request)
    if (told) return told
    if (this.mood.unsure === 0 || !this.#random.chance(this.mood.unsure)) return 'done'
    return this.#random.pick(['lost before', 'lost after', 'late'] as const)
  }

  /** One call: it reaches the store after a while, and its answer the caller after another. */
  #call<T>(boot: Boot | undefined, effect: () => T, write: boolean, request: TransactionRequest | undefined): Promise<T> {
    const { kernel } = this
    const fate = this.#fate(request)
    const goesMs = this.#latencyMs()
    const backMs = this.#latencyMs()
    if (write && boot && request) this.writing?.(boot, request, goesMs)
    return new Promise<T>((resolve, reject) => {
      const answer = (settle: () => void): void => void kernel.at(boot, backMs, 'io', settle)
      const giveUp = (kind: 'unknown' | 'unavailable'): void => {
        kernel.at(boot, callMs, 'io', () => reject(new EtcdError(kind, 'No answer came in time.')))
      }
      kernel.at(undefined, goesMs, 'io', () => {
        const unreachable = this.mood.down === 'unreachable' || (boot !== undefined && this.cut.has(boot.node.name))
        if (unreachable) return giveUp('unavailable')
        if (fate === 'lost before' || this.mood.down === 'noQuorum') {
          // What waits for a quorum may still come about when there is one.
          if (this.mood.down === 'noQuorum' && write && fate === 'done') this.#late(effect)
          return giveUp('unknown')
        }
        if (fate === 'late') {
          this.#late(effect)
          return giveUp('unknown')
        }
        try {
          const value = effect()
          if (fate === 'lost after') giveUp('unknown')
          else answer(() => resolve(value))
        } catch (error) {
          if (fate === 'lost after') giveUp('unknown')
          else answer(() => reject(error))
        }
      })
    })
  }

  #late(effect: () => unknown): void {
    this.kernel.at(undefined, this.#random.exponential(lateMs), 'io', () => {
      if (this.mood.down !== 'no') return
      try {
        effect()
      } catch {
        // Nobody waits for its answer any more.
      }
    })
  }

  #expireLater(): void {
    if (this.#expiring) return
    this.#expiring = true
    const look = (): void => {
      this.state.expire(this.kernel.nowMs)
      this.kernel.at(undefined, expireEveryMs, 'io', look)
    }
    this.kernel.at(undefined, expireEveryMs, 'io', look)
  }

  /** News for all watches. */
  #tell(): void {
    for (const watcher of this.#watchers) {
      if (watcher.boot?.alive === false) this.#endWatch(watcher)
      if (watcher.state !== 'synced') continue
      const away = watcher.boot !== undefined && this.cut.has(watcher.boot.node.name)
      if (away || this.mood.down !== 'no' || (this.mood.watchBreaks > 0 && this.#random.chance(this.mood.watchBreaks))) {
        watcher.state = 'broken'
        this.#resumeLater(watcher)
      } else this.#deliver(watcher)
    }
  }

  #resumeLater(watcher: Watcher): void {
    this.kernel.at(watcher.boot, this.#random.exponential(resumeMs), 'io', () => {
      const away = watcher.boot !== undefined && this.cut.has(watcher.boot.node.name)
      if (away || this.mood.down !== 'no') this.#resumeLater(watcher)
      else this.#resume(watcher)
    })
  }

  /** Goes on from where it stood, if that is still there. */
  #resume(watcher: Watcher): void {
    if (watcher.state !== 'broken') return
    if (watcher.next <= this.state.compacted) {
      this.#endWatch(watcher)
      return watcher.handlers.compacted(this.state.compacted)
    }
    watcher.state = 'synced'
    this.#deliver(watcher)
  }

  #deliver(watcher: Watcher): void {
    const { boot, key, end, handlers } = watcher
    const { revisions } = this.state
    let at = revisions.length
    while (at > 0 && revisions[at - 1]!.revision >= watcher.next) at--
    for (const { revision, events } of revisions.slice(at)) {
      watcher.next = revision + 1
      const own = events.filter(event => (end === undefined ? event.key === key : event.key >= key && event.key < end))
      if (own.length === 0) continue
      const told: WatchEvent[] = own.map(event => ({ ...event, value: Uint8Array.from(event.value) }))
      this.kernel.at(boot, this.#newsMs(watcher), 'io', () => {
        if (watcher.state !== 'over') handlers.events(told, revision)
      })
    }
  }

  readonly #newsAtMs = new WeakMap<Watcher, number>()

  /** Events of one watch come in their order. */
  #newsMs(watcher: Watcher): number {
    const atMs = Math.max((this.#newsAtMs.get(watcher) ?? 0) + 0.001, this.kernel.nowMs + this.#latencyMs())
    this.#newsAtMs.set(watcher, atMs)
    return atMs - this.kernel.nowMs
  }

  #endWatch(watcher: Watcher): void {
    watcher.state = 'over'
    this.#watchers.delete(watcher)
  }
}
