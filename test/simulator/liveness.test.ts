// Holds the checkers of what comes after the last fault to ends made by hand: L1 to L4, L10, L11, S22 and what makes a run void.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  calmMs,
  checkBounds,
  checkLiveness,
  checkSoundLeader,
  type EndView,
  lagMsMax,
  voidReason,
  writeMsMax,
} from '../../simulator/checkers/liveness.ts'
import { type Call, History } from '../../simulator/history.ts'
import type { FaultKind } from '../../simulator/scenario.ts'
import { claimed, journal } from './histories.ts'

const healedMs = 10_000
const endMs = 40_000
const good: EndView = {
  ...{ healedMs, endMs, leader: { node: 'c1', alive: true }, writtenMs: healedMs + 500, workloadsOpen: 0, jobsOpen: [] },
  applied: [
    { node: 'c1', index: 3 },
    { node: 'c2', index: 3 },
  ],
  queues: { 'lanes open': 0, 'bytes of inputs': 0 },
  peaks: [{ what: 'appends', peak: 3, bound: 3 }],
}

/** Two rows: one long before the end, one right before it. */
function historyWith(...leadershipsMs: number[]): History {
  const history = new History()
  const rows = journal(
    { records: [claimed(1)] },
    { records: [{ kind: 'TimePassed', nowMs: 2 }] },
    { records: [{ kind: 'TimePassed', nowMs: 3 }] },
  )
  rows[2]!.atMs = endMs - lagMsMax / 2
  history.rows = rows
  for (const [position, atMs] of leadershipsMs.entries())
    history.leaderships.push({ atMs, node: 'c1', epoch: position + 1, cluster: 'one' })
  return history
}

function rules(view: Partial<EndView>, ...leadershipsMs: number[]): string[] {
  const history = historyWith(...(leadershipsMs.length > 0 ? leadershipsMs : [100]))
  checkLiveness(history, { ...good, ...view })
  checkBounds(history, { ...good, ...view })
  return history.violations.map(one => one.rule)
}

describe('after the last fault', () => {
  it('passes a sound end', () => {
    assert.deepEqual(rules({}), [])
    assert.deepEqual(rules({}, 100, healedMs + calmMs), [])
  })

  it('L1: nobody ever led, who led last is gone', () => {
    assert.deepEqual(rules({ leader: undefined }), ['L1'])
    assert.deepEqual(rules({ leader: { node: 'c1', alive: false } }), ['L1'])
    assert.deepEqual(rules({ leader: { node: 'c2', alive: false } }, 100, 200), ['L1'])
  })

  it('L2: leaders still change', () => {
    assert.deepEqual(rules({}, 100, healedMs + calmMs + 1), ['L2'])
    assert.deepEqual(rules({}, endMs), ['L2'])
    assert.deepEqual(rules({}, 100, endMs - 2, endMs - 1), ['L2'])
  })

  it('L2: a leader is replaced where nothing reached the candidates', () => {
    const broken = (kind: FaultKind, node = 'w1', ...leadershipsMs: number[]): string[] => {
      const history = historyWith(...leadershipsMs)
      const faults = [{ atMs: 1, kind, target: '', forMs: 0, share: 0 }]
      checkSoundLeader(history, { faults, outsiders: [{ node, how: 'dead' }] })
      return history.violations.map(one => one.rule)
    }
    assert.deepEqual(broken('clock-jump', 'w1', 100), [])
    assert.deepEqual(broken('clock-jump', 'w1', 100, 200), ['L2'])
    assert.deepEqual(broken('crash-worker', 'w1', 100, 200), ['L2'])
    assert.deepEqual(broken('pause', 'w1', 100, 200), [])
    assert.deepEqual(broken('clock-jump', 'c2', 100, 200), [])
  })

  it('L3: no write, or a late one', () => {
    assert.deepEqual(rules({ writtenMs: undefined }), ['L3'])
    assert.deepEqual(rules({ writtenMs: healedMs + writeMsMax }), [])
    assert.deepEqual(rules({ writtenMs: healedMs + writeMsMax + 1 }), ['L3'])
    assert.deepEqual(rules({ writtenMs: endMs }), ['L3'])
  })

  it('L4: a workload or a job without its end', () => {
    assert.deepEqual(rules({ workloadsOpen: 1 }), ['L4'])
    assert.deepEqual(rules({ jobsOpen: ['j'] }), ['L4'])
    assert.deepEqual(rules({ workloadsOpen: 2, jobsOpen: ['j'] }), ['L4'])
  })

  it('L10: something is still in a queue', () => {
    assert.deepEqual(rules({ queues: { 'lanes open': 1 } }), ['L10'])
    assert.deepEqual(rules({ queues: { 'lanes open': 0, 'bytes of inputs': 7 } }), ['L10'])
    assert.deepEqual(rules({ queues: { 'tasks open': -1 } }), ['L10'])
  })

  it('L11: a standby that is behind, or has not begun', () => {
    assert.deepEqual(rules({ applied: [{ node: 'c2', index: 2 }] }), [], 'the last row is new')
    assert.deepEqual(rules({ applied: [{ node: 'c2', index: 1 }] }), ['L11'])
    assert.deepEqual(rules({ applied: [{ node: 'c2', index: undefined }] }), ['L11'])
    const behind = [1, 3, 0].map((index, position) => ({ node: `c${position}`, index }))
    assert.deepEqual(rules({ applied: behind }), ['L11', 'L11'])
  })

  it('S22: more than a bound', () => {
    assert.deepEqual(rules({ peaks: [{ what: 'appends', peak: 4, bound: 3 }] }), ['S22'])
    assert.deepEqual(rules({ peaks: [...good.peaks, { what: 'bytes c>u', peak: 101, bound: 100 }] }), ['S22'])
    assert.deepEqual(rules({ peaks: [...good.peaks, { what: 'letters', peak: 80_001, bound: 80_000 }] }), ['S22'])
  })
})

describe('M1: a run in which little came to its end', () => {
  const call = (more: Partial<Call>): Call => ({ node: 'u', operation: 'run', job: '', key: 'k', startedMs: 0, ...more })
  const reason = (...calls: Partial<Call>[]): string | undefined => {
    const history = new History()
    history.calls.push(...calls.map(call))
    return voidReason(history)
  }
  const well = { endedMs: 5, value: 1 }

  it('counts what was answered, also with what was asked for', () => {
    assert.equal(reason(well, {}), undefined)
    assert.equal(reason({ endedMs: 5, code: 'TASK_FAILED' }), undefined)
    assert.equal(reason({ endedMs: 5, code: 'JOB_ID_REUSED' }, {}), undefined)
  })

  it('is void without operations, without answers, or with refusals', () => {
    assert.match(reason() ?? '', /^void/)
    assert.match(reason(well, {}, {}) ?? '', /^void/)
    assert.match(reason(well, { code: 'CONNECTION_LOST' }, { endedMs: 5, code: 'OVERLOADED' }) ?? '', /^void/)
  })
})
