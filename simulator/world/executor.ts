// Owns one executor process as the simulator plays it: it runs tasks as their fates say, gives back, is killed.
// Must behave as the real one in executors/inside does, seen from the agent; and must not know the leader.
import { Chunk, ChunkWriter, itemInline, type Outcome, outcomeTasks, writeValue } from '../../src/protocol/index.ts'
import type { PoolHandlers } from '../../src/worker/executors/pool.ts'
import type { Batch, ExecutorExit, ExecutorId } from '../../src/worker/machine/index.ts'
import type { Boot, Kernel } from '../kernel/kernel.ts'
import { taskAt } from './batches.ts'
import { type Fate, resultOf } from './fates.ts'
import { committedOutcome, flowOutcome, readFate } from './steps.ts'

/** One execution of user code, as an onlooker sees it. */
export interface Execution {
  worker: string
  boot: number
  job: string
  stage: number
  index: number
  attempt: number
  epoch: number
  lane: number
  fate: Fate
  /** What a task without a fate of its own was given. */
  got?: string[] | undefined
  /** It ended with a value, and its worker was told. */
  told?: boolean
}

/** How executors behave; faults change it. */
export interface ExecutorMood {
  loadMs: number
  /** How likely a process cannot be started, or dies for no reason with a task. */
  startFails: number
  dies: number
}

export type ExecutionListener = (what: 'started' | 'ended', execution: Execution) => void

/** What an executor needs of its worker's pool. */
export interface PoolOfExecutors {
  readonly kernel: Kernel
  readonly handlers: PoolHandlers
  readonly mood: ExecutorMood
  readonly listener: ExecutionListener
  ended(id: ExecutorId, exit: ExecutorExit): void
}

const pipeMs = 0.05
const longTaskMs = 10
const flushAfterMs = 5

interface LaneInside {
  id: number
  queue: { batch: Batch; chunk: Chunk; position: number }[]
  generation: number
  next: number
  outcomes: Outcome[]
  /** Those among them that ended with a value. */
  ended: Execution[]
  chunk: ChunkWriter
  chunkSinceMs: number
  flushedAtMs: number
  running: { number: number; startedAtMs: number; stop(code: string): void } | undefined
  cancelled: { from: number; to: number }[]
}

/** One executor process. */
export class SimExecutor {
  readonly #pool: PoolOfExecutors
  readonly #boot: Boot
  readonly id: ExecutorId
  readonly #shared: boolean
  readonly #lanes = new Map<number, LaneInside>()
  #dead = false

  constructor(pool: PoolOfExecutors, boot: Boot, id: ExecutorId, shared: boolean) {
    this.#pool = pool
    this.#boot = boot
    this.id = id
    this.#shared = shared
  }

  get kernel(): Kernel {
    return this.#pool.kernel
  }

  #after(delayMs: number, run: () => void): () => void {
    return this.kernel.at(this.#boot, delayMs, 'io', () => {
      if (!this.#dead) run()
    })
  }

  tell(event: Parameters<PoolHandlers['event']>[0], ended: readonly Execution[] = []): void {
    this.#after(pipeMs, () => {
      for (const execution of ended) execution.told = true
      this.#pool.handlers.event(event)
    })
  }

  receive(batch: Batch): void {
    this.#after(pipeMs, () => this.#take(batch))
  }

  #take(batch: Batch): void {
    let lane = this.#lanes.get(batch.lane)
    if (!lane) {
      const chunk = new ChunkWriter()
      const fresh = {
        queue: [],
        generation: 0,
        next: batch.from,
        outcomes: [],
        ended: [],
        flushedAtMs: 0,
        running: undefined,
        cancelled: [],
      }
      lane = { id: batch.lane, ...fresh, chunk, chunkSinceMs: 0 }
      this.#lanes.set(lane.id, lane)
    }
    if (batch.generation < lane.generation) return
    if (batch.generation > lane.generation) lane.queue.length = 0
    lane.generation = batch.generation
    lane.queue.push({ batch, chunk: new Chunk(batch.items), position: 0 })
    const { running } = lane
    if (!running) this.#work(lane)
    else this.#after(longTaskMs, () => this.#giveBackBehind(lane, running))
  }

  /** What waits behind a task that takes long goes back. */
  #giveBackBehind(lane: LaneInside, running: LaneInside['running']): void {
    if (!running || lane.running !== running || this.#lanes.get(lane.id) !== lane) return
    if (this.kernel.nowMs - running.startedAtMs < longTaskMs / 2) {
      this.#after(longTaskMs, () => this.#giveBackBehind(lane, running))
      return
    }
    this.#giveBack(lane)
  }

  #giveBack(lane: LaneInside): void {
    this.#flush(lane)
    const next = lane.queue.find(one => one.position < one.chunk.count)
    if (!next) return
    const from = next.batch.from + next.position
    lane.queue.length = 0
    this.tell({ kind: 'yielded', executor: this.id, lane: lane.id, from, generation: lane.generation })
    lane.generation++
  }

  #work(lane: LaneInside): void {
    const next = lane.queue[0]
    if (!next) {
      this.#flush(lane)
      return
    }
    if (next.position >= next.chunk.count) {
      lane.queue.shift()
      this.#work(lane)
      return
    }
    const number = next.batch.from + next.position
    // What was between is no concern of this process: it was given back, or passed over.
    if (number !== lane.next + this.#waiting(lane)) {
      this.#flush(lane)
      lane.next = number
    }
    if (this.kernel.nowMs - lane.flushedAtMs >= flushAfterMs) this.#flush(lane)
    const position = next.position++
    if (lane.cancelled.some(range => range.from <= number && number < range.to)) {
      this.#skip(lane)
      this.#work(lane)
      return
    }
    this.#run(lane, next.batch, next.chunk.item(position), position)
  }

  #run(lane: LaneInside, batch: Batch, item: Uint8Array, position: number): void {
    const { kernel } = this
    const { job, stage, attempt, index } = taskAt(batch, position)
    const { epoch } = batch
    const { fate, wrong, got } = readFate(item, `${job}/${stage}/${index}`)
    const node = this.#boot.node.name
    const boot = this.#boot.number
    const execution = { worker: node, boot, job, stage, index, attempt, epoch, lane: lane.id, fate, got }
    const startedAtMs = kernel.nowMs
    const number = batch.from + position
    if (lane.chunk.count === 0) lane.chunkSinceMs = startedAtMs
    if (this.#shared) this.tell({ kind: 'clock', executor: this.id, lane: lane.id, running: true })
    this.#pool.listener('started', execution)
    let over = false
    const end = (outcome: () => void): void => {
      if (over || this.#dead) return
      over = true
      this.#pool.listener('ended', execution)
      lane.running = undefined
      if (this.#lanes.get(lane.id) !== lane) return
      outcome()
      if (kernel.nowMs - startedAtMs > longTaskMs) this.#giveBack(lane)
      this.#work(lane)
    }
    const stop = (code: string): void => {
      if (fate.deaf) return
      this.#after(1, () => end(() => (code === 'TASK_CANCELLED' ? this.#skip(lane) : this.#failed(lane, code, startedAtMs, true))))
    }
    const running = { number, startedAtMs, stop }
    lane.running = running
    if (fate.ms > longTaskMs || fate.hangs) this.#after(longTaskMs, () => this.#giveBackBehind(lane, running))
    if (batch.timeoutMs > 0) this.#after(batch.timeoutMs, () => over || stop('TASK_TIMEOUT'))
    if (fate.hangs) return
    const dies = fate.poison || kernel.stream('executors').chance(this.#pool.mood.dies)
    this.#after(Math.max(0.01, fate.ms), () => {
      if (over) return
      if (fate.exits) this.tell({ kind: 'exiting', executor: this.id, lane: lane.id, number })
      if (dies || fate.exits) return this.die(dies ? 'SIGSEGV' : 'exit code 3')
      end(() =>
        attempt <= (fate.fails ?? 0) ? this.#failed(lane, 'TASK_FAILED', startedAtMs, true) : this.#finished(lane, execution, wrong),
      )
    })
  }

  #waiting(lane: LaneInside): number {
    return lane.chunk.count + lane.outcomes.reduce((sum, one) => sum + outcomeTasks(one), 0)
  }

  #closeChunk(lane: LaneInside): void {
    const { count } = lane.chunk
    if (count === 0) return
    const elapsedMicros = Math.max(0, Math.round((this.kernel.nowMs - lane.chunkSinceMs) * 1000))
    lane.outcomes.push({ kind: 'finished', count, items: lane.chunk.finish(), blocks: [], elapsedMicros })
  }

  #finished(lane: LaneInside, execution: Execution, wrong: string | undefined): void {
    const { fate } = execution
    lane.ended.push(execution)
    // The journal's checker knows what it should have been.
    const value = wrong === undefined ? resultOf(fate.key) : `wrong: ${wrong}`
    const elapsedMicros = Math.round(fate.ms * 1000)
    const special = fate.commits ? committedOutcome(fate, value, elapsedMicros) : flowOutcome(fate, elapsedMicros)
    const outcome = wrong === undefined ? special : undefined
    if (outcome) {
      this.#closeChunk(lane)
      lane.outcomes.push(outcome)
      return
    }
    const writer = lane.chunk.beginItem()
    writer.byte(itemInline)
    writeValue(writer, value)
    lane.chunk.endItem()
  }

  #failed(lane: LaneInside, code: string, startedAtMs: number, retryable: boolean): void {
    this.#closeChunk(lane)
    const elapsedMicros = Math.round((this.kernel.nowMs - startedAtMs) * 1000)
    lane.outcomes.push({ kind: 'failed', code, message: `It ended as ${code}.`, stack: '', retryable, elapsedMicros })
  }

  #skip(lane: LaneInside): void {
    this.#closeChunk(lane)
    const last = lane.outcomes.at(-1)
    if (last?.kind === 'skipped') last.count++
    else lane.outcomes.push({ kind: 'skipped', count: 1 })
  }

  #flush(lane: LaneInside): void {
    lane.flushedAtMs = this.kernel.nowMs
    const count = this.#waiting(lane)
    if (count === 0) return
    this.#closeChunk(lane)
    this.tell({ kind: 'outcomes', executor: this.id, lane: lane.id, from: lane.next, outcomes: lane.outcomes }, lane.ended)
    lane.outcomes = []
    lane.ended = []
    lane.next += count
  }

  cancel(id: number, ranges: readonly { from: number; to: number }[]): void {
    this.#after(pipeMs, () => {
      const lane = this.#lanes.get(id)
      if (!lane) return
      lane.cancelled.push(...ranges)
      const { running } = lane
      if (running && ranges.some(range => range.from <= running.number && running.number < range.to)) running.stop('TASK_CANCELLED')
    })
  }

  forget(id: number): void {
    this.#after(pipeMs, () => {
      this.#lanes.get(id)?.running?.stop('TASK_CANCELLED')
      this.#lanes.delete(id)
    })
  }

  /** The process ends; what it has not sent is lost. */
  die(how: string): void {
    if (this.#dead) return
    this.#dead = true
    this.kernel.at(this.#boot, 1, 'io', () => this.#pool.ended(this.id, { started: true, how, heapFull: false, lastWords: '' }))
  }
}
