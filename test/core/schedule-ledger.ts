// The part of the naive model that knows schedules: their ticks, and which jobs are their runs. And that payloads are numbered in order.
import assert from 'node:assert/strict'
import type { RecordOf } from '../../src/protocol/index.ts'
import { AccessLedger } from './access-ledger.ts'
import { NodeLedger } from './node-ledger.ts'

interface LedgerSchedule {
  overlap: string
  nextAtMs: number
  paused: boolean
  runs: string[]
  queued: number
}

export class ScheduleLedger extends AccessLedger {
  readonly jobs: ReadonlyMap<string, { over: boolean }> = new Map<string, { over: boolean }>()
  readonly schedules = new Map<string, LedgerSchedule>()
  /** Jobs in the history, the oldest first; and places up to which results and rows are gone. */
  readonly archived: string[] = []
  lastPayload = 0
  readonly nodes = new NodeLedger()
  /** Names of secrets and how often each was set. */
  readonly secrets = new Map<string, number>()

  SecretSet({ secret }: RecordOf<'SecretSet'>): void {
    this.secrets.set(secret, (this.secrets.get(secret) ?? 0) + 1)
  }

  SecretDeleted({ secret }: RecordOf<'SecretDeleted'>): void {
    assert(this.secrets.delete(secret), `the secret ${secret} was deleted and never set`)
  }

  newPayload(payload: number): void {
    assert(payload > this.lastPayload, `payload ${payload} is not a new one`)
    this.lastPayload = payload
  }

  ScheduleSet(record: RecordOf<'ScheduleSet'>): void {
    this.newPayload(record.payload)
    const { schedule, overlap } = record.spec
    const known = this.schedules.get(schedule)
    this.schedules.set(schedule, {
      overlap,
      nextAtMs: record.nextAtMs,
      paused: known?.paused ?? false,
      runs: known?.runs ?? [],
      queued: known?.queued ?? 0,
    })
  }

  ScheduleTicked(record: RecordOf<'ScheduleTicked'>): void {
    const schedule = this.schedules.get(record.schedule)!
    assert(!schedule.paused, `${record.schedule} ticked while it was paused`)
    assert(record.atMs >= schedule.nextAtMs && record.nextAtMs > record.atMs, `${record.schedule} had a tick twice, or none comes`)
    const busy = schedule.runs.some(job => this.jobs.get(job)?.over === false)
    if (record.outcome === 'skipped' || record.outcome === 'queued') assert(busy, `${record.schedule} had no run, and did not run`)
    if (record.outcome === 'ran' && schedule.overlap !== 'cancel') assert(!busy, `${record.schedule} ran beside itself`)
    schedule.nextAtMs = record.nextAtMs
    if (record.outcome === 'queued') schedule.queued++
  }

  ScheduleRan(record: RecordOf<'ScheduleRan'>): void {
    const schedule = this.schedules.get(record.schedule)!
    assert(this.jobs.has(record.job) || this.archived.includes(record.job), `${record.job} ran and was not submitted`)
    assert(!schedule.runs.includes(record.job), `${record.job} ran twice`)
    if (record.queued) schedule.queued--
    assert(schedule.queued >= 0, `${record.schedule} ran a tick that did not wait`)
    schedule.runs.push(record.job)
  }

  SchedulePaused(record: RecordOf<'SchedulePaused'>): void {
    const schedule = this.schedules.get(record.schedule)!
    assert.notEqual(schedule.paused, record.paused)
    schedule.paused = record.paused
    schedule.nextAtMs = record.nextAtMs
  }

  ScheduleDeleted(record: RecordOf<'ScheduleDeleted'>): void {
    assert(this.schedules.delete(record.schedule))
  }
}
