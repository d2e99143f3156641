// Owns what is read of the journal in etcd: who leads, rows, payloads, sizes, and whether what is below the prefix is ours at all.
// Must not write.
import { CoxswainError } from '../../protocol/errors.ts'
import type { PayloadId } from '../../protocol/index.ts'
import { recordVersion } from '../../protocol/limits.ts'
import type { JournalRow, LeadershipView } from '../journal.ts'
import { corruptPayload, corruptRow, type KeptRow, noHash, payloadChecksum, rowEnd, rowProblem } from '../row.ts'
import type { KeyValue, RangeAnswer, RangeRequest } from './api.ts'
import { readBlob } from './blobs.ts'
import type { Caller } from './caller.ts'
import {
  aliveKey,
  blobName,
  endKey,
  foreignRanges,
  fromRowKey,
  indexesBehind,
  indexesUpTo,
  leaderKey,
  rows as rowRange,
  rowsBefore,
  rowsFrom,
} from './keys.ts'
import { aliveValue } from './lifeline.ts'
import { decodeEnd, decodeIndex, decodeLeader, decodeRow, type End, type Index, type LeaderValue, newer, wholeRow } from './values.ts'

/** Bytes of rows in one answer (one row may pass it). */
const answerBytesMax = 4 << 20
/** How often a read begins again because what it was to read was let go meanwhile. */
const rereadsMax = 5
/** How often a read is made again because its answer was older than what this handle knows to be done. */
const staleReadsMax = 20

const nothing: End = {
  ...{ sequence: 0, lastIndex: 0, rows: 0, rowBytes: 0, payloads: 0, payloadBytes: 0, historyRows: 0, lastPayload: 0 },
  hash: noHash,
}

/** Who leads and where the journal ends, as of one revision. */
export interface Head {
  leader: LeaderValue | undefined
  /** Revision of the leader's key, 0 without one. */
  fence: number
  end: End
  alive: boolean
  newest: KeyValue | undefined
}

/** Reads of one handle. */
export class Reader {
  readonly #caller: Caller
  /** Writes that the store is known to have done: an answer with fewer is a stale one. */
  readonly #known: () => number

  constructor(caller: Caller, known: () => number) {
    this.#caller = caller
    this.#known = known
  }

  /** Throws FOREIGN_DATA, JOURNAL_VERSION or JOURNAL_CORRUPT where this is no journal that this release can lead. */
  async check(): Promise<void> {
    const strangers = await this.#caller.read(foreignRanges().map(range => ({ ...range, limit: 1, keysOnly: true })))
    const stranger = strangers.flatMap(({ rows }) => rows)[0]
    if (stranger)
      throw new CoxswainError(
        'FOREIGN_DATA',
        `Below the prefix in etcd there is ${JSON.stringify(stranger.key)}, which is no key of a journal.`,
        {
          id: stranger.key,
        },
      )
    const { leader } = await this.head()
    if (leader && leader.records > recordVersion) throw newer('records of version', leader.records, recordVersion)
  }

  /** Who leads and where the journal ends. */
  async head(): Promise<Head> {
    const newest = { ...rowRange, descending: true, limit: 1 }
    const [leader, end, alive, row] = await this.#fresh([{ key: leaderKey }, { key: endKey }, { key: aliveKey }, newest])
    const kept = leader!.rows[0]
    if (kept === undefined && (end!.rows.length > 0 || row!.rows.length > 0))
      throw new CoxswainError('JOURNAL_CORRUPT', "The leader's key of the journal is missing.", { id: leaderKey })
    const value = kept && decodeLeader(kept.value)
    return {
      leader: value,
      fence: kept?.modRevision ?? 0,
      end: this.#end(end!, value !== undefined),
      alive: value !== undefined && Buffer.from(alive!.rows[0]?.value ?? []).equals(aliveValue(value.epoch)),
      newest: row!.rows[0],
    }
  }

  async view(): Promise<LeadershipView> {
    const { leader, alive } = await this.head()
    if (!leader) return { epoch: 0, leader: '', pid: 0, processStart: '', address: '' }
    const { epoch, pid, processStart, address } = leader
    return { epoch, leader: leader.leader, pid, processStart, address, lease: alive ? 'held' : 'gone' }
  }

  /** What is kept, and the first index. */
  async size(): Promise<{ end: End; firstIndex: number }> {
    const [end, first] = await this.#fresh([{ key: endKey }, { ...rowRange, limit: 1, keysOnly: true }])
    const key = first!.rows[0]?.key
    return { end: this.#end(end!, key !== undefined), firstIndex: key === undefined ? 1 : this.#fromKey(key).firstIndex }
  }

  /** Reads ranges whose second one is the end, again where the answer is older than what this handle knows to be done. */
  async #fresh(requests: Parameters<Caller['read']>[0]): Promise<RangeAnswer[]> {
    const at = requests.findIndex(({ key }) => key === endKey)
    for (let tries = 0; ; tries++) {
      const answers = await this.#caller.read(requests)
      const end = answers[at]?.rows[0]
      if (tries >= staleReadsMax || this.#known() === 0 || (end && decodeEnd(end.value).sequence >= this.#known())) return answers
    }
  }

  /** Reads one range, not older than what this handle knows to be done. */
  async range(request: RangeRequest): Promise<RangeAnswer> {
    return (await this.#fresh([{ key: endKey }, request]))[1]!
  }

  #end({ rows: [kept] }: RangeAnswer, expected: boolean): End {
    if (kept) return decodeEnd(kept.value)
    if (expected) throw new CoxswainError('JOURNAL_CORRUPT', "The key of the journal's end is missing.", { id: endKey })
    return nothing
  }

  #fromKey(key: string): { firstIndex: number; bytes: number } {
    const found = fromRowKey(key)
    if (!found) throw new CoxswainError('JOURNAL_CORRUPT', `The key ${key} is no row's.`, { id: key })
    return found
  }

  /** See `Journal.read`. */
  async rows(fromIndex: number, rowsMax: number): Promise<JournalRow[]> {
    for (let tries = 0; ; tries++) {
      const [end, holder, behind] = await this.#fresh([
        { key: endKey },
        { ...rowsBefore(fromIndex + 1), descending: true, limit: 1, keysOnly: true },
        { ...rowsFrom(fromIndex + 1), limit: rowsMax, keysOnly: true },
      ])
      const { lastIndex } = this.#end(end!, false)
      const keys = [...holder!.rows, ...behind!.rows].map(({ key }) => key)
      const wanted = this.#wanted(keys, fromIndex, lastIndex, rowsMax)
      if (wanted.length === 0) {
        if (fromIndex <= lastIndex) throw corruptRow(lastIndex, 'is missing')
        return []
      }
      const found = await this.#read(wanted)
      const complete = !behind!.more && wanted.at(-1) === keys.at(-1)
      if (found.length === wanted.length) return this.#checked(found, complete ? lastIndex : undefined)
      // Rows went meanwhile, or the answer was a stale one.
      if (tries >= rereadsMax) throw corruptRow(this.#fromKey(wanted[0]!).firstIndex, 'is missing')
    }
  }

  /** Keys of the rows that one answer holds. */
  #wanted(keys: string[], fromIndex: number, lastIndex: number, rowsMax: number): string[] {
    const heads = keys.map(key => ({ key, ...this.#fromKey(key) }))
    // The first one ends before the next, or where the journal does.
    if (heads[0] && (heads[1]?.firstIndex ?? lastIndex + 1) <= fromIndex) heads.shift()
    let bytes = 0
    const most = heads.slice(0, rowsMax).findIndex((head, at) => {
      bytes += head.bytes
      return at > 0 && bytes > answerBytesMax
    })
    return heads.slice(0, most < 0 ? rowsMax : most).map(({ key }) => key)
  }

  async #read(keys: readonly string[]): Promise<KeptRow[]> {
    const { rows } = await this.#caller.range({ key: keys[0]!, end: `${keys.at(-1)}\0` })
    const kept: KeptRow[] = []
    for (const { key, value } of rows) {
      const row = await this.whole(key, value)
      if (row === undefined) return []
      kept.push(row)
    }
    return kept
  }

  /** A row with its body, or undefined where that is gone. Not checked against its hash. */
  async whole(key: string, value: Uint8Array): Promise<KeptRow | undefined> {
    const head = decodeRow(this.#fromKey(key).firstIndex, value)
    const body = head.body ?? (await readBlob(this.#caller, blobName('r', head.firstIndex), head.manifestBytes + head.recordsBytes))
    return body && wholeRow(head, body)
  }

  #checked(rows: KeptRow[], lastIndex: number | undefined): JournalRow[] {
    const answer = rows.map((row, at) => {
      const problem = rowProblem(row, at > 0 ? rowEnd(rows[at - 1]!) : undefined)
      if (problem !== undefined) throw corruptRow(row.firstIndex, problem)
      const { manifest: _, ...face } = row
      return face
    })
    if (lastIndex !== undefined && rowEnd(answer.at(-1)!).lastIndex !== lastIndex) throw corruptRow(lastIndex, 'is missing')
    return answer
  }

  /** See `Journal.payload`. */
  async payload(payload: PayloadId): Promise<Uint8Array | undefined> {
    const list = await this.#list(payload)
    const entry = list?.entries.get(payload)
    if (!list || !entry) return undefined
    const [name, bytes] = entry.offset < 0 ? [blobName('p', payload), entry.bytes] : [blobName('b', list.first), list.bundleBytes]
    // Nothing was put for a bundle of payloads without bytes.
    const blob = bytes === 0 ? Buffer.alloc(0) : await readBlob(this.#caller, name, bytes)
    if (blob === undefined) {
      if ((await this.#list(payload))?.entries.has(payload)) throw corruptPayload(payload, 'is missing')
      return undefined
    }
    const begin = Math.max(0, entry.offset)
    const found = Uint8Array.from(blob.subarray(begin, begin + entry.bytes))
    if (payloadChecksum(found) !== entry.checksum) throw corruptPayload(payload, 'does not match its checksum')
    return found
  }

  async #list(payload: PayloadId): Promise<Index | undefined> {
    const { rows } = await this.range({ ...indexesUpTo(payload), descending: true, limit: 1 })
    return rows[0] && decodeIndex(rows[0].key, rows[0].value)
  }

  /** See `Inspection.payloadIds`. */
  async payloadIds(after: PayloadId, idsMax: number): Promise<PayloadId[]> {
    const own = await this.#list(after)
    const ids = own ? [...own.entries.keys()].filter(payload => payload > after) : []
    for (let from = own ? Math.max(after, own.first) : after; ids.length < idsMax; ) {
      const { rows, more } = await this.#caller.range({ ...indexesBehind(from), limit: 16 })
      for (const { key, value } of rows) {
        const { first, entries } = decodeIndex(key, value)
        ids.push(...entries.keys())
        from = first
      }
      if (!more) break
    }
    return ids.slice(0, idsMax)
  }
}
