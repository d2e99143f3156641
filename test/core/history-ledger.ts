// Owns the history as the store has it, for tests of the core: a row per archived job, made as a leader makes it, and the laws between rows and register.
// Must not hold what else happens to jobs: that is the ledger's.
import assert from 'node:assert/strict'
import { type KeptJob, keptJob, payloadsOf } from '../../src/core/history/kept.ts'
import { decodeKept, encodeKept } from '../../src/core/history/layout.ts'
import type { Job } from '../../src/core/jobs/state.ts'
import type { State } from '../../src/core/state.ts'
import { Chunk, type JournalRecord, type PayloadId } from '../../src/protocol/index.ts'
import { resultOf } from '../fakes/worker.ts'

interface Row {
  job: string
  contentHash: string
  kept: KeptJob
  payloads: PayloadId[]
  /** The records that archived it, took its results and forgot it. */
  index: number
  emptied: number
  forgotten: number
}

const never = Number.POSITIVE_INFINITY

/** Payloads that a job names besides inputs. */
function payloadsIn(job: Job): PayloadId[] {
  const results = job.stages.flatMap(stage => [...stage.results].map(({ payload }) => payload))
  const { flow } = job
  const kept = flow ? [...flow.spreads.values(), ...flow.values.values(), ...[...flow.mail.kept.values()].flat()] : []
  return [...results, ...kept.map(({ payload }) => payload)]
}

export class HistoryLedger {
  readonly rows: Row[] = []
  #named: PayloadId[] = []

  /** A record is about to be applied: the rows are made of what is there now. */
  before(state: State, record: JournalRecord, index: number): void {
    this.#named = []
    if (record.kind !== 'JobsArchived') return
    for (const id of record.jobs) {
      const job = state.jobs.byId.get(id)!
      assert(job.finishedAtMs > 0, `${id} was archived while it ran`)
      const kept = keptJob(job)
      // As it stands in the row.
      assert.deepEqual(decodeKept(encodeKept(kept)), kept)
      this.#named.push(...payloadsIn(job))
      const { contentHash } = job.plan
      this.rows.push({ job: id, contentHash, kept, payloads: payloadsOf(kept), index, emptied: never, forgotten: never })
    }
  }

  /** It was applied: what the jobs named is in their rows, or is dropped. */
  after(state: State, record: JournalRecord, index: number): void {
    if (record.kind === 'HistoryEmptied' || record.kind === 'HistoryForgotten') {
      for (const row of this.rows.slice(record.first - 1, record.first - 1 + record.count)) {
        row.emptied = Math.min(row.emptied, index)
        if (record.kind === 'HistoryForgotten') row.forgotten = index
      }
    } else if (record.kind === 'JobsArchived') {
      const owned = new Set(this.rows.filter(row => row.index === index).flatMap(row => row.payloads))
      const dropped = new Set(state.payloadDrops)
      // What an event brought is dropped with the last of those who got it.
      const shared = new Set([...state.jobs.byId.values()].flatMap(payloadsIn))
      for (const payload of this.#named) {
        const owners = [owned, dropped, shared].filter(one => one.has(payload)).length
        assert.equal(owners, 1, `payload ${payload} is nobody's, or two have it`)
      }
    } else return
    this.#compare(state)
  }

  #compare({ history, jobs }: State): void {
    const known = this.rows.filter(row => row.forgotten === never)
    assert.equal(history.size, known.length)
    const other = 'f'.repeat(64)
    for (const row of known) {
      assert(!jobs.byId.has(row.job))
      assert.equal(history.known(row.job, row.contentHash), 'same', row.job)
      if (row.contentHash !== other) assert.equal(history.known(row.job, other), 'another', row.job)
    }
    for (const row of this.rows) {
      const again = known.some(one => one.job === row.job)
      if (row.forgotten < never && !again) assert.equal(history.find(row.job), undefined, `${row.job} is still known`)
    }
  }

  /** The journal ends before this record now. */
  truncate(records: number): void {
    while ((this.rows.at(-1)?.index ?? 0) > records) this.rows.pop()
    for (const row of this.rows) {
      if (row.emptied > records) row.emptied = never
      if (row.forgotten > records) row.forgotten = never
    }
  }

  /** The results in the rows are those of their tasks; `bytesOf` throws for a payload that was dropped. */
  verify(bytesOf: (payload: PayloadId) => Uint8Array): void {
    for (const { job, kept, emptied } of this.rows) {
      if (emptied < never) continue
      for (const [stage, { results }] of kept.stages.entries())
        for (const { first, count, payload, from = 0 } of results) {
          const chunk = new Chunk(bytesOf(payload))
          for (let at = 0; at < count; at++)
            assert.equal(
              chunk
                .item(from + at)
                .toString()
                .replace('\0\0', ''),
              resultOf({ job, stage, index: first + at }),
              `${job}/${stage}`,
            )
        }
    }
  }
}
