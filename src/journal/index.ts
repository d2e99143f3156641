// The face of the journal: the interfaces, the backends, and verification. What a backend alone needs is loaded when it is opened.
export { type EtcdAddress, etcdOptions, isEtcdAddress, parseEtcdAddress } from './etcd/address.ts'
export {
  type Etcd,
  EtcdError,
  type EtcdErrorKind,
  type MemberStatus,
} from './etcd/api.ts'
export type { StoreClock } from './etcd/caller.ts'
export { type EtcdOptions, openEtcd } from './etcd/client.ts'
export { type EtcdLimits, etcdLimits } from './etcd/limits.ts'
export { snapshotFolder } from './etcd/snapshot-folder.ts'
export type { SnapshotStore } from './etcd/snapshots.ts'
export { type EtcdStoreOptions, openEtcdStore } from './etcd/store.ts'
export type { EndState, History, HistoryChange, HistoryPage, HistoryQuery, HistoryRow } from './history.ts'
export * from './journal.ts'
export { createMemoryStore, type MemoryDisk, type MemoryOptions } from './memory.ts'
export type { MemoryStore } from './memory-store.ts'
export { openPostgresStore } from './postgres/open.ts'
export type { PostgresOptions } from './postgres/store.ts'
export { copyOfAppend, type Inspectable, type Inspection } from './rules.ts'
export { sealedReader, sealedStore } from './sealed/store.ts'
export { type KeyUse, keyUse } from './sealed/use.ts'
export type { Log as JournalLog } from './sqlite/ledger.ts'
export { openSqliteReader, openSqliteStore, type SqliteOptions, type StoreReader } from './sqlite/store.ts'
export { type Verifiable, type VerifyReport, verifyStore } from './verify.ts'
