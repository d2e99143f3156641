// Owns the named limits of a journal in etcd that may be chosen.
// Must not hold what follows from etcd's own limits.

/** What may be chosen of a store in etcd; every limit has a default. */
export interface EtcdLimits {
  /** The lease of whoever leads; also how long a leader goes on without hearing of the store. */
  leaseMs: number
  /** How long a call whose outcome is not known is sent again. */
  settleMs: number
  /** Transactions of appends under way at once: the latency of a quorum does not bound the rate. */
  inFlightMax: number
  /** The newest rows up to this size are kept by `compact` although nobody needs them. */
  rowBytesKept: number
  /** Snapshots up to this size are kept in etcd. */
  snapshotBytesMax: number
}

/** The limits that hold where nothing else is said. */
export const etcdLimits: Readonly<EtcdLimits> = {
  leaseMs: 3000,
  settleMs: 3000,
  inFlightMax: 4,
  rowBytesKept: 16 << 20,
  snapshotBytesMax: 64 << 20,
}

/** All limits, with the defaults where nothing is said. */
export function limitsOf({ leaseMs, settleMs, inFlightMax, rowBytesKept, snapshotBytesMax }: Partial<EtcdLimits>): EtcdLimits {
  return {
    leaseMs: leaseMs ?? etcdLimits.leaseMs,
    settleMs: settleMs ?? etcdLimits.settleMs,
    inFlightMax: inFlightMax ?? etcdLimits.inFlightMax,
    rowBytesKept: rowBytesKept ?? etcdLimits.rowBytesKept,
    snapshotBytesMax: snapshotBytesMax ?? etcdLimits.snapshotBytesMax,
  }
}
