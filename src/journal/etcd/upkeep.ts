// Owns that etcd does not grow: old rows go, and etcd forgets what keys were before.
// Must not remove what a start from the older snapshot needs.
import { CoxswainError } from '../../protocol/errors.ts'
import { compactableTo } from '../rules.ts'
import type { Log } from '../sqlite/ledger.ts'
import type { Caller } from './caller.ts'
import { blobsBefore, fromRowKey, rows as rowRange, rowsBefore } from './keys.ts'
import type { Term } from './term.ts'

/** Rows that one step removes. */
const rowsPerStep = 2000
/** etcd keeps old revisions so long, unless so many bytes were put meanwhile; each time it forgets what was old the time before. */
const [forgetEveryMs, forgetEveryBytes] = [10_000, 64 << 20]

/** Lets go of rows that end before `index`, as far as that is allowed. Throws FENCED. */
export async function compactRows(caller: Caller, term: Term, index: number, fallback: number, rowBytesKept: number): Promise<void> {
  const end = compactableTo(index, fallback)
  for (let more = true; more; ) {
    more = await term.alone(async alone => {
      const { rows } = await caller.range({ ...rowRange, keysOnly: true, limit: rowsPerStep + 1 })
      const heads = rows.map(({ key }) => fromRowKey(key)!)
      let bytes = 0
      let gone = 0
      // The last of those read stays in any case: it is the newest row, or the next step's.
      for (; gone < heads.length - 1; gone++) {
        const { bytes: size } = heads[gone]!
        if (heads[gone + 1]!.firstIndex > end || alone.end.rowBytes - bytes - size < rowBytesKept) break
        bytes += size
      }
      if (gone === 0) return false
      const first = heads[gone]!.firstIndex
      await alone.commit([{ delete: rowsBefore(first) }, { delete: blobsBefore('r', first) }], {
        rows: alone.end.rows - gone,
        rowBytes: alone.end.rowBytes - bytes,
      })
      return gone === rowsPerStep
    })
  }
}

/** Asks etcd now and then to forget old revisions. */
export class Forgetting {
  readonly #caller: Caller
  readonly #log: Log
  #askedMs: number
  #bytes = 0
  /** What is old when the time has come. */
  #old: number
  #state: 'idle' | 'asking' | 'denied' = 'idle'

  constructor(caller: Caller, log: Log) {
    this.#caller = caller
    this.#log = log
    this.#askedMs = caller.clock.monotonicMs()
    this.#old = caller.revision
    this.#bytes = caller.bytesPut
  }

  /** Asks if it is time. Never throws. */
  look(): void {
    const nowMs = this.#caller.clock.monotonicMs()
    const { bytesPut, revision, etcd } = this.#caller
    if (this.#state !== 'idle' || (nowMs - this.#askedMs < forgetEveryMs && bytesPut - this.#bytes < forgetEveryBytes)) return
    const old = this.#old
    this.#askedMs = nowMs
    this.#bytes = bytesPut
    this.#old = revision
    if (old === 0 || old >= revision) return
    this.#state = 'asking'
    etcd.compact(old).then(
      () => {
        this.#state = 'idle'
      },
      (error: unknown) => {
        const kind = (error as { kind?: string }).kind
        this.#state = kind === 'denied' || kind === 'unauthenticated' ? 'denied' : 'idle'
        // Another cluster below another prefix may have asked for more already.
        if (kind !== 'compacted') this.#log('warn', 'etcd-not-compacted', { message: String(error), again: this.#state === 'idle' })
      },
    )
  }
}

/** The error of a compaction by who does not lead. */
export function notLeading(epoch: number): CoxswainError {
  return new CoxswainError('FENCED', `Epoch ${epoch} does not lead: nothing was compacted.`)
}
