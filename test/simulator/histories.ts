// Owns what hand-made histories are built of: records of one job's life, rows in a chain, what the journal's checker says of them.
// Must not judge.
import { JournalChecker } from '../../simulator/checkers/journal.ts'
import { hashOf } from '../../simulator/checkers/reader.ts'
import { History } from '../../simulator/history.ts'
import type { DurableRow } from '../../simulator/world/cluster-store.ts'
import { encodeRecords, type JournalRecord, type RecordOf } from '../../src/protocol/index.ts'
import { amount, plan } from '../fakes/plans.ts'
import { chunkOf } from '../fakes/values.ts'

export function claimed(epoch: number, cluster = 'one'): RecordOf<'LeaderClaimed'> {
  return { kind: 'LeaderClaimed', cluster, epoch, leader: `c${epoch}`, pid: 1, address: 'ws://c', release: '0', atMs: epoch }
}

export const lane = 2 ** 32 + 1
export const run = { job: 'j', stage: 0, first: 0, count: 1, attempt: 1 }
export const joined: RecordOf<'WorkerJoined'> = {
  ...{ kind: 'WorkerJoined', worker: 'w', incarnation: 1, boot: 'b', capacity: amount(1), host: 'h', pid: 1, blocks: '', labels: [] },
}
export const submitted: RecordOf<'JobSubmitted'> = { kind: 'JobSubmitted', plan: plan('j') }
export const added: RecordOf<'TasksAdded'> = {
  kind: 'TasksAdded',
  job: 'j',
  stage: 0,
  first: 0,
  count: 1,
  payload: 1,
  bytes: 1,
  blocks: [],
}
export const sealed: RecordOf<'StageSealed'> = { kind: 'StageSealed', job: 'j', stage: 0 }
export const assigned: RecordOf<'TasksAssigned'> = { kind: 'TasksAssigned', lane, worker: 'w', incarnation: 1, runs: [run], adopted: false }
export const finished: RecordOf<'TasksFinished'> = { kind: 'TasksFinished', lane, count: 1, payload: 2, bytes: 1, blocks: [] }
export const over: RecordOf<'JobFinished'> = { kind: 'JobFinished', job: 'j', state: 'succeeded' }
export const inputs = new Map([[1, chunkOf([{ key: 'k', ms: 1 }])]])
export const results = new Map([[2, chunkOf(['result of k'])]])
export const life = [claimed(1), joined, submitted, added, sealed, assigned]

/** Rows in a chain, one per list of records. */
export function journal(
  ...rows: { epoch?: number; records: JournalRecord[]; payloads?: Map<number, Uint8Array>; drops?: number[] }[]
): DurableRow[] {
  const made: DurableRow[] = []
  for (const [position, { epoch, records, payloads, drops }] of rows.entries()) {
    const last = made.at(-1)
    const row = {
      ...{ atMs: (position + 1) * 10, epoch: epoch ?? 1, firstIndex: last ? last.firstIndex + last.count : 1, count: records.length },
      ...{ records: encodeRecords(records), payloads: payloads ?? new Map<number, Uint8Array>(), drops: drops ?? [] },
      previousHash: last?.hash ?? Buffer.alloc(32),
    }
    made.push({ ...row, hash: hashOf(row) })
  }
  return made
}

/** Hash and chain of all rows made anew: what is wrong then is in what they say. */
export function rechain(rows: readonly DurableRow[]): DurableRow[] {
  let previousHash: Uint8Array = Buffer.alloc(32)
  return rows.map(row => {
    const next = { ...row, previousHash }
    previousHash = hashOf(next)
    return { ...next, hash: previousHash }
  })
}

/** The rules that a journal of these rows breaks. */
export function rulesOf(rows: readonly DurableRow[]): string[] {
  const history = new History()
  history.rows = rows
  new JournalChecker(history).check()
  return [...new Set(history.violations.map(one => one.rule))]
}
