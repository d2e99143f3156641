// Owns the scenarios of the worker's machine: what it is told, and what it must answer, word for word.
// Must not start processes or timers: time is a number here.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Chunk, type Outcome, outcomeTasks, type Run } from '../../src/protocol/index.ts'
import { type Instruction, Machine, type MachineEvent, tuning } from '../../src/worker/machine/index.ts'
import { chunkOf } from '../fakes/values.ts'
import { plan } from './fakes.ts'

const program = 'a'.repeat(64)
const task = plan(program, 'work')
const lane = 7

/** Runs of one stage, each `[first, count]`, with their inputs. */
function tasks(...runs: [first: number, count: number, job?: string][]): { runs: Run[]; inputs: Chunk[] } {
  const inputs = runs.map(([first, count]) => new Chunk(chunkOf(Array.from({ length: count }, (_, i) => first + i))))
  return { runs: runs.map(([first, count, job = 'j']) => ({ job, stage: 0, first, count, attempt: 1 })), inputs }
}

function assign(first: number, count: number, overrides: Partial<Extract<MachineEvent, { kind: 'assigned' }>> = {}): MachineEvent {
  return { kind: 'assigned', epoch: 1, lane, plan: task, ...tasks([first, count]), ...overrides }
}

function finished(count: number, elapsedMicros = count): Outcome {
  return { kind: 'finished', count, items: chunkOf(Array.from({ length: count }, () => 0)), blocks: [], elapsedMicros }
}

/** A short form of instructions, so that scenarios can be read. */
function brief(instruction: Instruction): string {
  switch (instruction.kind) {
    case 'send':
      return `send ${instruction.executor}: ${instruction.batch.lane}/${instruction.batch.from}+${new Chunk(instruction.batch.items).count} g${instruction.batch.generation}`
    case 'report':
      return `report ${instruction.lane}/${instruction.from}: ${instruction.outcomes.map(one => (one.kind === 'failed' ? one.code : `${one.kind} ${outcomeTasks(one)}`)).join(', ')}`
    case 'returnTasks':
      return `return ${instruction.lane}/${instruction.from}`
    case 'start':
      return `start ${instruction.executor}`
    case 'signal':
      return `${instruction.signal} ${instruction.executor}`
    case 'forget':
      return `forget ${instruction.executor}: ${instruction.lane}`
    case 'cancel':
      return `cancel ${instruction.executor}: ${instruction.ranges.map(range => `${range.from}-${range.to}`).join(',')}`
    case 'wake':
      return `wake ${instruction.atMs}`
    default:
      return instruction.kind
  }
}

class Script {
  readonly machine: Machine
  nowMs = 0

  constructor(slots = 1) {
    this.machine = new Machine({ slots, memoryBytes: 1 << 30 })
    this.tell({ kind: 'registered', keep: [] })
  }

  tell(event: MachineEvent, atMs = this.nowMs): string[] {
    this.nowMs = atMs
    return this.machine
      .handle(event, atMs)
      .filter(instruction => instruction.kind !== 'wake')
      .map(brief)
  }

  /** A lane on a ready executor that has been given all it should have. */
  running(tasks: number): this {
    this.tell(assign(0, tasks))
    this.tell({ kind: 'programReady', program })
    this.tell({ kind: 'executorReady', executor: 1 })
    return this
  }

  outcomes(from: number, ...outcomes: Outcome[]): string[] {
    return this.tell({ kind: 'outcomes', executor: 1, lane, from, outcomes })
  }
}

const crash = { started: true, how: 'SIGSEGV', heapFull: false, lastWords: '' }

describe('a lane from its first assignment to its end', () => {
  test('fetches the program, starts an executor, learns how long tasks take, closes when all is acknowledged', () => {
    const script = new Script()
    assert.deepEqual(script.tell(assign(0, 10)), ['fetchProgram'])
    assert.deepEqual(script.tell({ kind: 'programReady', program }), ['start 1'])
    assert.deepEqual(script.tell({ kind: 'executorReady', executor: 1 }), ['send 1: 7/0+1 g0'])
    assert.deepEqual(script.outcomes(0, finished(1)), ['report 7/0: finished 1', 'send 1: 7/1+9 g0'])
    assert.deepEqual(script.outcomes(1, finished(9)), ['report 7/1: finished 9', 'forget 1: 7'])
    assert.deepEqual(script.tell({ kind: 'acknowledged', lanes: [{ lane, count: 9 }] }), [])
    assert.equal(script.machine.lanes, 1)
    assert.deepEqual(script.tell({ kind: 'acknowledged', lanes: [{ lane, count: 10 }] }), [])
    assert.equal(script.machine.lanes, 0)
  })

  test('the batch says which tasks of which run it holds', () => {
    const script = new Script().running(3)
    const [send] = script.machine
      .handle({ kind: 'outcomes', executor: 1, lane, from: 0, outcomes: [finished(1)] }, 5)
      .filter(instruction => instruction.kind === 'send')
    assert.deepEqual(send, {
      kind: 'send',
      executor: 1,
      batch: {
        lane,
        from: 1,
        generation: 0,
        epoch: 1,
        task: 'work',
        timeoutMs: 0,
        runs: [{ job: 'j', stage: 0, first: 1, count: 2, attempt: 1 }],
        items: chunkOf([1, 2]),
      },
    })
  })

  test('runs are not mixed in a batch, and more tasks follow the first ones', () => {
    const script = new Script().running(1)
    assert.deepEqual(script.tell({ kind: 'assigned', epoch: 1, lane, ...tasks([1, 2], [40, 2]) }), [])
    assert.deepEqual(script.outcomes(0, finished(1)), ['report 7/0: finished 1', 'send 1: 7/1+2 g0', 'send 1: 7/3+2 g0'])
  })

  test('more tasks for a lane that is over are not for it: they were counted as returned', () => {
    const script = new Script().running(5)
    script.tell({ kind: 'tick' }, tuning.silenceMs)
    script.outcomes(0, finished(1))
    script.tell({ kind: 'acknowledged', lanes: [{ lane, count: 1 }] })
    assert.deepEqual(script.tell({ kind: 'assigned', epoch: 1, lane, ...tasks([5, 1]) }), [])
    assert.equal(script.machine.lanes, 0)
  })
})

describe('long tasks', () => {
  test('what was not sent goes back after a silence, and the lane is closed for more', () => {
    const script = new Script().running(5)
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.silenceMs), ['return 7/1'])
    assert.deepEqual(script.tell(assign(5, 3)), [])
    assert.deepEqual(script.outcomes(0, finished(1, 500_000)), ['report 7/0: finished 1', 'forget 1: 7'])
  })

  test('nothing goes back while there is nobody to take it, then all of it does', () => {
    const script = new Script().running(5)
    script.tell({ kind: 'disconnected' })
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.silenceMs), [])
    script.tell({ kind: 'registered', keep: [{ lane, tasks: 5 }] })
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.silenceMs * 2), ['return 7/1'])
  })

  test('what the executor gives back is sent again, one at a time now', () => {
    const script = new Script().running(6)
    script.outcomes(0, finished(1))
    assert.deepEqual(script.outcomes(1, finished(1, 40_000)), ['report 7/1: finished 1'])
    assert.deepEqual(script.tell({ kind: 'yielded', executor: 1, lane, from: 2, generation: 0 }), ['send 1: 7/2+1 g1'])
    assert.deepEqual(script.tell({ kind: 'yielded', executor: 1, lane, from: 2, generation: 0 }), [], 'an old word about what is sent anew')
  })

  test('a running task that is awaited gives back what is behind it', () => {
    const script = new Script().running(6)
    script.outcomes(0, finished(1))
    assert.deepEqual(script.tell({ kind: 'yielded', executor: 1, lane, from: 2, generation: 0 }), [], 'not sent again behind it')
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.silenceMs), ['return 7/2'], 'task 1 runs on')
  })

  test('a lane without an executor gives up waiting', () => {
    const script = new Script().running(1)
    const other = plan('b'.repeat(64), 'other')
    script.tell({ kind: 'assigned', epoch: 1, lane: 8, plan: other, ...tasks([0, 4]) })
    assert.deepEqual(script.tell({ kind: 'programReady', program: other.program }), [])
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.executorWaitMsMax), ['return 8/0'])
  })
})

describe('cancelling', () => {
  test('skips what was not sent in its turn, and aborts what was', () => {
    const script = new Script().running(10)
    assert.deepEqual(
      script.tell({
        kind: 'cancelled',
        lane,
        job: 'j',
        ranges: [
          { first: 0, count: 1 },
          { first: 5, count: 5 },
        ],
      }),
      ['cancel 1: 0-1'],
    )
    assert.deepEqual(script.outcomes(0, { kind: 'skipped', count: 1 }), ['report 7/0: skipped 1', 'send 1: 7/1+1 g0'])
    assert.deepEqual(script.outcomes(1, finished(1)), ['report 7/1: finished 1', 'send 1: 7/2+3 g0'])
    assert.deepEqual(script.outcomes(2, finished(3)), ['report 7/2: finished 3', 'report 7/5: skipped 5', 'forget 1: 7'])
  })

  test('kills what does not end, and goes on with the next', () => {
    const script = new Script().running(2)
    script.tell({ kind: 'cancelled', lane, job: 'j', ranges: [{ first: 0, count: 1 }] })
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.silenceMs), ['return 7/1'])
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.graceMs), ['SIGTERM 1'])
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.graceMs + tuning.killAfterTermMs), ['SIGKILL 1'])
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 1, exit: crash }), ['report 7/0: skipped 1'])
  })

  test('cancels the whole job without an executor', () => {
    const script = new Script()
    script.tell(assign(0, 4))
    assert.deepEqual(script.tell({ kind: 'cancelled', lane, job: 'j', ranges: [] }), ['report 7/0: skipped 4'])
  })
})

describe('executors that die', () => {
  test('the one task at the executor is to blame', () => {
    const script = new Script().running(2)
    const exit = { ...crash, heapFull: true }
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 1, exit }), ['report 7/0: TASK_OUT_OF_MEMORY', 'start 2'])
    assert.deepEqual(script.tell({ kind: 'executorReady', executor: 2 }), ['send 2: 7/1+1 g0'])
  })

  test('of several each runs again alone, and only the guilty one fails', () => {
    const script = new Script().running(4)
    script.outcomes(0, finished(1))
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 1, exit: crash }), ['start 2'])
    assert.deepEqual(script.tell({ kind: 'executorReady', executor: 2 }), ['send 2: 7/1+1 g0'])
    assert.deepEqual(script.tell({ kind: 'outcomes', executor: 2, lane, from: 1, outcomes: [finished(1)] }), [
      'report 7/1: finished 1',
      'send 2: 7/2+1 g0',
    ])
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 2, exit: crash }), ['report 7/2: TASK_CRASHED', 'start 3'])
    assert.deepEqual(script.tell({ kind: 'executorReady', executor: 3 }), ['send 3: 7/3+1 g0'])
  })

  test('one that says because of which task it ends is believed', () => {
    const script = new Script().running(4)
    script.outcomes(0, finished(1))
    script.outcomes(1, finished(1))
    script.tell({ kind: 'exiting', executor: 1, lane, number: 2 })
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 1, exit: crash }), ['report 7/2: TASK_CRASHED', 'start 2'])
  })

  test('lanes that share an executor do not pay for each other', () => {
    const script = new Script(3)
    const shared = plan(program, 'work', { cpuMillis: 500 })
    for (const id of [1, 2]) script.tell({ kind: 'assigned', epoch: 1, lane: id, plan: shared, ...tasks([0, 1]) })
    assert.deepEqual(script.tell({ kind: 'programReady', program }), ['start 1'])
    assert.deepEqual(script.tell({ kind: 'executorReady', executor: 1 }), ['send 1: 1/0+1 g0', 'send 1: 2/0+1 g0'])
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 1, exit: crash }), ['start 2', 'start 3'])
    script.tell({ kind: 'executorReady', executor: 2 })
    script.tell({ kind: 'executorReady', executor: 3 })
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 3, exit: crash }), ['report 2/0: TASK_CRASHED'])
    assert.deepEqual(script.tell({ kind: 'outcomes', executor: 2, lane: 1, from: 0, outcomes: [finished(1)] }), [
      'report 1/0: finished 1',
      'forget 2: 1',
    ])
  })

  test('a program that does not load fails all tasks that need it', () => {
    const script = new Script()
    script.tell(assign(0, 2))
    script.tell({ kind: 'programReady', program })
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 1, exit: crash }), [
      'report 7/0: PROGRAM_LOAD_FAILED, PROGRAM_LOAD_FAILED',
    ])
  })

  test('a process that cannot be started is tried again', () => {
    const script = new Script()
    script.tell(assign(0, 2))
    script.tell({ kind: 'programReady', program })
    const exit = { started: false, how: 'EAGAIN', heapFull: false, lastWords: '' }
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 1, exit }), [])
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.startAgainMs), ['start 2'])
  })

  test('too much memory: killed at once', () => {
    const script = new Script().running(1)
    assert.deepEqual(script.tell({ kind: 'sampled', executor: 1, rssBytes: 100 << 20, processes: 3 }), [])
    assert.deepEqual(script.tell({ kind: 'sampled', executor: 1, rssBytes: 300 << 20, processes: 3 }), ['SIGKILL 1'])
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 1, exit: crash }), ['report 7/0: TASK_OUT_OF_MEMORY'])
  })

  test('past the deadline: asked to end, then killed', () => {
    const script = new Script(1)
    script.tell(assign(0, 1, { plan: plan(program, 'work', { timeoutMs: 500 }) }))
    script.tell({ kind: 'programReady', program })
    script.tell({ kind: 'executorReady', executor: 1 })
    const lateMs = tuning.startSlackMs + 500 + tuning.graceMs
    assert.deepEqual(script.tell({ kind: 'tick' }, lateMs - 1), [])
    assert.deepEqual(script.tell({ kind: 'tick' }, lateMs), ['SIGTERM 1'])
    assert.deepEqual(script.tell({ kind: 'executorEnded', executor: 1, exit: crash }), ['report 7/0: TASK_TIMEOUT'])
  })

  test('time in which an input is fetched or a result stored does not count', () => {
    const script = new Script(1)
    script.tell(assign(0, 1, { plan: plan(program, 'work', { timeoutMs: 500 }) }))
    script.tell({ kind: 'programReady', program })
    script.tell({ kind: 'executorReady', executor: 1 })
    script.tell({ kind: 'clock', executor: 1, lane, running: false })
    assert.deepEqual(script.tell({ kind: 'tick' }, 60_000), [])
    script.tell({ kind: 'clock', executor: 1, lane, running: true })
    assert.deepEqual(script.tell({ kind: 'tick' }, 60_000 + tuning.startSlackMs + 500 + tuning.graceMs), ['SIGTERM 1'])
  })
})

describe('slots', () => {
  test('an idle executor makes room for one of another program', () => {
    const script = new Script().running(1)
    script.outcomes(0, finished(1))
    const other = plan('b'.repeat(64), 'other')
    script.tell({ kind: 'assigned', epoch: 1, lane: 8, plan: other, ...tasks([0, 1]) })
    assert.deepEqual(script.tell({ kind: 'programReady', program: other.program }), ['SIGTERM 1', 'start 2'])
  })

  test('an executor is reused by the next lane of its program, and ended when idle for long', () => {
    const script = new Script().running(1)
    script.outcomes(0, finished(1))
    assert.deepEqual(script.tell({ kind: 'assigned', epoch: 1, lane: 8, plan: task, ...tasks([1, 1]) }), ['send 1: 8/0+1 g0'])
    script.tell({ kind: 'outcomes', executor: 1, lane: 8, from: 0, outcomes: [finished(1)] })
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.idleMsMax - 1), [])
    assert.deepEqual(script.tell({ kind: 'tick' }, tuning.idleMsMax), ['SIGTERM 1'])
  })

  test('outcomes that nobody acknowledges hold up what would come', () => {
    const script = new Script().running(3)
    const large = chunkOf([Buffer.alloc(tuning.unacknowledgedBytesMax)])
    const outcome: Outcome = { kind: 'finished', count: 1, items: large, blocks: [], elapsedMicros: 20_000 }
    assert.deepEqual(script.outcomes(0, outcome), ['report 7/0: finished 1'])
    assert.deepEqual(script.tell({ kind: 'acknowledged', lanes: [{ lane, count: 1 }] }), ['send 1: 7/1+1 g0'])
  })
})

describe('registration', () => {
  test('says where each lane stands, and sends again what was not acknowledged', () => {
    const script = new Script().running(6)
    script.outcomes(0, finished(1))
    script.outcomes(1, finished(3))
    script.tell({ kind: 'acknowledged', lanes: [{ lane, count: 2 }] })
    script.tell({ kind: 'disconnected' })
    assert.deepEqual(script.outcomes(4, finished(1)), [])
    assert.deepEqual(script.machine.laneReports(), [
      { lane, received: 6, reported: 5, acknowledged: 2, runs: [{ job: 'j', stage: 0, first: 2, count: 4, attempt: 1 }] },
    ])
    assert.deepEqual(script.tell({ kind: 'registered', keep: [{ lane, tasks: 6 }] }), ['report 7/2: finished 2, finished 1'])
  })

  test('a lane that is not kept is dropped and its executor killed', () => {
    const script = new Script().running(2)
    script.tell({ kind: 'disconnected' })
    assert.deepEqual(script.tell({ kind: 'registered', keep: [] }), ['forget 1: 7', 'SIGKILL 1'])
    assert.equal(script.machine.lanes, 0)
    assert.deepEqual(script.outcomes(0, finished(1)), [])
  })

  test('tasks beyond those kept are dropped, what runs before them runs on', () => {
    const script = new Script().running(4)
    script.tell({ kind: 'disconnected' })
    assert.deepEqual(script.tell({ kind: 'registered', keep: [{ lane, tasks: 1 }] }), [])
    assert.deepEqual(script.outcomes(0, finished(1)), ['report 7/0: finished 1', 'forget 1: 7'])
  })

  test('dismissed: nothing is left', () => {
    const script = new Script().running(4)
    assert.deepEqual(script.tell({ kind: 'dismissed' }), ['forget 1: 7', 'SIGKILL 1'])
    assert.deepEqual(script.machine.laneReports(), [])
  })

  test('draining gives back what was not sent, and what is assigned from then on', () => {
    const script = new Script().running(4)
    assert.deepEqual(script.tell({ kind: 'draining' }), ['return 7/1'])
    assert.deepEqual(script.tell({ kind: 'assigned', epoch: 1, lane: 8, plan: task, ...tasks([9, 1]) }), ['return 8/0'])
    assert.deepEqual(script.outcomes(0, finished(1)), ['report 7/0: finished 1', 'forget 1: 7'])
    assert.deepEqual(script.tell({ kind: 'acknowledged', lanes: [{ lane, count: 1 }] }), ['drained'])
  })
})
