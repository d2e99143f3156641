// A worker in memory: it takes assignments, runs nothing, and tells outcomes when it is told to. It accounts by lane numbers as agents do.
import assert from 'node:assert/strict'
import { type LaneReport, type Outcome, outcomeTasks, type Run, type TaskBlock } from '../../src/protocol/index.ts'
import { chunkOf } from './plans.ts'

export interface LaneTask {
  job: string
  stage: number
  index: number
  attempt: number
}

/** A lane as a worker knows it. */
export class FakeLane {
  readonly id: number
  tasks: LaneTask[] = []
  /** Tasks with an outcome, and of these acknowledged. */
  head = 0
  acknowledged = 0
  /** Outcomes that are not acknowledged, oldest first. */
  kept: Outcome[] = []

  constructor(id: number) {
    this.id = id
  }

  /** Tasks without an outcome. */
  get open(): LaneTask[] {
    return this.tasks.slice(this.head)
  }

  /** Forgets all tasks from number `count` on. */
  truncate(count: number): void {
    this.tasks.length = Math.min(this.tasks.length, count)
    assert(this.head <= this.tasks.length, 'a task with an outcome is to be forgotten')
  }

  report(): LaneReport {
    const runs: Run[] = []
    for (const task of this.tasks.slice(this.acknowledged)) {
      const last = runs[runs.length - 1]
      if (
        last &&
        last.job === task.job &&
        last.stage === task.stage &&
        last.attempt === task.attempt &&
        last.first + last.count === task.index
      )
        last.count++
      else runs.push({ job: task.job, stage: task.stage, first: task.index, count: 1, attempt: task.attempt })
    }
    return { lane: this.id, received: this.tasks.length, reported: this.head, acknowledged: this.acknowledged, runs }
  }
}

/** The result that a task of this name gives. */
export function resultOf(task: { job: string; stage: number; index: number }): string {
  return `result of ${task.job}/${task.stage}/${task.index}`
}

export class FakeWorker {
  readonly id: string
  boot: string
  incarnation = 0
  connected = false
  readonly lanes = new Map<number, FakeLane>()

  constructor(id: string, boot: string) {
    this.id = id
    this.boot = boot
  }

  /** Lanes that have something to run, in the order in which they were opened. */
  get busy(): FakeLane[] {
    return [...this.lanes.values()].filter(lane => lane.open.length > 0)
  }

  /** All tasks that it has and that have no outcome. */
  get tasks(): LaneTask[] {
    return this.busy.flatMap(lane => lane.open)
  }

  /** Takes what it is handed, by the record or by the message of it. */
  receive(record: { lane: number; incarnation: number; runs: Run[] }): void {
    assert.equal(record.incarnation, this.incarnation)
    const lane = this.lanes.get(record.lane) ?? new FakeLane(record.lane)
    this.lanes.set(lane.id, lane)
    for (const { job, stage, first, count, attempt } of record.runs) {
      for (let index = first; index < first + count; index++) lane.tasks.push({ job, stage, index, attempt })
    }
  }

  /** What a lane's next tasks came to; kept until it is acknowledged. Says from which number on. */
  settle(lane: FakeLane, outcomes: Outcome[]): number {
    const from = lane.head
    for (const outcome of outcomes) {
      lane.head += outcomeTasks(outcome)
      lane.kept.push(outcome)
    }
    assert(lane.head <= lane.tasks.length)
    return from
  }

  /** Outcomes before number `count` are durable. */
  acknowledge(lane: FakeLane, count: number): void {
    while (lane.acknowledged < count) lane.acknowledged += outcomeTasks(lane.kept.shift()!)
    if (lane.acknowledged === lane.tasks.length) this.lanes.delete(lane.id)
  }

  /** The registration was answered: lanes that are not kept are dropped, and the others cut. */
  keep(keep: readonly { lane: number; tasks: number }[]): void {
    const kept = new Map(keep.map(one => [one.lane, one.tasks]))
    for (const lane of [...this.lanes.values()]) {
      const tasks = kept.get(lane.id)
      if (tasks === undefined) this.lanes.delete(lane.id)
      else lane.truncate(tasks)
    }
  }
}

/** The next `count` tasks of a lane finished; they must be of one run. */
export function finished(lane: FakeLane, count = 1, blocks: TaskBlock[] = [], elapsedMicros = 1000): Outcome {
  return { kind: 'finished', count, items: chunkOf(lane.open.slice(0, count).map(resultOf)), blocks, elapsedMicros }
}

/** A task failed. */
export function failed(code = 'TASK_FAILED', retryable = true): Outcome {
  return { kind: 'failed', code, message: `it said ${code}`, stack: `at ${code}`, retryable, elapsedMicros: 1000 }
}
