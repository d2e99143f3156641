// Holds the checker of merged traces to traces made by hand: each illegal one must be flagged by its rule, the legal one must pass.
// Must not start a cluster.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkTrace, type Demands } from '../../chaos/trace/check.ts'
import type { Seen, TraceEvent } from '../../chaos/trace/events.ts'
import type { JournalAtEnd } from '../../chaos/trace/watcher.ts'
import type { DurableRow } from '../../simulator/world/cluster-store.ts'
import type { JournalRecord } from '../../src/protocol/index.ts'
import { chunkOf } from '../fakes/values.ts'
import { assigned, claimed, finished, inputs, journal, life, over, rechain, results, submitted } from '../simulator/histories.ts'

type Line = Seen & { node?: string }

/** Events, a millisecond apart. */
function trace(...lines: Line[]): TraceEvent[] {
  return lines.map((line, t) => ({ t, node: 'client', ...line }))
}

/** A journal at its end, on the clock of its own indexes. */
function atEnd(rows: readonly DurableRow[], more: Partial<JournalAtEnd> = {}): JournalAtEnd {
  const indexed = rows.map(row => ({ ...row, atMs: row.firstIndex + row.count - 1 }))
  return { rows: indexed, problems: [], snapshot: undefined, ...more }
}

/** A job's whole life: the row of its submit ends at 6, its result and end at 8. */
const good = [
  { records: life, payloads: inputs },
  { records: [finished, over], payloads: results },
]
const rows = journal(...good)
const submit: Line = { ev: 'cl.inv', call: 1, op: 'submit', job: 'j', key: 'k' }
const answer = (seqSeen?: number): Line => ({ ev: 'cl.ok', call: 1, ...(seqSeen !== undefined && { seqSeen }) })
const result: Line = { ev: 'cl.inv', call: 2, op: 'run', job: 'j', key: 'k' }
const started = (att: number, token: number, task = 'j/0'): Line => ({ ev: 't.start', task, att, token, key: 'k', pid: 1, node: 'w' })
const expected: Line = { ev: 'expect', job: 'j', keys: ['k'], ends: 'succeeded', mayBeCancelled: false }
const seen = (seq: number, hash: Uint8Array, epoch = 1): Line => ({
  ...{ ev: 'j.append', epoch, seq, count: 1, hash: Buffer.from(hash).toString('hex') },
})
const fault: Line = { ev: 'fault', class: 'SIGKILL', target: 'c1', proof: 'pid 1 is gone' }

/** The rules that a trace breaks. */
function rules(lines: Line[], end: JournalAtEnd = atEnd(rows), demands: Demands = {}): string[] {
  return [...new Set(checkTrace(trace(...lines), end, demands).violations.map(one => one.rule))]
}

describe('the checker of traces', () => {
  it('passes what is legal', () => {
    const whole = [expected, submit, answer(6), started(1, 1), result, { ev: 'cl.ok', call: 2, value: 'result of k', seqSeen: 8 } as const]
    const report = checkTrace(trace(...whole, seen(1, rows[0]!.hash)), atEnd(rows), { againMax: 0 })
    assert.deepEqual(report.violations, [])
    assert.deepEqual([report.calls, report.callsOk, report.payloadsRead, report.payloadsGone], [2, 2, 2, 0])
  })

  it('passes payloads that were released before they could be read, and counts them', () => {
    const released = rows.map(row => ({ ...row, payloads: new Map<number, Uint8Array>() }))
    const report = checkTrace(trace(expected, submit, answer(6)), atEnd(released))
    assert.deepEqual([report.violations, report.payloadsGone], [[], 2])
  })

  it('S3: acknowledged before it was in the journal, or never in it', () => {
    assert.deepEqual(rules([submit, answer(5)]), ['S3'])
    const nobody: Line[] = [{ ...submit, job: 'lost' } as Line, answer()]
    assert.deepEqual(rules(nobody), ['S3'])
    assert.deepEqual(rules([submit, answer(6), result, { ev: 'cl.ok', call: 2, value: 'result of k', seqSeen: 7 - 1 }]), ['S3'])
  })

  it('S3, S2: a row that was seen and is gone, or is another one', () => {
    assert.deepEqual(rules([seen(99, rows[0]!.hash)]), ['S3'])
    assert.deepEqual(rules([seen(1, Buffer.alloc(32, 1))]), ['S2'])
    assert.deepEqual(rules([seen(1, rows[0]!.hash, 2)]), ['S2'])
  })

  it('S5: what the product finds, a row that is not what its hash says, a broken chain', () => {
    assert.deepEqual(rules([], atEnd(rows, { problems: ['a payload does not match'] })), ['S5'])
    const forged = rows.map(row => ({ ...row, payloads: new Map([[1, chunkOf([{ key: 'k', ms: 2 }])], ...results]) }))
    assert.deepEqual(rules([], atEnd(forged)), ['S5'])
    const [first, second] = rows as [DurableRow, DurableRow]
    assert.deepEqual(rules([], atEnd([first, { ...second, previousHash: Buffer.alloc(32, 9) }])), ['S5'])
  })

  it('S1, S2, S4, S10, S11: what the journal alone shows', () => {
    const then = (epoch: number, ...records: JournalRecord[]): JournalAtEnd => atEnd(journal(...good, { epoch, records }))
    assert.ok(rules([], then(2, { kind: 'TimePassed', nowMs: 99 })).includes('S1'))
    const back = journal(
      { records: [claimed(1)] },
      { epoch: 2, records: [claimed(2)] },
      { epoch: 1, records: [{ kind: 'TimePassed', nowMs: 99 }] },
    )
    assert.ok(rules([], atEnd(back)).includes('S2'))
    assert.deepEqual(rules([], then(1, submitted)), ['S4'])
    assert.deepEqual(rules([], then(1, over)), ['S11'])
    const twice = journal(good[0]!, { records: [{ ...assigned, lane: assigned.lane + 1 }] })
    assert.ok(rules([], atEnd(twice)).includes('S10'))
  })

  it('S8: an older leader announces itself, an older epoch on a worker, an older attempt behind a newer one', () => {
    const led = (epoch: number): Line => ({ ev: 'lead.seen', epoch, pid: 1 })
    const two = atEnd(journal(...good, { epoch: 2, records: [claimed(2)] }))
    assert.deepEqual(rules([led(1), led(2)], two), [])
    assert.deepEqual(rules([led(2), led(1)], two), ['S8'])
    assert.deepEqual(rules([led(1), led(3)], two), ['S1'])
    const kept = (epoch: number): Line => ({ ev: 'w.epoch', epoch, node: 'w' })
    assert.deepEqual(rules([kept(2), kept(1)], two), ['S8'])
    assert.deepEqual(rules([started(1, 9), started(2, 8)], two), ['S8'])
    assert.deepEqual(rules([started(2, 9), { ...started(1, 8), node: 'w, given up' }], two), [], 'late on a worker that was given up')
  })

  it('S9: a value that the task cannot give', () => {
    assert.deepEqual(rules([result, { ev: 'cl.ok', call: 2, value: 'result of another', seqSeen: 8 }]), ['S9'])
    assert.deepEqual(rules([result, { ev: 'cl.fail', call: 2, code: 'WRONG_VALUE' }]), ['S9'])
    const other = journal(good[0]!, { records: [finished, over], payloads: new Map([[2, chunkOf(['result of another'])]]) })
    assert.deepEqual(rules([], atEnd(other)), ['S9'])
  })

  it('S11: a job that had to succeed has failed', () => {
    assert.deepEqual(rules([{ ...expected, ends: 'failed' } as Line]), ['S11'])
  })

  it('S7: answers that no order explains', () => {
    const ask: Line = { ev: 'cl.inv', call: 3, op: 'status', job: 'j', key: '' }
    const told = (value: string): Line => ({ ev: 'cl.ok', call: 3, value, seqSeen: 8 })
    assert.deepEqual(rules([submit, answer(6), ask, told('succeeded')]), [])
    assert.deepEqual(rules([submit, answer(6), ask, { ev: 'cl.fail', call: 3, code: 'NOT_FOUND' }]), ['S7'])
    const again: Line = { ev: 'cl.inv', call: 4, op: 'status', job: 'j', key: '' }
    assert.deepEqual(rules([submit, answer(6), ask, told('succeeded'), again, { ev: 'cl.ok', call: 4, value: 'running', seqSeen: 8 }]), [
      'S7',
    ])
  })

  it('N1: an attempt that starts twice where no worker died', () => {
    const token = 2 ** 20 + 1
    const twice = [started(1, token), started(1, token)]
    assert.deepEqual(rules(twice, atEnd(rows), { againMax: 0 }), ['N1'])
    assert.deepEqual(rules(twice, atEnd(rows), { againMax: 1 }), [])
    assert.deepEqual(rules(twice, atEnd(rows)), [])
    // The lane of the assignment is the token of what runs in it.
    const assignedTo = (lane: number): Line[] => [started(1, lane), started(1, lane)]
    assert.deepEqual(rules(assignedTo(assigned.lane), atEnd(rows), { againMax: 0, againAssigned: true }), ['N1'])
    assert.deepEqual(rules(assignedTo(assigned.lane + 1), atEnd(rows), { againMax: 0, againAssigned: true }), [], 'it was never kept')
    const beforeItWasKept = [started(1, 1), started(1, token)]
    assert.deepEqual(rules(beforeItWasKept, atEnd(rows), { againMax: 0 }), [], 'handed out before the task was in the journal')
  })

  it('L4: a job without an end; L1: no write behind the last fault', () => {
    const open = atEnd(journal(good[0]!))
    assert.deepEqual(rules([], open), ['L4'])
    assert.deepEqual(rules([], open, { ends: false }), [])
    assert.deepEqual(rules([submit, answer(6), fault]), ['L1'])
    assert.deepEqual(rules([submit, fault, answer(6)]), ['L1'], 'it may have been answered by who died')
    assert.deepEqual(rules([fault, submit, answer(6)]), [])
  })

  it('S6: a snapshot that no replay gives', () => {
    const snapshot = { index: 1, state: Buffer.from('another state') }
    assert.deepEqual(rules([], atEnd(journal({ records: [claimed(1)] }), { snapshot })), ['S6'])
    assert.deepEqual(rules([], atEnd(rechain(rows), { snapshot: { ...snapshot, index: 6 } })), ['S6'], 'no program of this job was added')
  })
})
