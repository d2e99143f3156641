// Holds the simulator's checkers to histories made by hand: each illegal one must be flagged, each legal one must pass.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkDurability, checkEnds } from '../../simulator/checkers/answers.ts'
import { checkEpochs, checkInputs, checkOnce, checkPoison } from '../../simulator/checkers/executions.ts'
import { checkJobs, type JobInput, jobModel } from '../../simulator/checkers/jobs.ts'
import { JournalChecker } from '../../simulator/checkers/journal.ts'
import { linearizable } from '../../simulator/checkers/linearizable.ts'
import { MirrorChecker } from '../../simulator/checkers/mirror.ts'
import { type Call, type ExecutionEvent, History } from '../../simulator/history.ts'
import { minimise } from '../../simulator/shrink.ts'
import type { DurableRow } from '../../simulator/world/cluster-store.ts'
import { apply, createState, type State } from '../../src/core/index.ts'
import type { FlowStep, JournalRecord } from '../../src/protocol/index.ts'
import { plan } from '../fakes/plans.ts'
import { chunkOf } from '../fakes/values.ts'
import {
  added,
  assigned,
  claimed,
  finished,
  inputs,
  joined,
  journal,
  lane,
  life,
  over,
  rechain,
  results,
  rulesOf,
  run,
  submitted,
} from './histories.ts'

function step(needs: FlowStep['needs']): FlowStep {
  return { kind: 'tasks', stage: 0, count: 1, name: '', amount: 0, needs }
}

function started(atMs: number, more: Partial<ExecutionEvent['execution']> = {}): ExecutionEvent {
  const fate = { key: 'k', ms: 1 }
  return {
    atMs,
    what: 'started',
    execution: { worker: 'w', boot: 1, job: 'j', stage: 0, index: 0, attempt: 1, epoch: 1, lane, fate, ...more },
  }
}

describe("the journal's checker", () => {
  const good = { records: life, payloads: inputs }

  it('passes a whole life', () => {
    assert.deepEqual(rulesOf(journal(good, { records: [finished, over], payloads: results, drops: [1] })), [])
  })

  it('S1: a second leader of an epoch, an epoch without a claim', () => {
    assert.deepEqual(rulesOf(journal({ records: [claimed(1)] }, { records: [claimed(1)] })), ['S1'])
    assert.ok(rulesOf(journal({ records: [claimed(1)] }, { epoch: 2, records: [{ kind: 'TimePassed', nowMs: 9 }] })).includes('S1'))
    assert.deepEqual(rulesOf(journal({ records: [joined] })), ['S1'])
  })

  it('S2: a row of a deposed leader', () => {
    const late = { epoch: 1, records: [{ kind: 'TimePassed', nowMs: 99 } as const] }
    assert.ok(rulesOf(journal({ records: [claimed(1)] }, { epoch: 2, records: [claimed(2)] }, late)).includes('S2'))
  })

  it('S5: a gap, a broken chain, bytes that are no records', () => {
    const two = () => journal({ records: [claimed(1)] }, { records: [{ kind: 'TimePassed', nowMs: 9 }] })
    const gap = two()
    gap[1]!.firstIndex = 5
    assert.deepEqual(rulesOf(rechain(gap)), ['S5'])
    const chain = two()
    chain[1] = { ...rechain([chain[1]!])[0]! }
    assert.deepEqual(rulesOf(chain), ['S5'])
    const bytes = two()
    bytes[0]!.records = Buffer.from([250, 1, 2])
    assert.deepEqual(rulesOf(rechain(bytes)), ['S5'])
    const headless = two().slice(1)
    assert.ok(rulesOf(headless).includes('S5'))
  })

  it('S5: a row whose hash is not that of its records, its head or its payloads', () => {
    const changes: ((row: DurableRow) => void)[] = [
      row => {
        row.records = Uint8Array.from(row.records, (byte, at) => (at === row.records.length - 1 ? byte ^ 1 : byte))
      },
      row => {
        row.epoch = 2
      },
      row => {
        row.payloads = new Map([[1, chunkOf([{ key: 'k', ms: 2 }])]])
      },
      row => {
        row.hash = Buffer.alloc(32, 7)
      },
    ]
    for (const change of changes) {
      const [row] = journal(good)
      change(row!)
      assert.ok(rulesOf([row!]).includes('S5'))
    }
  })

  it('S4, S9 to S12, S14: what a task and a job cannot live through', () => {
    const rules = (...records: JournalRecord[]): string[] => rulesOf(journal(good, { records, payloads: results }))
    assert.deepEqual(rules(submitted), ['S4'])
    assert.deepEqual(rules({ ...assigned, lane: lane + 1 }), ['S10'])
    assert.deepEqual(rules({ ...finished, lane: lane + 1 }), ['S12'])
    assert.deepEqual(rules(finished, over, over), ['S11'])
    const two: JournalRecord[] = [claimed(1), joined, submitted, { ...added, count: 2 }, assigned]
    const second: JournalRecord = { ...assigned, lane: lane + 1, runs: [{ ...run, first: 1 }] }
    const pair = new Map([
      [
        1,
        chunkOf([
          { key: 'k', ms: 1 },
          { key: 'l', ms: 1 },
        ]),
      ],
    ])
    assert.deepEqual(rulesOf(journal({ records: [...two, second], payloads: pair })), ['S14'])
  })

  it('S9: a result that the task cannot give', () => {
    assert.deepEqual(rulesOf(journal(good, { records: [finished], payloads: new Map([[2, chunkOf(['result of another'])]]) })), ['S9'])
    assert.deepEqual(rulesOf(journal(good, { records: [finished] })), ['S9'])
  })

  it('S9: an entry without the result of its task, and a result without its entry', () => {
    const entry: JournalRecord = {
      ...{ kind: 'EntriesWritten', session: '', number: 0, before: 0 },
      writes: [{ space: 'committed', key: 'k', payload: 3, bytes: 1 }],
    }
    const rules = (...rows: JournalRecord[][]): string[] => {
      const history = new History()
      history.fates.set('k', { key: 'k', ms: 1, commits: true })
      history.rows = journal(
        good,
        ...rows.map((records, at) => ({ records, payloads: at === 0 ? results : new Map<number, Uint8Array>() })),
      )
      new JournalChecker(history).check()
      return history.violations.map(one => one.rule)
    }
    assert.deepEqual(rules([finished, entry]), [])
    assert.deepEqual(rules([finished]), ['S9'])
    assert.deepEqual(rules([finished], [entry]), ['S9', 'S9'])
  })

  it('S3: a step that begins before what it needs is durable', () => {
    const flow = { output: 1, steps: [step([]), step([{ kind: 'value', step: 0 }])] }
    const steps: JournalRecord[] = [
      { kind: 'FlowSubmitted', plan: plan('j') },
      { ...added, count: 2 },
      { kind: 'StepsAdded', job: 'j', parent: undefined, flow },
    ]
    const pair = chunkOf([
      { key: 'k', ms: 1 },
      { key: 'l', ms: 1 },
    ])
    const rules = (startedMs: number): string[] => {
      const history = new History()
      const second: JournalRecord = { ...assigned, lane: lane + 1, runs: [{ ...run, first: 1 }] }
      history.rows = journal(
        { records: [claimed(1), joined, ...steps, assigned], payloads: new Map([[1, pair]]) },
        { records: [finished, second], payloads: results },
        { records: [{ kind: 'TimePassed', nowMs: 99 }] },
      )
      history.executions.push(started(startedMs, { index: 1, lane: lane + 1 }))
      new JournalChecker(history).check()
      return history.violations.map(one => one.rule)
    }
    assert.deepEqual(rules(25), [])
    assert.deepEqual(rules(15), ['S3'])
  })

  it('S19: a second cluster in one journal', () => {
    assert.deepEqual(rulesOf(journal({ records: [claimed(1)] }, { epoch: 2, records: [claimed(2, 'two')] })), ['S19'])
  })

  it('S20: inputs that are needed are dropped', () => {
    assert.deepEqual(rulesOf(journal(good, { records: [{ kind: 'TimePassed', nowMs: 9 }], drops: [1] })), ['S20'])
  })
})

describe('S6: the mirror', () => {
  it('flags another state than a replay, and a journal that cannot be replayed', () => {
    const history = new History()
    history.rows = journal({ records: [claimed(1), joined] })
    const mirror = new MirrorChecker(history)
    const state = createState()
    for (const record of [claimed(1), joined]) apply(state, record)
    mirror.durable(history.rows[0]!)
    mirror.live('c1', state)
    mirror.finish()
    assert.equal(history.violations.length, 0)
    state.nowMs += 1
    mirror.finish()
    assert.deepEqual(
      history.violations.map(one => one.rule),
      ['S6'],
    )
    mirror.durable({ ...history.rows[0]!, firstIndex: 9 })
    assert.equal(history.violations.length, 2)
  })
})

describe('S6: standbys', () => {
  const rows = journal({ records: [claimed(1), joined] }, { epoch: 2, records: [{ ...claimed(2), leader: 'c2' }] })
  /** c2 has applied the first row when it says so; what was found, also when it claims. */
  const found = (standby: (state: State) => void, claims = false): string[] => {
    const history = new History()
    history.rows = rows
    const mirror = new MirrorChecker(history)
    mirror.durable(rows[0]!)
    const state = createState()
    for (const record of [claimed(1), joined]) apply(state, record)
    if (!claims) standby(state)
    mirror.live('c2', state)
    if (claims) standby(state)
    if (claims) mirror.durable(rows[1]!)
    return history.violations.map(one => one.rule)
  }

  it('passes one that holds what a replay holds', () => {
    assert.deepEqual(
      found(() => {}),
      [],
    )
    assert.deepEqual(
      found(() => {}, true),
      [],
    )
  })

  it('flags another state while it stands by', () => {
    const changes: ((state: State) => void)[] = [
      state => {
        state.nowMs += 1
      },
      state => {
        state.membership.workers.get('w')!.pid = 9
      },
      state => {
        state.membership.workers.delete('w')
      },
    ]
    for (const change of changes) assert.deepEqual(found(change), ['S6'])
  })

  it('flags another state right before a takeover, and a claim without the newest records', () => {
    const changes: ((state: State) => void)[] = [
      state => {
        state.tasks.nextLane += 1
      },
      state => {
        state.nextPayload += 1
      },
      state => {
        state.index -= 1
      },
    ]
    for (const change of changes) assert.deepEqual(found(change, true), ['S6'])
  })

  it('leaves alone one that is behind, and one that died while it claimed', () => {
    assert.deepEqual(
      found(state => {
        state.index -= 1
      }),
      [],
    )
    const history = new History()
    history.rows = rows
    const mirror = new MirrorChecker(history)
    mirror.durable(rows[0]!)
    mirror.live('c2', createState())
    mirror.gone('c2')
    mirror.durable(rows[1]!)
    assert.deepEqual(history.violations, [])
  })
})

describe('S3 and the ends of jobs', () => {
  const call = (over_: Partial<Call>): Call => ({
    node: 'u',
    operation: 'submit',
    job: 'j',
    key: 'k',
    startedMs: 0,
    endedMs: 50,
    value: true,
    ...over_,
  })
  const rules = (calls: Partial<Call>[]): string[] => {
    const history = new History()
    history.rows = journal({ records: life, payloads: inputs }, { records: [finished, over], payloads: results })
    history.calls.push(...calls.map(call))
    history.expected.set('j', { job: 'j', fates: [], ends: 'succeeded', mayBeCancelled: false })
    const checker = new JournalChecker(history)
    checker.check()
    checkDurability(history, checker.facts)
    checkEnds(history, checker.facts)
    return history.violations.map(one => one.rule)
  }

  it('passes what was durable before', () => {
    assert.deepEqual(rules([{}, { operation: 'run' }, { operation: 'status', value: 'succeeded' }, { operation: 'cancel' }]), [])
  })

  it('flags each acknowledgement that came too early', () => {
    assert.deepEqual(rules([{ endedMs: 5 }]), ['S3'])
    assert.deepEqual(rules([{ job: 'unknown' }]), ['S3'])
    assert.deepEqual(rules([{ operation: 'run', endedMs: 15 }]), ['S3'])
    assert.deepEqual(rules([{ operation: 'cancel', endedMs: 15 }]), ['S3'])
    assert.deepEqual(rules([{ operation: 'status', value: 'succeeded', endedMs: 15 }]), ['S3'])
  })

  it('flags a job that ended otherwise than its tasks', () => {
    const history = new History()
    history.expected.set('j', { job: 'j', fates: [], ends: 'failed', mayBeCancelled: false })
    history.rows = journal({ records: life, payloads: inputs }, { records: [finished, over], payloads: results })
    const checker = new JournalChecker(history)
    checker.check()
    checkEnds(history, checker.facts)
    assert.deepEqual(
      history.violations.map(one => one.rule),
      ['S11'],
    )
  })
})

describe('S8, L7 and N1: executions', () => {
  const event = (atMs: number, epoch = 1, more: object = {}): ExecutionEvent => ({
    ...{ atMs, what: 'started' },
    execution: {
      worker: 'w',
      boot: 1,
      job: 'j',
      stage: 0,
      index: 0,
      attempt: 1,
      epoch,
      lane: epoch * 2 ** 32 + 1,
      fate: { key: 'k', ms: 1 },
      ...more,
    },
  })
  const { facts } = new JournalChecker(new History())

  it('S8: an order of a deposed leader is obeyed, an epoch goes back', () => {
    const history = new History()
    history.staleOrders.push({ atMs: 5, worker: 'w', lane, epoch: 1 })
    checkEpochs(history, facts)
    assert.equal(history.violations.length, 0)
    history.executions.push(event(6))
    checkEpochs(history, facts)
    for (const epoch of [1, 3, 2]) history.epochs.push({ atMs: epoch, worker: 'v', cluster: 'one', epoch })
    checkEpochs(history, facts)
    assert.deepEqual([...new Set(history.violations.map(one => one.text.slice(0, 12)))], ['w obeys the ', 'v goes back '])
  })

  it('S9: a task gets other values than those that its step needs', () => {
    const history = new History()
    history.inputs.set('j/0/0', ['a', 'b'])
    history.executions.push(started(1, { got: ['a', 'b'] }), started(2))
    checkInputs(history)
    assert.equal(history.violations.length, 0)
    for (const got of [['b', 'a'], ['a'], []]) history.executions.push(started(3, { got }))
    checkInputs(history)
    assert.deepEqual(
      history.violations.map(one => one.rule),
      ['S9', 'S9', 'S9'],
    )
  })

  it('L7: a task that kills is run again and again', () => {
    const history = new History()
    for (let i = 0; i < 3; i++) history.executions.push(event(i, 1, { fate: { key: 'k', ms: 1, poison: true } }))
    checkPoison(history, facts)
    assert.equal(history.violations.length, 0)
    for (let i = 0; i < 9; i++) history.executions.push(event(i, 1, { fate: { key: 'k', ms: 1, poison: true } }))
    checkPoison(history, facts)
    assert.equal(history.violations[0]?.rule, 'L7')
  })

  it('N1: an attempt runs twice where only leaders die, and not where workers may', () => {
    const history = new History()
    history.executions.push(event(1), event(2, 1, { lane: lane + 1 }))
    checkOnce(history, facts, ['crash-worker'], 0)
    assert.equal(history.violations.length, 0)
    checkOnce(history, facts, ['crash-candidate'], 0)
    assert.equal(history.violations[0]?.rule, 'N1')
  })

  it('N1: what ran for a leader whose death took the job, or what its stage waits for, is not counted', () => {
    const history = new History()
    history.executions.push(event(1, 1), event(2, 2))
    for (const lost of [
      { addedEpochs: new Map([['j/0/0', 2]]) },
      { producers: new Map([['j/0', ['j/1']]]), resultEpochs: new Map([['j/1', 2]]) },
    ])
      checkOnce(history, { ...facts, ...lost }, ['crash-candidate'], 0)
    assert.equal(history.violations.length, 0)
    checkOnce(history, { ...facts, addedEpochs: new Map([['j/0/0', 1]]) }, ['crash-candidate'], 0)
    assert.equal(history.violations[0]?.rule, 'N1')
  })

  it('N1: what stood in a lane behind something that died with its leader is not counted', () => {
    const history = new History()
    history.executions.push(event(1, 1, { job: 'lost' }), event(2, 1), event(3, 2, { lane: lane + 1 }))
    checkOnce(history, { ...facts, addedEpochs: new Map([['lost/0/0', 2]]) }, ['crash-candidate'], 0)
    assert.equal(history.violations.length, 0)
    checkOnce(history, { ...facts, addedEpochs: new Map([['lost/0/0', 1]]) }, ['crash-candidate'], 0)
    assert.equal(history.violations[0]?.rule, 'N1')
  })
})

describe('S7: linearizability', () => {
  const at = (startedMs: number, endedMs: number, input: JobInput, unsure = false) => ({ startedMs, endedMs, input, unsure })
  const status = (state: string): JobInput => ({ kind: 'status', state })
  const submit: JobInput = { kind: 'submit', content: 'a' }
  const ends = at(0, Number.POSITIVE_INFINITY, { kind: 'ends', state: 'succeeded' }, true)
  const judged = (...operations: ReturnType<typeof at>[]): boolean | undefined => linearizable([...operations, ends], '', jobModel)

  it('finds the order of what overlaps', () => {
    assert.equal(judged(at(0, 10, submit), at(5, 15, status('running')), at(6, 20, { kind: 'missing' })), true)
    assert.equal(judged(at(0, Number.POSITIVE_INFINITY, submit, true), at(50, 60, status('running'))), true)
  })

  it('flags what no order explains', () => {
    assert.equal(judged(at(0, 10, submit), at(20, 30, { kind: 'missing' })), false)
    assert.equal(judged(at(0, 10, submit), at(20, 30, { kind: 'cancel' }), at(40, 50, status('succeeded'))), true)
    assert.equal(judged(at(0, 10, submit), at(20, 30, { kind: 'cancel' }), at(40, 50, status('running'))), false)
    assert.equal(judged(at(0, 10, submit), at(20, 30, status('succeeded')), at(40, 50, status('running'))), false)
    assert.equal(judged(at(0, 10, submit), at(20, 30, { kind: 'submit', content: 'b' })), false)
  })

  it('flags an end that is taken back, a cancel of what never was, an answer before its question', () => {
    assert.equal(judged(at(0, 10, submit), at(20, 30, status('cancelled'))), false, 'nobody cancelled it')
    assert.equal(judged(at(0, 10, { kind: 'cancel' })), false)
    assert.equal(judged(at(0, 10, { kind: 'reused', content: 'b' })), false)
    assert.equal(judged(at(0, 10, submit), at(20, 30, { kind: 'reused', content: 'a' })), false)
    assert.equal(judged(at(0, 10, status('running')), at(20, 30, submit)), false)
    assert.equal(judged(at(0, 10, submit), at(20, 30, status('succeeded')), at(40, 50, { kind: 'missing' })), false)
    // Two that overlap may each be seen by others in one order only.
    const either = [at(0, 100, submit), at(0, 100, { kind: 'submit', content: 'b' })]
    assert.equal(judged(...either), false)
    assert.equal(judged(at(0, 100, submit), at(0, 100, { kind: 'reused', content: 'b' }), at(50, 60, { kind: 'missing' })), true)
  })

  it('M5: no answer within the limit of steps is a failure', () => {
    const operations = [at(0, 10, submit), at(0, 10, status('running')), at(0, 10, { kind: 'missing' })]
    assert.equal(linearizable([...operations, ends], '', jobModel, 2), undefined)
    assert.equal(linearizable([...operations, ends], '', jobModel, 100), true)
    const history = new History()
    const calls = Array.from({ length: 40 }, (_, index): Call => {
      const operation = index % 3 === 0 ? 'status' : 'cancel'
      return { node: 'u', operation, job: 'j', key: 'a', startedMs: 0, endedMs: 50, value: index % 2 ? 'succeeded' : 'cancelled' }
    })
    history.calls.push({ ...calls[0]!, operation: 'submit', value: true }, ...calls)
    checkJobs(history, 5)
    assert.deepEqual(
      history.violations.map(one => one.rule),
      ['M5'],
    )
  })

  it('is asked of each job by itself', () => {
    const history = new History()
    const made = (operation: Call['operation'], value: unknown, startedMs: number): Call => ({
      ...{ node: 'u', operation, job: 'j', key: 'a', startedMs, endedMs: startedMs + 5, value },
    })
    history.calls.push(made('submit', true, 0), made('status', 'succeeded', 10))
    checkJobs(history)
    assert.equal(history.violations.length, 0)
    history.calls.push(made('status', 'running', 20))
    checkJobs(history)
    assert.equal(history.violations[0]?.rule, 'S7')
  })
})

describe('shrinking', () => {
  it('finds the two faults that matter among twenty', async () => {
    const found = await minimise([...Array(20).keys()], async rest => rest.includes(3) && rest.includes(17))
    assert.deepEqual(found, [3, 17])
  })
})
