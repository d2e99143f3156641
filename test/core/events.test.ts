// Shows by scenarios who gets an event: runs of triggers, steps that wait, each once, and what becomes of what it brought.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Reply } from '../../src/core/commands.ts'
import { Story } from '../../src/core/views/story.ts'
import { viewTriggers } from '../../src/core/views/triggers.ts'
import { why } from '../../src/core/views/why.ts'
import type { TriggerSpec } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import { chunkOf, plan, program } from '../fakes/plans.ts'
import { runOf } from './event-steps.ts'
import { type Harness, scenario } from './harness.ts'

function on(cluster: Harness, trigger: string, more: Partial<TriggerSpec> & { task?: string; replace?: boolean } = {}): Reply {
  const { task = 'started', replace = false, ...rest } = more
  const spec = { trigger, contentHash: task.padEnd(64, 'a'), event: 'paid', key: '', name: task, programs: [program], ...rest }
  const listensFor = spec.key === '' ? spec.event : `${spec.event}#${spec.key}`
  return cluster.ask({ kind: 'setTrigger', spec, submission: runOf(trigger, listensFor, task), replace })
}

function emit(cluster: Harness, id: string, more: { event?: string; key?: string; items?: Uint8Array } = {}): [number, number] {
  const reply = cluster.ask({ kind: 'emit', event: 'paid', key: '', id, items: chunkOf(['payload']), ...more })
  cluster.settle()
  assert(reply.kind === 'emitted', JSON.stringify(reply))
  return [reply.started, reply.woken]
}

/** A workflow whose only step, but for the last, waits for an event; `first`: behind a task. */
function waiter(cluster: Harness, job: string, listensFor: string, more: { first?: boolean; amount?: number } = {}): void {
  const flow = new Steps()
  const before = more.first ? ([['after', flow.add([], { task: 'first' })]] as const) : []
  flow.add([['value', flow.add(before, { kind: 'event', name: listensFor, amount: more.amount ?? 0 })]], { task: 'gets' })
  cluster.ask({ kind: 'submitJob', plan: plan(job, { stages: flow.stages }), inputs: flow.inputs, flow: flow.plan })
  cluster.settle()
}

function statusOf(cluster: Harness, job: string, step: number): string {
  return cluster.state.jobs.byId.get(job)!.flow!.status(step)
}

describe('an event', () => {
  it(
    'starts one run of each trigger that it is for, and no other',
    scenario(cluster => {
      cluster.join('w', 4)
      on(cluster, 'all')
      on(cluster, 'mine', { key: 'order-1' })
      on(cluster, 'other', { key: 'order-2' })
      on(cluster, 'else', { event: 'shipped' })
      assert.deepEqual(emit(cluster, 'e1', { key: 'order-1' }), [2, 0])
      assert.deepEqual(emit(cluster, 'e2'), [1, 0])
      cluster.finishAll()
      for (const job of ['all@e1', 'mine@e1', 'all@e2']) assert.equal(cluster.jobState(job), 'succeeded')
      assert.deepEqual([cluster.jobState('other@e1'), cluster.jobState('mine@e2')], [undefined, undefined])
    }),
  )

  it(
    'counts once, whoever leads when it is sent again',
    scenario(cluster => {
      cluster.join('w', 4)
      on(cluster, 'all')
      waiter(cluster, 'waits', 'paid')
      assert.deepEqual(emit(cluster, 'e1'), [1, 1])
      cluster.takeOver()
      waiter(cluster, 'late', 'paid')
      assert.deepEqual(emit(cluster, 'e1'), [1, 1], 'it is answered as it was')
      assert.equal(statusOf(cluster, 'late', 0), 'open')
      assert.equal(cluster.of('EventEmitted').length, 1)
      assert.deepEqual(emit(cluster, 'e1', { event: 'shipped' }), [0, 0], 'ids are those of their event')
    }),
  )

  it(
    'is done whole or not at all where its leader dies in it',
    scenario(cluster => {
      on(cluster, 'all')
      waiter(cluster, 'waits', 'paid')
      cluster.dieIn(() => emit(cluster, 'e1'))
      assert.equal(cluster.jobState('all@e1'), undefined)
      assert.equal(statusOf(cluster, 'waits', 0), 'open')
      assert.deepEqual(emit(cluster, 'e1'), [1, 1])
    }),
  )

  it(
    'wakes every step that waits for its name, or for its name and key',
    scenario(cluster => {
      cluster.join('w', 4)
      waiter(cluster, 'any', 'paid')
      waiter(cluster, 'mine', 'paid#order-1')
      waiter(cluster, 'other', 'paid#order-2')
      assert.deepEqual(emit(cluster, 'e1', { key: 'order-1' }), [0, 2])
      cluster.finishAll()
      assert.deepEqual(
        ['any', 'mine', 'other'].map(job => cluster.jobState(job)),
        ['succeeded', 'succeeded', 'running'],
      )
      assert.deepEqual(emit(cluster, 'e2', { key: 'order-3' }), [0, 0])
    }),
  )

  it(
    'is kept for a step whose turn has not come, and lost on one that was submitted later',
    scenario(cluster => {
      waiter(cluster, 'early', 'paid', { first: true })
      assert.deepEqual(emit(cluster, 'e1'), [0, 1])
      waiter(cluster, 'late', 'paid', { first: true })
      assert.equal(statusOf(cluster, 'early', 1), 'waiting')
      cluster.takeOver()
      cluster.join('w', 4)
      cluster.finishAll()
      assert.deepEqual([cluster.jobState('early'), statusOf(cluster, 'late', 1)], ['succeeded', 'open'])
      assert.deepEqual(emit(cluster, 'e2'), [0, 1], 'a step has one event')
    }),
  )

  it(
    'comes in time or not at all, and that can be told apart',
    scenario(cluster => {
      waiter(cluster, 'short', 'paid', { amount: 100 })
      waiter(cluster, 'long', 'paid', { amount: 10_000 })
      cluster.advance(100)
      assert.deepEqual(emit(cluster, 'e1'), [0, 1])
      assert.equal(cluster.state.delayed.size, 0, 'nobody waits for a time any more')
      cluster.join('w', 4)
      cluster.finishAll()
      assert.deepEqual([cluster.jobState('short'), cluster.jobState('long')], ['failed', 'succeeded'])
      const reason = cluster.of('JobFinished').find(one => one.job === 'short')!.state
      assert.equal(reason, 'failed')
    }),
  )

  it(
    'is not for steps that were given up, or whose job was cancelled',
    scenario(cluster => {
      waiter(cluster, 'cancelled', 'paid')
      const flow = new Steps()
      const test = flow.add([], { task: 'test' })
      flow.add([['untaken', test]], { kind: 'event', name: 'paid' })
      flow.add([['taken', test]], { kind: 'event', name: 'paid' })
      flow.output = test
      cluster.ask({ kind: 'submitJob', plan: plan('branch', { stages: flow.stages }), inputs: flow.inputs, flow: flow.plan })
      cluster.cancel('cancelled')
      cluster.join('w')
      cluster.finishAll()
      assert.deepEqual(emit(cluster, 'e1'), [0, 1])
      assert.equal(cluster.state.events.listeners.size, 0)
      cluster.finishAll()
      assert.equal(cluster.jobState('branch'), 'succeeded')
    }),
  )

  it(
    'stores what it brings once for all who get it, and lets go of it with the last of them',
    scenario(
      cluster => {
        cluster.join('w', 4)
        for (const name of ['one', 'two', 'three']) on(cluster, name)
        waiter(cluster, 'waits', 'paid')
        const before = cluster.payloads.size
        emit(cluster, 'e1')
        assert.equal(cluster.payloads.size, before + 2, 'what the runs get, and the payload')
        const { payload } = cluster.of('EventEmitted')[0]!
        assert.deepEqual(
          [...cluster.state.payloadUses],
          [
            [payload! - 1, 3],
            [payload!, 4],
          ],
        )
        cluster.finishAll()
        // Inputs of workflows are kept with their results, so that one that failed can go on.
        assert.equal(cluster.state.payloadUses.get(payload! - 1), 3)
        cluster.cancel('waits')
        cluster.advance(100_000_000)
        cluster.submit('next')
        cluster.finishAll()
        assert.equal(cluster.jobState('one@e1'), undefined, 'its retention is over')
        assert.equal(cluster.state.payloadUses.size, 0)
        assert.equal(cluster.state.jobs.resultBytes, cluster.state.jobs.byId.get('next')!.stages[0]!.results.find(0)!.bytes)
      },
      { limits: { finishedJobAgeMs: 1000 } },
    ),
  )

  it(
    'stores nothing where nobody receives it',
    scenario(cluster => {
      assert.deepEqual(emit(cluster, 'e1'), [0, 0])
      assert.equal(cluster.of('EventEmitted')[0]!.payload, undefined)
      on(cluster, 'all')
      assert.deepEqual(emit(cluster, 'e1'), [0, 0], 'it came before')
      assert.deepEqual(emit(cluster, 'e2'), [1, 0])
    }),
  )

  it(
    'is refused as a whole where its runs are more than the cluster takes',
    scenario(
      cluster => {
        for (const name of ['one', 'two', 'three']) on(cluster, name)
        waiter(cluster, 'waits', 'paid')
        const command = { kind: 'emit' as const, event: 'paid', key: '', id: 'e1', items: chunkOf(['payload']) }
        assert.equal(cluster.refused(command), 'OVERLOADED')
        assert.equal(statusOf(cluster, 'waits', 0), 'open')
        cluster.cancel('waits')
        assert.deepEqual(emit(cluster, 'e1'), [3, 0], 'with the same id it is sent again')
      },
      { limits: { runningJobsMax: 3 } },
    ),
  )

  it(
    'is remembered for as long and among as many as the limits say',
    scenario(
      cluster => {
        on(cluster, 'all')
        for (const id of ['e1', 'e2', 'e3']) emit(cluster, id)
        assert.deepEqual([...cluster.state.events.seen.keys()], ['paid#e2', 'paid#e3'])
        // Its run is known still: it has no other.
        assert.deepEqual(emit(cluster, 'e1'), [0, 0])
        cluster.advance(5001)
        emit(cluster, 'e9')
        assert.deepEqual([...cluster.state.events.seen.keys()], ['paid#e9'])
      },
      { limits: { eventIdsMax: 2, eventIdAgeMs: 5000 } },
    ),
  )

  it(
    'is refused where its name, key, id or value cannot be',
    scenario(cluster => {
      const command = { kind: 'emit' as const, event: 'paid', key: '', id: 'e1', items: chunkOf(['payload']) }
      for (const wrong of [{ event: '' }, { event: 'a#b' }, { event: 'x'.repeat(65) }, { key: 'k'.repeat(129) }, { id: '' }, { id: 'a b' }])
        assert.equal(cluster.refused({ ...command, ...wrong }), 'INVALID_ARGUMENT')
      for (const items of [chunkOf([]), chunkOf(['one', 'two']), Buffer.from('no chunk')])
        assert.equal(cluster.refused({ ...command, items }), 'FRAME_MALFORMED')
    }),
  )
})

describe('a trigger', () => {
  it(
    'is made once, refused as another one, replaced on purpose, and deleted',
    scenario(cluster => {
      on(cluster, 'all')
      on(cluster, 'all')
      assert.equal(cluster.of('TriggerSet').length, 1)
      const other = on(cluster, 'all', { task: 'other' })
      assert.equal(other.kind === 'refused' && other.error.code, 'TRIGGER_CHANGED')
      emit(cluster, 'e1')
      on(cluster, 'all', { task: 'other', event: 'shipped', replace: true })
      assert.deepEqual(
        [emit(cluster, 'e2'), emit(cluster, 'e2', { event: 'shipped' })],
        [
          [0, 0],
          [1, 0],
        ],
      )
      assert.equal(cluster.state.jobs.byId.get('all@e2')!.stages[0]!.plan.task, 'other')
      const [view] = viewTriggers(cluster.state, {})
      assert.deepEqual([view!.started, view!.lastJob, view!.event, view!.runs], [2, 'all@e2', 'shipped', 'other'])
      cluster.ask({ kind: 'changeTrigger', trigger: 'all', change: 'delete' })
      assert.deepEqual(emit(cluster, 'e3', { event: 'shipped' }), [0, 0])
      assert.equal(cluster.refused({ kind: 'changeTrigger', trigger: 'all', change: 'pause' }), 'NOT_FOUND')
      assert.deepEqual(viewTriggers(cluster.state, { name: 'all' }), [])
    }),
  )

  it(
    'starts nothing while it is paused, nor for events that came meanwhile',
    scenario(cluster => {
      on(cluster, 'all')
      for (const change of ['pause', 'pause'] as const) cluster.ask({ kind: 'changeTrigger', trigger: 'all', change })
      assert.equal(cluster.of('TriggerPaused').length, 1)
      assert.deepEqual(emit(cluster, 'e1'), [0, 0])
      cluster.takeOver()
      cluster.ask({ kind: 'changeTrigger', trigger: 'all', change: 'resume' })
      assert.deepEqual(
        [emit(cluster, 'e1'), emit(cluster, 'e2')],
        [
          [0, 0],
          [1, 0],
        ],
      )
    }),
  )

  it(
    'has the limits that are named, and keeps its program',
    scenario(
      cluster => {
        on(cluster, 'one')
        const more = on(cluster, 'two')
        assert.equal(more.kind === 'refused' && more.error.code, 'OVERLOADED')
        cluster.advance(60_000)
        assert(cluster.state.programs.byId.has(program))
        cluster.ask({ kind: 'changeTrigger', trigger: 'one', change: 'delete' })
        cluster.advance(60_000)
        assert(!cluster.state.programs.byId.has(program))
        const missing = on(cluster, 'one')
        assert.equal(missing.kind === 'refused' && missing.error.code, 'PROGRAM_MISSING')
      },
      { limits: { triggersMax: 1, programIdleMs: 1000 } },
    ),
  )

  it(
    'has at most a hundred others of its event and key',
    scenario(cluster => {
      for (let i = 0; i < 100; i++) on(cluster, `on-${i}`)
      const more = on(cluster, 'more')
      assert.equal(more.kind === 'refused' && more.error.code, 'OVERLOADED')
      on(cluster, 'keyed', { key: 'order-1' })
      on(cluster, 'on-7', { task: 'other', replace: true })
      assert.deepEqual(emit(cluster, 'e1', { key: 'order-1' }), [101, 0])
    }),
  )

  it(
    'is refused where its runs would not begin with its event, or its names cannot be',
    scenario(cluster => {
      const spec = { trigger: 'all', contentHash: 'a'.repeat(64), event: 'paid', key: '', name: 'x', programs: [program] }
      const ask = (more: Partial<TriggerSpec>, submission = runOf('all', 'paid')): string =>
        cluster.refused({ kind: 'setTrigger', spec: { ...spec, ...more }, submission, replace: false })
      assert.equal(ask({ event: 'shipped' }), 'INVALID_TRIGGER')
      assert.equal(ask({ event: 'a#b' }), 'INVALID_TRIGGER')
      assert.equal(ask({ trigger: 'x'.repeat(81) }), 'INVALID_TRIGGER')
      assert.equal(ask({}, Buffer.from('nothing')), 'FRAME_MALFORMED')
    }),
  )

  it(
    'and its events are told',
    scenario(cluster => {
      cluster.join('w')
      on(cluster, 'all', { key: 'order-1' })
      waiter(cluster, 'waits', 'paid#order-2')
      assert.match(why(cluster.state, cluster.observed, 'waits')[0]!.text, /waits for the event paid with the key order-2/)
      emit(cluster, 'e1', { key: 'order-1' })
      emit(cluster, 'e2', { event: 'unheard' })
      cluster.ask({ kind: 'changeTrigger', trigger: 'all', change: 'pause' })
      cluster.ask({ kind: 'changeTrigger', trigger: 'all', change: 'resume' })
      cluster.ask({ kind: 'changeTrigger', trigger: 'all', change: 'delete' })
      const told = (id: string): string[] => {
        const story = new Story(id, 100)
        for (const [index, record] of cluster.records.entries()) story.next(index + 1, 1, record)
        return story.lines.map(line => line.text)
      }
      assert.deepEqual(told('all'), [
        'made: paid with the key order-1 starts started',
        'submitted all@e1: event paid, id e1, with the key order-1',
        'paused',
        'resumed',
        'deleted',
      ])
      assert(told('all@e1').includes('is a run of the trigger all: event paid, id e1, with the key order-1'))
      assert.match(told('paid')[0]!, /bytes, started all@e1$/)
      assert.deepEqual(told('e2'), ['event unheard, id e2, received by nobody'])
    }),
  )
})
