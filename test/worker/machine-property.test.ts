// Owns the search for a course of events in which the worker's machine breaks a rule of lanes.
// Must not know how the machine works inside: it plays leader and executors, whose messages may be late, and looks at what comes out.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Chunk, type Outcome, outcomeTasks } from '../../src/protocol/index.ts'
import { type Batch, type Instruction, Machine, type MachineEvent } from '../../src/worker/machine/index.ts'
import { chunkOf } from '../fakes/values.ts'
import { plan } from './fakes.ts'

const program = 'a'.repeat(64)
const oneItem = chunkOf([0])
const slots = 3
const lanesMax = 4

/** What becomes of a task whenever it is run; by its index, so that it is the same each time. */
function fate(index: number): 'ends' | 'fails' | 'kills' | 'long' {
  const kind = index % 11
  return kind === 3 ? 'fails' : kind === 5 ? 'kills' : kind === 7 ? 'long' : 'ends'
}

interface LaneAtExecutor {
  queue: { batch: Batch; position: number }[]
  generation: number
  unsent: { from: number; outcomes: Outcome[] }
  running: number | undefined
  cancelled: Set<number>
}

/** An executor as it behaves, with what is on its way to and from it. */
class ModelExecutor {
  readonly id: number
  readonly shared: boolean
  readonly inbox: Instruction[] = []
  readonly outbox: MachineEvent[] = []
  readonly lanes = new Map<number, LaneAtExecutor>()
  ready = false
  dead = false

  constructor(id: number, shared: boolean) {
    this.id = id
    this.shared = shared
  }

  lane(id: number): LaneAtExecutor {
    let lane = this.lanes.get(id)
    if (!lane) {
      lane = { queue: [], generation: 0, unsent: { from: 0, outcomes: [] }, running: undefined, cancelled: new Set() }
      this.lanes.set(id, lane)
    }
    return lane
  }

  flush(id: number, lane: LaneAtExecutor): void {
    if (lane.unsent.outcomes.length === 0) return
    this.outbox.push({ kind: 'outcomes', executor: this.id, lane: id, from: lane.unsent.from, outcomes: lane.unsent.outcomes })
    lane.unsent = { from: lane.unsent.from + lane.unsent.outcomes.length, outcomes: [] }
  }
}

/** What the leader of the model knows of a lane. */
interface LaneAtLeader {
  plan: ReturnType<typeof plan>
  indexes: number[]
  ended: number
  returnedFrom: number
  /** The leader has heard that tasks were given back. Until then it may extend the lane. */
  closed: boolean
}

class Model {
  readonly machine = new Machine({ slots, memoryBytes: 1 << 30 })
  readonly executors = new Map<number, ModelExecutor>()
  readonly lanes = new Map<number, LaneAtLeader>()
  nowMs = 0
  wakeAtMs = Number.POSITIVE_INFINITY
  connected = false
  laneCount = 0
  taskCount = 0

  tell(event: MachineEvent): void {
    for (const instruction of this.machine.handle(event, this.nowMs)) this.obey(instruction)
    const living = [...this.executors.values()].filter(executor => !executor.dead)
    assert.ok(living.length <= slots * 2, `${living.length} executors`)
  }

  obey(instruction: Instruction): void {
    switch (instruction.kind) {
      case 'wake':
        this.wakeAtMs = instruction.atMs
        break
      case 'fetchProgram':
        this.pendingProgram = true
        break
      case 'start':
        this.executors.set(instruction.executor, new ModelExecutor(instruction.executor, instruction.shared))
        break
      case 'report':
        this.reported(instruction)
        break
      case 'returnTasks': {
        assert.ok(this.connected, 'tasks are given back while nobody hears it')
        const lane = this.lanes.get(instruction.lane)!
        assert.ok(instruction.from >= lane.ended, 'a task that ended is given back')
        lane.returnedFrom = Math.min(lane.returnedFrom, instruction.from)
        break
      }
      case 'signal':
        this.die(this.executors.get(instruction.executor)!)
        break
      case 'drained':
        break
      default:
        this.executors.get(instruction.executor)!.inbox.push(instruction)
    }
  }
  pendingProgram = false

  reported({ lane: id, from, outcomes }: Extract<Instruction, { kind: 'report' }>): void {
    assert.ok(this.connected, 'a report while nobody hears it')
    const lane = this.lanes.get(id)!
    assert.ok(from <= lane.ended, `a gap: report of ${from} where ${lane.ended} is next`)
    let number = from
    for (const outcome of outcomes) {
      number += outcomeTasks(outcome)
      assert.ok(number <= Math.min(lane.indexes.length, lane.returnedFrom), 'a task that was given back has an outcome')
      if (outcome.kind === 'failed' && outcome.code !== 'TASK_TIMEOUT')
        assert.ok(['fails', 'kills'].includes(fate(lane.indexes[number - 1]!)), `an innocent task failed: ${outcome.code}`)
    }
    lane.ended = Math.max(lane.ended, number)
  }

  die(executor: ModelExecutor): void {
    if (executor.dead) return
    executor.dead = true
    executor.inbox.length = 0
    const exit = { started: true, how: 'SIGKILL', heapFull: false, lastWords: '' }
    executor.outbox.push({ kind: 'executorEnded', executor: executor.id, exit })
  }

  // --- what can happen next

  assign(entropy: number): void {
    if (!this.connected) return
    const open = [...this.lanes].filter(([, lane]) => !lane.closed && lane.ended < lane.indexes.length)
    const count = 1 + (entropy % 7)
    const whole = { job: `j${entropy % 3}`, stage: 0, first: this.taskCount, count, attempt: 1 }
    // The same tasks, one by one: what is sent, answered and acknowledged together may be of many runs.
    const single = Array.from({ length: count }, (_, i) => ({ ...whole, first: whole.first + i, count: 1 }))
    const runs = entropy % 4 === 0 ? single : [whole]
    const inputs = [chunkFor(count)]
    const indexes = Array.from({ length: count }, (_, i) => this.taskCount + i)
    this.taskCount += count
    const existing = open.length >= lanesMax || (entropy % 2 === 0 && open.length > 0) ? open[entropy % open.length] : undefined
    if (existing) {
      existing[1].indexes.push(...indexes)
      this.tell({ kind: 'assigned', epoch: 1, lane: existing[0], runs, inputs })
      return
    }
    const id = ++this.laneCount
    const lanePlan = plan(program, `t${entropy % 2}`, { cpuMillis: entropy % 3 === 0 ? 400 : 1000, timeoutMs: entropy % 5 === 0 ? 500 : 0 })
    this.lanes.set(id, { plan: lanePlan, indexes, ended: 0, returnedFrom: Number.POSITIVE_INFINITY, closed: false })
    this.tell({ kind: 'assigned', epoch: 1, lane: id, plan: lanePlan, runs, inputs })
  }

  cancel(entropy: number): void {
    const ids = [...this.lanes.keys()]
    if (ids.length === 0 || !this.connected) return
    this.tell({ kind: 'cancelled', lane: ids[entropy % ids.length]!, job: `j${entropy % 3}`, ranges: [] })
  }

  acknowledge(): void {
    if (!this.connected) return
    for (const lane of this.lanes.values()) if (lane.returnedFrom < Number.POSITIVE_INFINITY) lane.closed = true
    this.tell({ kind: 'acknowledged', lanes: [...this.lanes].map(([lane, { ended }]) => ({ lane, count: ended })) })
  }

  reconnect(entropy: number): void {
    if (this.connected) {
      this.connected = false
      this.tell({ kind: 'disconnected' })
      return
    }
    const reports = this.machine.laneReports()
    for (const report of reports) {
      const known = report.runs.reduce((sum, run) => sum + run.count, 0)
      assert.equal(report.acknowledged + known, report.received, 'the runs of a lane are not all told')
    }
    const dropped = entropy % 7 === 0
    const keep = reports
      .filter((_, i) => !dropped || i !== entropy % reports.length)
      .map(report => ({ lane: report.lane, tasks: report.received }))
    for (const [id, lane] of this.lanes) {
      const kept = keep.find(one => one.lane === id)
      lane.indexes.length = Math.min(lane.indexes.length, kept?.tasks ?? lane.ended)
      lane.returnedFrom = Number.POSITIVE_INFINITY
    }
    this.connected = true
    this.tell({ kind: 'registered', keep })
  }

  tick(): void {
    if (this.wakeAtMs === Number.POSITIVE_INFINITY) return
    // Programs load in no time here: a death while loading is the business of a scenario.
    for (const executor of this.executors.values()) {
      if (executor.dead || executor.ready) continue
      executor.ready = true
      executor.outbox.push({ kind: 'executorReady', executor: executor.id })
    }
    for (const executor of [...this.executors.values()]) while (executor.outbox[0]?.kind === 'executorReady') this.hear(executor)
    this.nowMs = Math.max(this.nowMs, this.wakeAtMs)
    this.wakeAtMs = Number.POSITIVE_INFINITY
    this.tell({ kind: 'tick' })
  }

  /** Delivers one message to or from an executor, or lets it go on with its work. */
  move(executor: ModelExecutor, entropy: number): void {
    const choice = entropy % 4
    if (choice === 0 && executor.outbox.length > 0) this.hear(executor)
    else if (choice === 1 && executor.inbox.length > 0) this.deliver(executor)
    else if (!executor.dead && executor.ready) this.work(executor, entropy >> 2)
    else if (!executor.dead) {
      executor.ready = true
      executor.outbox.push({ kind: 'executorReady', executor: executor.id })
    }
  }

  hear(executor: ModelExecutor): void {
    const event = executor.outbox.shift()!
    if (event.kind === 'executorEnded') this.executors.delete(executor.id)
    this.tell(event)
  }

  deliver(executor: ModelExecutor): void {
    const instruction = executor.inbox.shift()!
    if (instruction.kind === 'forget') executor.lanes.delete(instruction.lane)
    if (instruction.kind === 'cancel') {
      const { cancelled } = executor.lane(instruction.lane)
      for (const range of instruction.ranges) for (let n = range.from; n < range.to; n++) cancelled.add(n)
    }
    if (instruction.kind !== 'send') return
    const { batch } = instruction
    const lane = executor.lane(batch.lane)
    if (batch.generation < lane.generation) return
    if (batch.generation > lane.generation) lane.queue = []
    lane.generation = batch.generation
    lane.queue.push({ batch, position: 0 })
  }

  work(executor: ModelExecutor, entropy: number): void {
    const busy = [...executor.lanes].filter(([, lane]) => lane.running !== undefined || lane.queue.length > 0)
    if (busy.length === 0) return
    const [id, lane] = busy[entropy % busy.length]!
    if (lane.running === undefined) this.begin(executor, id, lane)
    else this.finish(executor, id, lane, entropy >> 3)
  }

  begin(executor: ModelExecutor, id: number, lane: LaneAtExecutor): void {
    const head = lane.queue[0]!
    const number = head.batch.from + head.position++
    if (head.position === 1) {
      this.flushBefore(executor, id, lane, head.batch.from)
    }
    if (head.position === new Chunk(head.batch.items).count) lane.queue.shift()
    lane.running = number
    const known = this.lanes.get(id)!
    assert.ok(number < known.returnedFrom, `task ${number} of lane ${id} starts after it was given back`)
    assert.ok(number >= known.ended || !this.connected, `task ${number} of lane ${id} starts after it had an outcome`)
    if (fate(known.indexes[number] ?? 0) === 'kills') this.die(executor)
    else if (fate(known.indexes[number] ?? 0) === 'long') {
      executor.flush(id, lane)
      const next = lane.queue[0]
      if (next)
        executor.outbox.push({
          kind: 'yielded',
          executor: executor.id,
          lane: id,
          from: next.batch.from + next.position,
          generation: lane.generation++,
        })
      lane.queue = []
    }
  }

  flushBefore(executor: ModelExecutor, id: number, lane: LaneAtExecutor, from: number): void {
    executor.flush(id, lane)
    lane.unsent = { from, outcomes: [] }
  }

  finish(executor: ModelExecutor, id: number, lane: LaneAtExecutor, entropy: number): void {
    const number = lane.running!
    lane.running = undefined
    const index = this.lanes.get(id)!.indexes[number] ?? 0
    const elapsedMicros = fate(index) === 'long' ? 50_000 : 10
    if (lane.cancelled.has(number)) lane.unsent.outcomes.push({ kind: 'skipped', count: 1 })
    else if (fate(index) === 'fails')
      lane.unsent.outcomes.push({ kind: 'failed', code: 'TASK_FAILED', message: '', stack: '', retryable: true, elapsedMicros })
    else lane.unsent.outcomes.push({ kind: 'finished', count: 1, items: oneItem, blocks: [], elapsedMicros })
    if (lane.queue.length === 0 || entropy % 3 === 0) executor.flush(id, lane)
  }

  step(entropy: number): void {
    const choice = entropy % 16
    const rest = entropy >> 4
    if (this.pendingProgram && choice < 4) {
      this.pendingProgram = false
      this.tell({ kind: 'programReady', program })
    } else if (choice < 3) this.assign(rest)
    else if (choice === 3) this.cancel(rest)
    else if (choice === 4) this.acknowledge()
    else if (choice === 5) this.tick()
    else if (choice === 6 && rest % 4 === 0) this.reconnect(rest >> 2)
    else {
      const all = [...this.executors.values()]
      if (all.length > 0) this.move(all[rest % all.length]!, rest >> 2)
    }
  }

  /** Lets everything come to rest; every task must have ended or been given back by then. */
  settle(): void {
    if (!this.connected) this.reconnect(1)
    for (let round = 0; round < 5_000 && this.machine.unfinished > 0; round++) {
      if (this.pendingProgram) this.step(0)
      for (const executor of [...this.executors.values()]) for (const choice of [0, 1, 2, 0]) this.move(executor, choice + round * 4)
      if (round % 4 === 3) this.tick()
      this.acknowledge()
    }
    this.acknowledge()
    assert.equal(this.machine.unfinished, 0, 'tasks are stuck')
    assert.equal(this.machine.lanes, 0, 'a lane is not forgotten')
    for (const [id, lane] of this.lanes) assert.equal(Math.min(lane.indexes.length, lane.returnedFrom), lane.ended, `lane ${id}`)
  }
}

const chunks = new Map<number, Chunk>()

function chunkFor(count: number): Chunk {
  let chunk = chunks.get(count)
  if (!chunk) {
    chunk = new Chunk(chunkOf(Array.from({ length: count }, () => 0)))
    chunks.set(count, chunk)
  }
  return chunk
}

test('each task ends once, in order, or is given back and never starts; innocent tasks never fail', () => {
  const entropy = fc.array(fc.nat(2 ** 30), { minLength: 20, maxLength: 400, size: 'max' })
  fc.assert(
    fc.property(entropy, steps => {
      const model = new Model()
      model.reconnect(1)
      for (const step of steps) model.step(step)
      model.settle()
    }),
    { numRuns: 400 },
  )
})
