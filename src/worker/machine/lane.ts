// Owns what a worker knows of one lane: its tasks by number, what was sent to an executor, which outcomes wait for their acknowledgement.
// Must not choose: when to send, return, kill or report is decided by the machine.
import {
  Chunk,
  type JobId,
  type LaneId,
  type LaneReport,
  type Outcome,
  outcomeBytes,
  outcomeTasks,
  type Range,
  type Run,
  type StagePlan,
  type TaskBlock,
} from '../../protocol/index.ts'
import { assertInvariant } from './assert.ts'
import { addRange, dropBefore, type NumberRange } from './ranges.ts'
import type { Executor } from './state.ts'

/** Inputs that came together, of tasks in a row of the lane. */
export interface Segment {
  /** Number within the lane of the first task, and how many there are. */
  start: number
  count: number
  epoch: number
  /** Its first item is that of the first task. */
  chunk: Chunk
  bytes: number
}

interface LaneRun {
  start: number
  run: Run
}

/** An outcome the leader has not acknowledged. */
interface KeptOutcome {
  from: number
  count: number
  bytes: number
  outcome: Outcome
}

export class Lane {
  readonly id: LaneId
  readonly plan: StagePlan
  /** Tasks ever received and kept, of these with an outcome, of these acknowledged. */
  received = 0
  head = 0
  acknowledged = 0
  /** Number of the next task to send; what lies between `head` and this is at the executor. */
  next = 0
  /** Tasks were returned: the lane gets no more. */
  closed = false
  segments: Segment[] = []
  runs: LaneRun[] = []
  outcomes: KeptOutcome[] = []
  /** Bytes of the kept outcomes. */
  outcomeBytes = 0
  /** Tasks the leader wants skipped; of these, those that were never sent to the executor. */
  cancelled: NumberRange[] = []
  passedOver: NumberRange[] = []
  cancelledAtMs = 0

  executor: Executor | undefined
  /** Batches of a lower generation were given back. */
  generation = 0
  /** Its executor gave back what stood behind the task that runs: nothing is sent before that has ended. */
  stalled = false
  /** Tasks below this number run one at a time on an executor of their own: one of them may have killed the last. */
  suspectUntil = 0
  /** Last word to or from the executor about this lane. */
  contactMs = 0
  /** Since when the first unreported task may be running; undefined while its user code does not run. */
  runningSinceMs: number | undefined
  waitingSinceMs: number | undefined

  constructor(id: LaneId, plan: StagePlan) {
    this.id = id
    this.plan = plan
  }

  get inputBytes(): number {
    return this.segments.reduce((bytes, segment) => bytes + segment.bytes, 0)
  }

  /** Appends runs with their inputs, which stand in the chunks in their order. */
  receive(epoch: number, runs: readonly Run[], inputs: readonly Chunk[]): void {
    let start = this.received
    for (const run of runs) {
      this.runs.push({ start, run })
      start += run.count
    }
    for (const chunk of inputs) {
      if (chunk.count === 0) continue
      const bytes = chunk.slice(0, chunk.count).length
      this.segments.push({ start: this.received, count: chunk.count, epoch, chunk, bytes })
      this.received += chunk.count
    }
    assertInvariant(start === this.received, `lane ${this.id} was given inputs of other tasks than its runs`)
  }

  /** The runs of tasks `from` to `to - 1`, as parts of those that were received. */
  runsBetween(from: number, to: number): Run[] {
    const parts: Run[] = []
    for (let at = this.#runOf(from); at < this.runs.length; at++) {
      const { start, run } = this.runs[at]!
      if (start >= to) break
      const before = Math.max(0, from - start)
      const count = Math.min(to - start, run.count) - before
      parts.push(count === run.count ? run : { ...run, first: run.first + before, count })
    }
    return parts
  }

  /** Position of the run that holds the task. */
  #runOf(number: number): number {
    let low = 0
    let high = this.runs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const { start, run } = this.runs[middle]!
      if (start + run.count <= number) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The segment that holds the task. */
  segmentAt(number: number): Segment {
    let low = 0
    let high = this.segments.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const segment = this.segments[middle]!
      if (segment.start + segment.count <= number) low = middle + 1
      else high = middle
    }
    const found = this.segments[low]
    if (!found) throw new Error(`lane ${this.id} has no task ${number}`)
    return found
  }

  /** Keeps an outcome of the next tasks and moves on. */
  settle(outcome: Outcome): void {
    const count = outcomeTasks(outcome)
    assertInvariant(this.head + count <= this.received, `lane ${this.id} has an outcome of a task that it was not given`)
    const bytes = outcomeBytes(outcome)
    this.outcomes.push({ from: this.head, count, bytes, outcome })
    this.outcomeBytes += bytes
    this.head += count
    if (this.next < this.head) this.next = this.head
    while (this.segments.length > 0 && this.segments[0]!.start + this.segments[0]!.count <= this.head) this.segments.shift()
    dropBefore(this.cancelled, this.head)
    dropBefore(this.passedOver, this.head)
  }

  /** What was sent and has no outcome counts as not sent. */
  rewind(): void {
    this.next = this.head
    this.passedOver = []
    this.stalled = false
    this.runningSinceMs = undefined
  }

  /** What was sent from this number on counts as not sent. */
  takeBack(from: number): void {
    this.next = from
    clip(this.passedOver, from)
    if (this.next === this.head) this.runningSinceMs = undefined
  }

  /** Forgets all tasks from number `count` on. */
  truncate(count: number): void {
    if (count >= this.received) return
    this.received = count
    while (this.segments.length > 0 && this.segments[this.segments.length - 1]!.start >= count) this.segments.pop()
    const last = this.segments[this.segments.length - 1]
    if (last && last.start + last.count > count) last.count = count - last.start
    while (this.runs.length > 0 && this.runs[this.runs.length - 1]!.start >= count) this.runs.pop()
    const run = this.runs[this.runs.length - 1]
    if (run && run.start + run.run.count > count) run.run = { ...run.run, count: count - run.start }
    while (this.outcomes.length > 0) {
      const kept = this.outcomes[this.outcomes.length - 1]!
      if (kept.from + kept.count <= count) break
      this.outcomes.pop()
      this.outcomeBytes -= kept.bytes
      if (kept.from < count) {
        const part = this.#part(kept, kept.from, count)
        this.outcomes.push(part)
        this.outcomeBytes += part.bytes
      }
    }
    this.head = Math.min(this.head, count)
    this.next = Math.min(this.next, count)
    this.acknowledged = Math.min(this.acknowledged, count)
    clip(this.cancelled, count)
    clip(this.passedOver, count)
  }

  /** Outcomes before number `count` are durable. */
  acknowledge(count: number): void {
    if (count <= this.acknowledged) return
    this.acknowledged = Math.min(count, this.head)
    while (this.outcomes.length > 0 && this.outcomes[0]!.from < this.acknowledged) {
      const kept = this.outcomes.shift()!
      this.outcomeBytes -= kept.bytes
      if (kept.from + kept.count > this.acknowledged) {
        const part = this.#part(kept, this.acknowledged, kept.from + kept.count)
        this.outcomes.unshift(part)
        this.outcomeBytes += part.bytes
      }
    }
    while (this.runs.length > 0 && this.runs[0]!.start + this.runs[0]!.run.count <= this.acknowledged) this.runs.shift()
  }

  /** Part of a kept outcome, from number to number. */
  #part(kept: KeptOutcome, from: number, to: number): KeptOutcome {
    const { outcome } = kept
    if (outcome.kind !== 'finished' && outcome.kind !== 'skipped') return kept
    const count = to - from
    if (outcome.kind === 'skipped') return { from, count, bytes: kept.bytes, outcome: { ...outcome, count } }
    const part: Outcome = {
      ...outcome,
      count,
      items: new Chunk(outcome.items).slice(from - kept.from, count),
      blocks: outcome.blocks.length > 0 ? this.#blocksOf(outcome.blocks, from, to) : [],
      elapsedMicros: Math.round((outcome.elapsedMicros * count) / kept.count),
    }
    return { from, count, bytes: outcomeBytes(part), outcome: part }
  }

  /** Those of the blocks that are of tasks `from` to `to - 1`, which are of one run. */
  #blocksOf(blocks: readonly TaskBlock[], from: number, to: number): TaskBlock[] {
    const [run] = this.runsBetween(from, to)
    assertInvariant(run !== undefined, `lane ${this.id} has forgotten the run of task ${from}`)
    return blocks.filter(block => block.index >= run.first && block.index < run.first + run.count)
  }

  /** Marks the unreported tasks of a job (of a stage, of ranges in it) as cancelled; the ranges of numbers that this concerns. */
  cancel(job: JobId, stage: number | undefined, ranges: readonly Range[]): NumberRange[] {
    const concerned: NumberRange[] = []
    for (let at = this.#runOf(this.head); at < this.runs.length; at++) {
      const { start, run } = this.runs[at]!
      if (run.job !== job || (stage !== undefined && run.stage !== stage)) continue
      const parts = ranges.length === 0 ? [{ first: run.first, count: run.count }] : ranges
      for (const part of parts) {
        const from = Math.max(this.head, start, start + part.first - run.first)
        const to = Math.min(start + run.count, start + part.first + part.count - run.first)
        addRange(concerned, from, to)
      }
    }
    for (const range of concerned) addRange(this.cancelled, range.from, range.to)
    return concerned
  }

  /** The lane as a registration tells it. */
  report(): LaneReport {
    const runs = this.runs.map(({ start, run }) => {
      const before = Math.max(0, this.acknowledged - start)
      return before === 0 ? run : { ...run, first: run.first + before, count: run.count - before }
    })
    return { lane: this.id, received: this.received, reported: this.head, acknowledged: this.acknowledged, runs }
  }
}

function clip(list: NumberRange[], to: number): void {
  while (list.length > 0 && list[list.length - 1]!.from >= to) list.pop()
  const last = list[list.length - 1]
  if (last && last.to > to) list[list.length - 1] = { from: last.from, to }
}
