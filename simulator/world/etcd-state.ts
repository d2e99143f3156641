// Owns what a simulated etcd keeps: keys with all their versions since the last compaction, leases, and the order of events. It has etcd's rules and limits.
// Must not know time, chance or clients.
import {
  type Compare,
  EtcdError,
  type KeyValue,
  type Operation,
  type RangeAnswer,
  type RangeRequest,
  type TransactionAnswer,
  type TransactionRequest,
  type WatchEvent,
} from '../../src/journal/etcd/api.ts'

/** etcd's limits for one request. */
const [requestBytesMax, requestOperationsMax] = [1.5 * 2 ** 20, 128]

/** A key at one revision; without a value it was deleted. */
interface Version {
  value: Uint8Array | undefined
  createRevision: number
  modRevision: number
  lease: string
}

interface Lease {
  ttlMs: number
  expiresMs: number
}

/** All events of one revision. */
export interface Revision {
  revision: number
  events: WatchEvent[]
}

/** The order of keys is that of their bytes. */
const bytesOf = (key: string): string => Buffer.from(key, 'utf8').toString('latin1')
const textOf = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8')

function sizeOf(operation: Operation): number {
  return 'put' in operation ? operation.put.key.length + operation.put.value.length + 32 : 64
}

/** The keys, leases and revisions of one cluster. */
export class EtcdState {
  revision = 1
  compacted = 0
  /** NOSPACE was raised. */
  noSpace = false
  quotaBytes = Number.POSITIVE_INFINITY
  /** Since the last compaction. */
  revisions: Revision[] = []
  /** Told of each revision with events. */
  changed: (() => void) | undefined
  /** Keys that exist, in order. */
  readonly #keys: string[] = []
  readonly #versions = new Map<string, Version[]>()
  readonly #leases = new Map<string, Lease>()
  #lastLease = 0
  /** Bytes of all versions. */
  #bytes = 0

  /** Bytes of what is kept, old versions too. */
  get dbBytes(): number {
    return this.#bytes
  }

  get keyCount(): number {
    return this.#keys.length
  }

  /** One transaction. `atRevision`: only reads, as of that one. */
  transact(request: TransactionRequest, atRevision?: number): TransactionAnswer {
    this.#check(request)
    const succeeded = request.compare.every(compare => this.#holds(compare))
    const operations = succeeded ? request.success : (request.failure ?? [])
    const puts = operations.some(operation => 'put' in operation)
    if (puts && (this.noSpace || this.#bytes > this.quotaBytes)) {
      this.noSpace = true
      throw new EtcdError('noSpace', 'etcdserver: mvcc: database space exceeded')
    }
    for (const operation of operations)
      if ('put' in operation && operation.put.lease !== undefined && !this.#leases.has(operation.put.lease))
        throw new EtcdError('leaseGone', 'etcdserver: requested lease not found')
    const events: WatchEvent[] = []
    const next = this.revision + 1
    const answers = operations.map(operation => this.#apply(operation, next, events, atRevision))
    this.#close(next, events)
    return { revision: this.revision, succeeded, answers }
  }

  #check({ compare, success, failure = [] }: TransactionRequest): void {
    if (Math.max(compare.length, success.length, failure.length) > requestOperationsMax)
      throw new EtcdError('tooLarge', 'etcdserver: too many operations in txn request')
    const bytes = [...success, ...failure].reduce((sum, operation) => sum + sizeOf(operation), 0)
    if (bytes > requestBytesMax) throw new EtcdError('tooLarge', 'etcdserver: request is too large')
    for (const branch of [success, failure]) {
      const puts = branch.flatMap(operation => ('put' in operation ? [bytesOf(operation.put.key)] : []))
      const deleted = (key: string): boolean => branch.some(operation => 'delete' in operation && inRange(key, operation.delete))
      if (new Set(puts).size < puts.length || puts.some(deleted))
        throw new EtcdError('invalid', 'etcdserver: duplicate key given in txn request')
    }
  }

  #holds(compare: Compare): boolean {
    const version = this.#live(bytesOf(compare.key))
    if (compare.target === 'value') {
      // etcd compares the value of a key that is not there with nothing: it never holds.
      if (!version?.value) return false
      return (Buffer.compare(version.value, compare.value) === 0) === (compare.result === 'equal')
    }
    const found = version ? (compare.target === 'mod' ? version.modRevision : version.createRevision) : 0
    const { result, revision } = compare
    if (result === 'equal') return found === revision
    if (result === 'notEqual') return found !== revision
    return result === 'less' ? found < revision : found > revision
  }

  #apply(operation: Operation, next: number, events: WatchEvent[], atRevision: number | undefined): TransactionAnswer['answers'][number] {
    if ('range' in operation) return this.range(operation.range, atRevision)
    if ('put' in operation) {
      const { key, value, lease = '' } = operation.put
      this.#put(bytesOf(key), value, lease, next)
      events.push({ type: 'put', key, value, modRevision: next })
      return undefined
    }
    const keys = this.#within(operation.delete)
    for (const key of keys) this.#delete(key, next, events)
    return { deleted: keys.length }
  }

  #put(key: string, value: Uint8Array, lease: string, revision: number): void {
    const before = this.#live(key)
    if (!before) this.#keys.splice(this.#at(key), 0, key)
    this.#add(key, { value, createRevision: before?.createRevision ?? revision, modRevision: revision, lease })
  }

  #delete(key: string, revision: number, events: WatchEvent[]): void {
    this.#keys.splice(this.#at(key), 1)
    this.#add(key, { value: undefined, createRevision: 0, modRevision: revision, lease: '' })
    events.push({ type: 'delete', key: textOf(key), value: new Uint8Array(), modRevision: revision })
  }

  #add(key: string, version: Version): void {
    const versions = this.#versions.get(key)
    if (versions) versions.push(version)
    else this.#versions.set(key, [version])
    this.#bytes += key.length + (version.value?.length ?? 0) + 32
  }

  #close(revision: number, events: WatchEvent[]): void {
    if (events.length === 0) return
    this.revision = revision
    this.revisions.push({ revision, events })
    this.changed?.()
  }

  #live(key: string): Version | undefined {
    const version = this.#versions.get(key)?.at(-1)
    return version?.value === undefined ? undefined : version
  }

  /** Where a key stands, or would. */
  #at(key: string): number {
    let [low, high] = [0, this.#keys.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#keys[middle]! < key) low = middle + 1
      else high = middle
    }
    return low
  }

  #within({ key, end }: { key: string; end?: string }): string[] {
    const from = bytesOf(key)
    if (end === undefined) return this.#live(from) ? [from] : []
    return this.#keys.slice(this.#at(from), Math.max(this.#at(from), this.#at(bytesOf(end))))
  }

  /** A range, now or as of an older revision that is not compacted. */
  range({ limit = 0, descending = false, keysOnly = false, countOnly = false, ...range }: RangeRequest, atRevision?: number): RangeAnswer {
    const old = atRevision !== undefined && atRevision < this.revision
    const all = old ? this.#oldKeys(range, atRevision) : this.#within(range)
    const ordered = descending ? [...all].reverse() : all
    const most = countOnly ? 0 : limit > 0 ? limit : ordered.length
    const rows = ordered.slice(0, most).map((key): KeyValue => {
      const version = (old ? this.#versionAt(key, atRevision) : this.#live(key))!
      const { createRevision, modRevision, lease } = version
      return { key: textOf(key), value: keysOnly ? new Uint8Array() : Uint8Array.from(version.value!), createRevision, modRevision, lease }
    })
    return { revision: old ? atRevision : this.revision, rows, more: !countOnly && ordered.length > most, count: all.length }
  }

  #versionAt(key: string, revision: number): Version | undefined {
    const version = this.#versions.get(key)?.findLast(({ modRevision }) => modRevision <= revision)
    return version?.value === undefined ? undefined : version
  }

  #oldKeys(range: { key: string; end?: string }, revision: number): string[] {
    return [...this.#versions.keys()].filter(key => inRange(key, range) && this.#versionAt(key, revision)).sort()
  }

  /** Forgets versions that are older than the newest one up to this revision. */
  compact(revision: number): void {
    if (revision <= this.compacted) throw new EtcdError('compacted', 'etcdserver: mvcc: required revision has been compacted')
    if (revision > this.revision) throw new EtcdError('invalid', 'etcdserver: mvcc: required revision is a future revision')
    this.compacted = revision
    this.revisions = this.revisions.filter(one => one.revision > revision)
    for (const [key, versions] of this.#versions) {
      const newest = versions.findLastIndex(({ modRevision }) => modRevision <= revision)
      const gone = versions[newest]?.value === undefined ? newest + 1 : newest
      for (const version of versions.splice(0, Math.max(0, gone))) this.#bytes -= key.length + (version.value?.length ?? 0) + 32
      if (versions.length === 0) this.#versions.delete(key)
    }
  }

  grant(ttlSeconds: number, nowMs: number): string {
    if (this.noSpace) throw new EtcdError('noSpace', 'etcdserver: mvcc: database space exceeded')
    const id = String(++this.#lastLease)
    this.#leases.set(id, { ttlMs: ttlSeconds * 1000, expiresMs: nowMs + ttlSeconds * 1000 })
    return id
  }

  /** Its time to live from now on, in seconds. */
  keep(id: string, nowMs: number): number {
    this.expire(nowMs)
    const lease = this.#leases.get(id)
    if (!lease) throw new EtcdError('leaseGone', 'etcdserver: requested lease not found')
    lease.expiresMs = nowMs + lease.ttlMs
    return lease.ttlMs / 1000
  }

  revoke(id: string): void {
    if (!this.#leases.delete(id)) throw new EtcdError('leaseGone', 'etcdserver: requested lease not found')
    const events: WatchEvent[] = []
    for (const key of [...this.#keys]) if (this.#live(key)?.lease === id) this.#delete(key, this.revision + 1, events)
    this.#close(this.revision + 1, events)
  }

  /** All leases end now. */
  endLeases(): void {
    for (const id of [...this.#leases.keys()]) this.revoke(id)
  }

  /** Ends the leases whose time is over. */
  expire(nowMs: number): void {
    for (const [id, { expiresMs }] of [...this.#leases]) if (expiresMs <= nowMs) this.revoke(id)
  }
}

function inRange(key: string, { key: from, end }: { key: string; end?: string }): boolean {
  const first = bytesOf(from)
  return end === undefined ? key === first : key >= first && key < bytesOf(end)
}
