// The face of the journal: the interfaces, the two backends, and verification.
export type { EndState, History, HistoryChange, HistoryPage, HistoryQuery, HistoryRow } from './history.ts'
export * from './journal.ts'
export { createMemoryStore, type MemoryDisk, type MemoryOptions } from './memory.ts'
export type { MemoryStore } from './memory-store.ts'
export { copyOfAppend, type Inspectable, type Inspection } from './rules.ts'
export type { Log as JournalLog } from './sqlite/ledger.ts'
export { openSqliteReader, openSqliteStore, type SqliteOptions, type StoreReader } from './sqlite/store.ts'
export { type Verifiable, type VerifyReport, verifyStore } from './verify.ts'
