// Owns running the tasks of one lane, strictly one after the other, and telling the agent how they ended.
// Must not keep tasks waiting behind one that takes long: it gives them back, and does not start them then.
import { Chunk, limits, type Run } from '../../../protocol/index.ts'
import type { BatchFrame } from '../frames.ts'
import { Attempt } from './attempt.ts'
import { nowMs } from './clock.ts'
import { timeoutFailure } from './judge.ts'
import { type AttemptFailure, Outbox, resultFailure } from './outbox.ts'
import { expansionOf, listOf } from './results.ts'
import { runTask, type TaskEnd, type TaskHost } from './run.ts'

/** Tasks behind one that takes longer than this are given back to the agent. */
const longTaskMs = 10
/** Results wait no longer than this before they are sent. */
const flushAfterMs = 5

/** What a lane needs of its process. */
export interface LaneHost extends TaskHost {
  readonly blocksFolder: string
  /** The worker stops: failures are not reported any more. */
  readonly stopping: boolean
}

interface Queued {
  frame: BatchFrame
  chunk: Chunk
  position: number
  /** The run of the next task, and the position of its first one. */
  run: number
  runFrom: number
}

/** The run of the task at this position, which is not before the last one that was asked for. */
function runAt(batch: Queued, position: number): { run: Run; within: number } {
  const { runs } = batch.frame
  while (position >= batch.runFrom + runs[batch.run]!.count) batch.runFrom += runs[batch.run++]!.count
  return { run: runs[batch.run]!, within: position - batch.runFrom }
}

export class LaneRunner {
  readonly #host: LaneHost
  readonly #id: number
  readonly #queue: Queued[] = []
  readonly #outbox: Outbox
  #running = false
  #generation = 0
  #flushedAtMs = 0
  #cancelled: { from: number; to: number }[] = []
  #opened: Queued | undefined
  /** What waits to be sent is of batches before the opened one. */
  #heldBack = false
  #deadlineTimer: NodeJS.Timeout | undefined
  #longTimer: NodeJS.Timeout | undefined
  /** The attempt that runs now, and whether its user code is awaited. */
  current: Attempt | undefined
  #awaited = false

  constructor(host: LaneHost, id: number, from: number) {
    this.#host = host
    this.#id = id
    this.#outbox = new Outbox(from)
  }

  /** Takes in a batch, unless it was sent before the agent knew what was given back. */
  receive(frame: BatchFrame): void {
    if (frame.generation < this.#generation) return
    // What is queued of an older generation the agent has given up.
    if (frame.generation > this.#generation) this.#giveUp()
    this.#generation = frame.generation
    this.#queue.push({ frame, chunk: new Chunk(frame.items), position: 0, run: 0, runFrom: 0 })
    if (!this.#running) void this.#work()
    // It may stand behind a task that was looked at already.
    else if (this.#awaited) this.#longTimer ??= setTimeout(() => this.#lookForLong(), longTaskMs)
  }

  /** The agent has given up what is queued: only the running task goes on. */
  #giveUp(): void {
    const running = this.#running ? this.#queue[0] : undefined
    this.#queue.length = 0
    if (!running) return
    running.position = running.chunk.count
    this.#queue.push(running)
  }

  /** Aborts the running task if it is one of these, and skips the others in their turn. */
  cancel(ranges: readonly { from: number; to: number }[]): void {
    this.#cancelled.push(...ranges)
    if (this.current && this.#isCancelled(this.current.laneNumber)) this.current.abort('TASK_CANCELLED', 'The task was cancelled.')
  }

  /** Nothing of this lane is wanted any more. */
  forget(): void {
    this.#queue.length = 0
    this.current?.abort('TASK_CANCELLED', 'The task is not wanted any more.')
    clearTimeout(this.#deadlineTimer)
    clearTimeout(this.#longTimer)
  }

  /** Sends what has ended, gives back what has not started. For a process that is about to end. */
  close(): void {
    this.#giveBack(nowMs())
  }

  /** Gives the running attempt an outcome from outside its own code. */
  failCurrent(failure: AttemptFailure): void {
    const attempt = this.current
    if (!attempt || attempt.over) return
    const now = nowMs()
    attempt.end()
    this.#outbox.addFailure(failure, now - attempt.startedAtMs, now)
  }

  #isCancelled(number: number): boolean {
    return this.#cancelled.length > 0 && this.#cancelled.some(range => range.from <= number && number < range.to)
  }

  async #work(): Promise<void> {
    this.#running = true
    let startedAtMs = 0
    // The agent cannot know when a process that other lanes keep busy begins with this one.
    if (this.#host.shared) this.#host.link.send({ kind: 'clock', lane: this.#id, running: true })
    for (;;) {
      const batch = this.#queue[0]
      const now = nowMs()
      if (!batch) break
      if (batch !== this.#opened) this.#open(batch, now)
      if (batch.position >= batch.chunk.count) {
        this.#queue.shift()
        continue
      }
      if (!this.#host.link.drained) {
        await this.#host.link.untilDrained()
        continue
      }
      if (startedAtMs > 0 && now - startedAtMs > longTaskMs) {
        this.#giveBack(now)
        startedAtMs = 0
        continue
      }
      if (now - this.#flushedAtMs >= flushAfterMs || this.#outbox.bytes > limits.chunkBytesMax) this.#flush(now)
      startedAtMs = now
      const position = batch.position++
      if (this.#isCancelled(batch.frame.from + position)) this.#outbox.addSkipped(now)
      else {
        const waiting = this.#run(batch, position, now)
        if (waiting) {
          // Nobody knows how long: what ended before is told now.
          if (this.#heldBack) this.#flush(now)
          await waiting
        }
        if (this.#host.stopping && this.current) return
      }
    }
    this.#flush(nowMs())
    this.#opened = undefined
    this.#running = false
  }

  /** Goes on with another batch. What came together is answered together, where no task is missing between. */
  #open(batch: Queued, now: number): void {
    this.#opened = batch
    if (batch.frame.from !== this.#outbox.next) this.#flush(now)
    if (this.#outbox.empty) this.#outbox.startAt(batch.frame.from)
    this.#heldBack = !this.#outbox.empty
  }

  #flush(now: number): void {
    this.#flushedAtMs = now
    this.#heldBack = false
    if (this.#outbox.empty) return
    this.#host.output.flush()
    const bytes = this.#outbox.bytes
    const { from, outcomes } = this.#outbox.take(now)
    this.#host.link.send({ kind: 'outcomes', lane: this.#id, from, outcomes }, bytes + 256)
  }

  /** Sends what has ended, and gives all that has not started back to the agent. */
  #giveBack(now: number): void {
    this.#flush(now)
    const batch = this.#queue[0]
    if (!batch || (batch.position >= batch.chunk.count && this.#queue.length === 1)) return
    this.#queue.length = 0
    this.#host.link.send({ kind: 'yielded', lane: this.#id, from: batch.frame.from + batch.position, generation: this.#generation })
    this.#generation++
  }

  /** Runs one task. Returns nothing if it is over already, else a promise of its end. */
  #run(batch: Queued, position: number, now: number): Promise<void> | undefined {
    const attempt = new Attempt(this.#host, batch.frame, position, runAt(batch, position), now)
    this.current = attempt
    this.#outbox.mark(now)
    const end = runTask(this.#host, attempt, batch.chunk, position, () => this.#watch(attempt))
    if (end instanceof Promise) return end.then(late => this.#ended(attempt, late))
    this.#ended(attempt, end)
    return undefined
  }

  /** Aborts the attempt's signal when its time is over. One timer serves all attempts of the lane. */
  #watch(attempt: Attempt): void {
    this.#awaited = true
    this.#longTimer ??= setTimeout(() => this.#lookForLong(), longTaskMs)
    const { timeoutMs } = attempt.batch
    if (timeoutMs === 0 || this.#deadlineTimer) return
    const check = (): void => {
      this.#deadlineTimer = undefined
      const { current } = this
      if (!current || current.over || !this.#awaited) return
      const leftMs = current.startedAtMs + current.batch.timeoutMs - nowMs()
      if (leftMs > 0) this.#deadlineTimer = setTimeout(check, Math.ceil(leftMs))
      else current.abort('TASK_TIMEOUT', `The task had ${current.batch.timeoutMs} ms.`)
    }
    this.#deadlineTimer = setTimeout(check, Math.ceil(Math.max(1, attempt.startedAtMs + timeoutMs - nowMs())))
  }

  /** What waits behind a task that is awaited for long goes back; what ended before it is told. One timer serves all attempts of the lane. */
  #lookForLong(): void {
    this.#longTimer = undefined
    const { current } = this
    if (!current || current.over || !this.#awaited) return
    const now = nowMs()
    if (now - current.startedAtMs >= longTaskMs / 2) this.#giveBack(now)
    else this.#longTimer = setTimeout(() => this.#lookForLong(), longTaskMs)
  }

  /** User code has come to an end: what that means. */
  #ended(attempt: Attempt, end: TaskEnd): void {
    if (attempt.over) return
    if ('failure' in end) {
      this.#fail(attempt, end.failure)
      return
    }
    const { timeoutMs } = attempt.batch
    const late = timeoutMs > 0 && nowMs() - attempt.startedAtMs > timeoutMs
    // An aborted task that returns a value after all: in time for a worker that stops, and where it was cancelled the leader knows whether it counts;
    // too late otherwise.
    if (late || attempt.reason?.code === 'TASK_TIMEOUT') {
      this.#fail(attempt, timeoutFailure(timeoutMs))
      return
    }
    try {
      this.#add(attempt, end)
    } catch (error) {
      this.#fail(attempt, resultFailure(error))
      return
    }
    this.#over(attempt)
  }

  #add(attempt: Attempt, { value, spread }: Extract<TaskEnd, { value: unknown }>): void {
    if (attempt.commits) this.#outbox.separate(attempt.startedAtMs)
    const built = expansionOf(value)
    if (built) this.#outbox.addExpanded(built, attempt.startedAtMs, nowMs())
    else if (spread) this.#outbox.addSpread(attempt, this.#host.blocksFolder, listOf(value), attempt.startedAtMs, nowMs())
    else if (!this.#outbox.addInline(attempt, value)) this.#store(attempt, value)
    if (attempt.commits) this.#outbox.commit(attempt.commits, nowMs())
  }

  /** Large results are written to disk, which is not the task's own time. */
  #store(attempt: Attempt, value: unknown): void {
    this.#host.link.send({ kind: 'clock', lane: this.#id, running: false })
    this.#outbox.addBlock(attempt, this.#host.blocksFolder, value)
  }

  /** The attempt ended otherwise than by a value. */
  #fail(attempt: Attempt, failure: AttemptFailure): void {
    // The worker stops: the task is not to blame for what its aborted signal made it do. It runs again elsewhere.
    if (this.#host.stopping) return
    const now = nowMs()
    const elapsedMs = now - attempt.startedAtMs
    if (this.#isCancelled(attempt.laneNumber)) this.#outbox.addSkipped(now)
    else if (attempt.reason?.code === 'TASK_TIMEOUT') {
      this.#outbox.addFailure({ ...timeoutFailure(attempt.batch.timeoutMs), stack: failure.stack }, elapsedMs, now)
    } else this.#outbox.addFailure(failure, elapsedMs, now)
    this.#over(attempt)
  }

  #over(attempt: Attempt): void {
    this.#awaited = false
    attempt.end()
    this.current = undefined
  }
}
