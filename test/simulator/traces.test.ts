// Holds all checkers together to the trace of a real run, sound as it is, and changed in ways that lie about it: each lie must be flagged.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { MirrorChecker } from '../../simulator/checkers/mirror.ts'
import { readRecords } from '../../simulator/checkers/reader.ts'
import { type Call, History } from '../../simulator/history.ts'
import { checkHistory, play } from '../../simulator/run.ts'
import { drawScenario, type Scenario } from '../../simulator/scenario.ts'
import type { DurableRow } from '../../simulator/world/cluster-store.ts'
import { encodeRecords, type JournalRecord } from '../../src/protocol/index.ts'
import { rechain } from './histories.ts'

const scenario: Scenario = {
  ...drawScenario(1),
  workloads: ['runs', 'submits', 'cancels'],
  classes: [],
  faults: [],
  clients: 1,
  safetyMs: 3000,
}
let real: History
let known: { row: DurableRow; records: JournalRecord[] }[]

before(async () => {
  const { world } = await play(scenario)
  assert.deepEqual(world.history.violations, [])
  real = world.history
  known = real.rows.map(row => ({ row, records: readRecords(row.records, row.count) }))
})

/** The rules that are broken in a history that is as the real one but for these rows and calls. */
function rules(rows: readonly DurableRow[], calls: readonly Call[] = real.calls): Set<string> {
  const history = new History()
  history.calls.push(...calls)
  history.executions.push(...real.executions)
  history.leaderships.push(...real.leaderships)
  for (const [job, expected] of real.expected) history.expected.set(job, expected)
  history.rows = rows
  checkHistory(history, scenario)
  const mirror = new MirrorChecker(history)
  for (const row of rows) mirror.durable(row)
  return new Set(history.violations.map(one => one.rule))
}

/** Indices and chain made anew, so that only what the rows say can tell. */
function renumber(rows: readonly DurableRow[]): DurableRow[] {
  let firstIndex = 1
  return rechain(
    rows.map(row => {
      const next = { ...row, firstIndex }
      firstIndex += row.count
      return next
    }),
  )
}

/** The place of the first row, behind the opening ones, that holds such a record. */
function find(fits: (record: JournalRecord) => boolean): number {
  const place = known.findIndex(({ records }) => records.some(fits))
  assert.ok(place > 0)
  return place
}

const withRecords = (row: DurableRow, records: JournalRecord[]): DurableRow => ({
  ...row,
  count: records.length,
  records: encodeRecords(records),
})

/** All rows, with the records of one of them changed. */
function edited(place: number, edit: (records: JournalRecord[]) => JournalRecord[]): DurableRow[] {
  return renumber(real.rows.map((row, at) => (at === place ? withRecords(row, edit([...known[at]!.records])) : row)))
}

const acknowledged = (job: string): boolean =>
  real.calls.some(call => call.job === job && call.operation === 'submit' && call.value === true)

describe('a real trace', () => {
  it('is sound as it is, also numbered and chained anew', () => {
    assert.deepEqual([...rules(real.rows)], [])
    assert.deepEqual([...rules(renumber(real.rows))], [])
    assert.ok(real.rows.length > 50 && real.calls.length > 20)
  })

  it('with a row lost breaks the chain', () => {
    for (const place of [1, 20, real.rows.length - 2]) assert.ok(rules(real.rows.toSpliced(place, 1)).has('S5'))
  })

  it('with an acknowledged job lost, and nothing else to be seen', () => {
    const fits = (record: JournalRecord): boolean => record.kind === 'JobSubmitted' && acknowledged(record.plan.job)
    const place = find(fits)
    const job = (known[place]!.records.find(fits) as Extract<JournalRecord, { kind: 'JobSubmitted' }>).plan.job
    // All that tells of the job goes with it, and what it gave is not looked for.
    const lanes = new Set<number>()
    const others = known.map(({ row, records }) => {
      const kept = records.filter(record => {
        if (record.kind === 'TasksAssigned' && record.runs[0]?.job === job) lanes.add(record.lane)
        if ('lane' in record && lanes.has(record.lane)) return false
        return !('job' in record && record.job === job) && !('plan' in record && record.plan.job === job)
      })
      return kept.length > 0 ? withRecords(row, kept) : undefined
    })
    const found = rules(renumber(others.filter(row => row !== undefined)))
    assert.ok(found.has('S3'), [...found].join())
  })

  it('with two rows swapped', () => {
    for (const place of [2, 10, 30]) {
      const swapped = real.rows.toSpliced(place, 2, real.rows[place + 1]!, real.rows[place]!)
      assert.ok(rules(swapped).has('S5'))
    }
    const place = find(record => record.kind === 'TasksFinished')
    const given = known.findIndex(({ records }) => records.some(record => record.kind === 'TasksAssigned'))
    assert.ok(given < place)
    const early = real.rows.toSpliced(place, 1).toSpliced(given, 0, real.rows[place]!)
    assert.ok(rules(renumber(early)).size > 0)
  })

  it('with an epoch changed', () => {
    const middle = Math.floor(real.rows.length / 2)
    const bump = (from: number, to: number, by: number): DurableRow[] =>
      rechain(real.rows.map((row, at) => (at >= from && at < to ? { ...row, epoch: row.epoch + by } : row)))
    assert.ok(rules(bump(middle, real.rows.length, 1)).has('S1'))
    assert.ok(rules(bump(middle, middle + 1, 1)).has('S2'))
    assert.ok(rules(real.rows.map((row, at) => (at === middle ? { ...row, epoch: row.epoch + 1 } : row))).has('S5'))
  })

  it('with a byte of a result changed', () => {
    const place = find(record => record.kind === 'TasksFinished')
    const changed = (row: DurableRow): DurableRow => {
      const payloads = new Map(
        [...row.payloads].map(([payload, bytes]) => [payload, bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte))]),
      )
      return { ...row, payloads }
    }
    const rows = real.rows.map((row, at) => (at === place ? changed(row) : row))
    assert.ok(rules(rows).has('S5'))
    assert.deepEqual([...rules(rechain(rows))], ['S9'])
  })

  it('with a task that is handed out twice, a result twice, an end that is another one', () => {
    const twice = (kind: JournalRecord['kind']): Set<string> => {
      const place = find(record => record.kind === kind)
      return rules(edited(place, records => records.flatMap(record => (record.kind === kind ? [record, record] : [record]))))
    }
    assert.ok(twice('TasksAssigned').has('S10'))
    assert.ok(twice('TasksFinished').size > 0)
    assert.ok(twice('JobFinished').has('S11'))
    assert.ok(twice('JobSubmitted').has('S4'))
    const ends = find(record => record.kind === 'JobFinished' && record.state === 'succeeded')
    const otherwise = edited(ends, records =>
      records.map(record => (record.kind === 'JobFinished' ? { ...record, state: 'failed' } : record)),
    )
    assert.ok(rules(otherwise).has('S11'))
  })

  it('with answers that came before their facts, or that were never true', () => {
    const early = real.calls.map(call =>
      call.operation === 'submit' && call.value === true ? { ...call, startedMs: 0, endedMs: 1 } : call,
    )
    assert.ok(rules(real.rows, early).has('S3'))
    const unheard = real.calls.map(call => (call.operation === 'cancel' ? { ...call, job: `${call.job}-other` } : call))
    assert.ok(rules(real.rows, unheard).has('S3'))
    const last = Math.max(...real.calls.map(call => call.endedMs ?? 0))
    const job = real.calls.find(call => call.operation === 'submit' && call.value === true)!.job
    const still: Call = { node: 'u1', operation: 'status', job, key: '', startedMs: last + 1, endedMs: last + 2, value: 'running' }
    const over: Call = { ...still, startedMs: last - 1, endedMs: last, value: 'succeeded' }
    assert.ok(rules(real.rows, [...real.calls, over, still]).has('S7'))
  })
})
