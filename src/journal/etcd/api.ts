// Owns what the journal asks of etcd: few calls, few fields. A real client and a simulated server both are behind it.
// Must not know what the journal keeps there.

/** What a transaction asks of a key before it does anything. A key that is not there has the revisions 0. */
export type Compare =
  | { key: string; target: 'create' | 'mod'; result: 'equal' | 'less' | 'greater' | 'notEqual'; revision: number }
  | { key: string; target: 'value'; result: 'equal' | 'notEqual'; value: Uint8Array }

/** Keys from `key` on up to, not including, `end`; only `key` itself without it. */
export interface RangeRequest {
  key: string
  end?: string
  /** Rows at most; 0 or left out: all. */
  limit?: number
  /** In falling order of the keys. */
  descending?: boolean
  /** Keys without values. */
  keysOnly?: boolean
  /** Only how many there are. */
  countOnly?: boolean
}

/** One operation of a transaction. */
export type Operation =
  | { put: { key: string; value: Uint8Array /** Id of a lease that takes the key with it. */; lease?: string } }
  | { delete: { key: string; end?: string } }
  | { range: RangeRequest }

/** Compares that must all hold; what is done if they do, and what if not. */
export interface TransactionRequest {
  compare: readonly Compare[]
  success: readonly Operation[]
  failure?: readonly Operation[]
}

/** One key as it is kept. */
export interface KeyValue {
  key: string
  value: Uint8Array
  createRevision: number
  modRevision: number
  /** Id of its lease, empty without one. */
  lease: string
}

/** What a range found, at the store's revision `revision`. */
export interface RangeAnswer {
  revision: number
  rows: KeyValue[]
  /** More follow behind the limit. */
  more: boolean
  /** All that are in the range. */
  count: number
}

/** What became of a transaction; one answer for each operation of the branch that was taken (`undefined` for a put). */
export interface TransactionAnswer {
  revision: number
  succeeded: boolean
  answers: (RangeAnswer | { deleted: number } | undefined)[]
}

/** A key that was put or deleted; `value` is empty for a deletion. */
export interface WatchEvent {
  type: 'put' | 'delete'
  key: string
  value: Uint8Array
  modRevision: number
}

/** What a watch tells. Events of one revision come together and once, in the order of revisions. */
export interface WatchHandlers {
  events(events: readonly WatchEvent[], revision: number): void
  /** The events from where it stood on are gone: read what there is and watch from there. The watch has ended. */
  compacted(revision: number): void
  /** It ended for good, and why. A broken connection alone does not end it: it goes on from where it stood, at another member. */
  ended(error: EtcdError): void
}

/** How a member is. */
export interface MemberStatus {
  /** Such as `3.6.16`. */
  version: string
  dbSizeBytes: number
  /** 0: it knows of no leader. */
  leader: string
  /** NOSPACE is raised somewhere: nothing can be written. */
  noSpace: boolean
}

/**
 * Why a call has no answer.
 * `unknown`: it may have had its effect, or may still have it. `unavailable`: it had none, and no member can be reached or there is no quorum.
 */
export type EtcdErrorKind =
  | 'unknown'
  | 'unavailable'
  | 'noSpace'
  | 'tooLarge'
  | 'compacted'
  | 'unauthenticated'
  | 'denied'
  | 'leaseGone'
  | 'invalid'
  | 'closed'

/** An answer that etcd refused to give, or that never came. */
export class EtcdError extends Error {
  readonly kind: EtcdErrorKind

  constructor(kind: EtcdErrorKind, message: string, details: { cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'EtcdError'
    this.kind = kind
  }
}

/** A connection to a cluster of etcd members. Keys are relative to the prefix that it was opened with. */
export interface Etcd {
  /** Linearizable. */
  range(request: RangeRequest): Promise<RangeAnswer>
  /** Sent once; what becomes of an unknown outcome is the caller's to settle, by sending the same again. */
  transact(request: TransactionRequest): Promise<TransactionAnswer>
  /** Resolves to the lease's id. */
  grantLease(ttlSeconds: number): Promise<string>
  /** Resolves to its time to live from now on. Rejects with `leaseGone` when it has ended. */
  keepLease(lease: string): Promise<number>
  revokeLease(lease: string): Promise<void>
  /** Watches keys from revision `from` on (that one included). The function returned ends it; nothing is told afterwards. */
  watch(range: { key: string; end?: string; from: number }, handlers: WatchHandlers): () => void
  /** Forgets what keys were before this revision. */
  compact(revision: number): Promise<void>
  /** Of every configured member, in the order of the endpoints; an error for those that do not answer. */
  members(): Promise<(MemberStatus | EtcdError)[]>
  /** Ends it: calls under way end with `closed`. */
  close(): void
}
