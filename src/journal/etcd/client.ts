// Owns the connection to a cluster of etcd: each call of `Etcd` as one of etcd's own, below a prefix.
// Must not know what the journal keeps there.
import { randomBytes } from 'node:crypto'
import type { TransactionRequest, WatchHandlers } from './api.ts'
import { type Etcd, EtcdError, type MemberStatus, type RangeAnswer, type RangeRequest, type TransactionAnswer } from './api.ts'
import { etcdErrorOf } from './faults.ts'
import { decodeStatus } from './member-messages.ts'
import { Members, type MembersOptions, statusCall } from './members.ts'
import {
  decodeLeaseTtl,
  decodeRange,
  decodeTransaction,
  encodeCompaction,
  encodeLease,
  encodeLeaseGrant,
  encodeRange,
  encodeTransaction,
} from './messages.ts'
import { Watch } from './watch.ts'

/** A cluster of etcd, and where in it. */
export interface EtcdOptions extends MembersOptions {
  /** Of all keys, with a slash behind it: `/coxswain` keeps the key `leader` at `/coxswain/leader`. */
  prefix: string
}

/** Connects when it is first used. */
export function openEtcd(options: EtcdOptions): Etcd {
  return new EtcdClient(options)
}

class EtcdClient implements Etcd {
  readonly #members: Members
  readonly #prefix: string
  readonly #watches = new Set<Watch>()

  constructor(options: EtcdOptions) {
    this.#members = new Members(options)
    this.#prefix = `${options.prefix}/`
  }

  range(request: RangeRequest): Promise<RangeAnswer> {
    return this.#members.call({
      path: '/etcdserverpb.KV/Range',
      message: encodeRange(this.#prefix, request),
      effect: 'nothing',
      decode: answer => decodeRange(this.#prefix, answer),
    })
  }

  transact(request: TransactionRequest): Promise<TransactionAnswer> {
    return this.#members.call({
      path: '/etcdserverpb.KV/Txn',
      message: encodeTransaction(this.#prefix, request),
      effect: 'once',
      decode: answer => decodeTransaction(this.#prefix, request, answer),
    })
  }

  grantLease(ttlSeconds: number): Promise<string> {
    // Its id is chosen here: asked for again after an unknown end, it is the same lease.
    const lease = String(randomBytes(8).readBigUInt64BE() >> 1n || 1n)
    return this.#members.call({
      path: '/etcdserverpb.Lease/LeaseGrant',
      message: encodeLeaseGrant(lease, ttlSeconds),
      effect: 'again',
      decode: () => lease,
      doneBefore: { words: 'lease already exists', answer: lease },
    })
  }

  async keepLease(lease: string): Promise<number> {
    // In etcd a call of many messages; of one in each direction it is like any other.
    const ttlSeconds = await this.#members.call({
      path: '/etcdserverpb.Lease/LeaseKeepAlive',
      message: encodeLease(lease),
      effect: 'again',
      decode: decodeLeaseTtl,
    })
    if (ttlSeconds <= 0) throw new EtcdError('leaseGone', 'etcd: the lease has ended')
    return ttlSeconds
  }

  revokeLease(lease: string): Promise<void> {
    return this.#members.call<void>({
      path: '/etcdserverpb.Lease/LeaseRevoke',
      message: encodeLease(lease),
      effect: 'again',
      decode: () => undefined,
      doneBefore: { words: 'requested lease not found', answer: undefined },
    })
  }

  watch(range: { key: string; end?: string; from: number }, handlers: WatchHandlers): () => void {
    const watch = new Watch(this.#members, this.#prefix, range, handlers)
    for (const one of this.#watches) if (one.ended) this.#watches.delete(one)
    this.#watches.add(watch)
    return () => {
      watch.stop()
      this.#watches.delete(watch)
    }
  }

  compact(revision: number): Promise<void> {
    return this.#members.call<void>({
      path: '/etcdserverpb.KV/Compact',
      message: encodeCompaction(revision),
      effect: 'again',
      decode: () => undefined,
      doneBefore: { words: 'required revision has been compacted', answer: undefined },
    })
  }

  members(): Promise<(MemberStatus | EtcdError)[]> {
    const asked = this.#members.channels.map(async channel => {
      try {
        return await this.#members.ask(channel, { ...statusCall, decode: decodeStatus })
      } catch (error) {
        return etcdErrorOf(error, 'nothing')
      }
    })
    return Promise.all(asked)
  }

  close(): void {
    this.#members.close()
    for (const watch of this.#watches) watch.end(new EtcdError('closed', 'the connection to etcd was closed'))
    this.#watches.clear()
  }
}
