// The face of the journal in etcd, apart from that of the journal: whoever has no etcd starts without loading it.
export { type EtcdAddress, etcdOptions, isEtcdAddress, parseEtcdAddress } from './address.ts'
export {
  type Etcd,
  EtcdError,
  type EtcdErrorKind,
  type MemberStatus,
} from './api.ts'
export type { StoreClock } from './caller.ts'
export { type EtcdOptions, openEtcd } from './client.ts'
export { type EtcdLimits, etcdLimits } from './limits.ts'
export { snapshotFolder } from './snapshot-folder.ts'
export type { SnapshotStore } from './snapshots.ts'
export { type EtcdStoreOptions, openEtcdStore } from './store.ts'
