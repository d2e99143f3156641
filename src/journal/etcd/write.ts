// Owns what one write of a leader asks of etcd: what must hold, what it leaves, and what a refusal means.
// Must not send it.
import { CoxswainError } from '../../protocol/errors.ts'
import { type KeptRow, sameBytes } from '../row.ts'
import type { Compare, Operation, RangeAnswer, TransactionAnswer, TransactionRequest } from './api.ts'
import { endKey, leaderKey } from './keys.ts'
import { decodeEnd, decodeRow, type End, encodeEnd } from './values.ts'

/** A write, from one end of the journal to the next. */
export interface Write {
  from: End
  to: End
  operations: readonly Operation[]
  /** The row that shows that it is done, even where others wrote behind it. */
  row?: KeptRow
  rowKey?: string
}

/** That the leader's key still is as this revision left it. */
export function ledSince(fence: number): Compare {
  return { key: leaderKey, target: 'mod', result: 'equal', revision: fence }
}

/** The transaction of a write. Where it is refused, the same transaction reads why. */
export function requestOf({ from, to, operations, rowKey }: Write, fence: number): TransactionRequest {
  const compare: Compare[] = [ledSince(fence), { key: endKey, target: 'value', result: 'equal', value: encodeEnd(from) }]
  if (rowKey !== undefined) compare.push({ key: rowKey, target: 'create', result: 'equal', revision: 0 })
  return {
    compare,
    success: [...operations, { put: { key: endKey, value: encodeEnd(to) } }],
    failure: [leaderKey, endKey, ...(rowKey === undefined ? [] : [rowKey])].map(key => ({ range: { key } })),
  }
}

/** What became of a write: `early` means that those before it are still under way. Throws JOURNAL_CORRUPT. */
export function judge({ from, to, row }: Write, fence: number, { succeeded, answers }: TransactionAnswer): 'durable' | 'fenced' | 'early' {
  if (succeeded) return 'durable'
  const [leader, end, written] = (answers as RangeAnswer[]).map(({ rows }) => rows[0])
  // An earlier try did it, whoever leads by now.
  if (row && written && sameBytes(decodeRow(row.firstIndex, written.value).hash, row.hash)) return 'durable'
  if (leader?.modRevision !== fence) return 'fenced'
  const { sequence } = end ? decodeEnd(end.value) : from
  if (sequence < from.sequence) return 'early'
  if (sequence > to.sequence || (end && sameBytes(end.value, encodeEnd(to)))) return 'durable'
  throw new CoxswainError('JOURNAL_CORRUPT', 'Somebody else changed the journal in etcd below its prefix.', { id: endKey })
}
