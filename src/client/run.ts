// Owns `run`: calls of one turn for the same task become one job, each call one of its tasks.
// Must not make callers wait for one another: each is answered and cancelled on its own.
import { encodeValue } from '../protocol/index.ts'
import { copiedSegments } from './blocks/segments.ts'
import type { TaskOf } from './define.ts'
import { addInline } from './items.ts'
import type { Parts } from './parts.ts'
import { abortReason } from './pause.ts'
import { RunBatch, type RunOptions } from './run-batch.ts'
import { checkInput } from './schema.ts'
import type { Submitter } from './submitter.ts'

/** The calls of `run` of one connection. */
export class Runner {
  readonly #parts: Parts
  readonly #submitter: Submitter
  #open = new Map<TaskOf<unknown, unknown>, Map<string, RunBatch>>()
  #scheduled = false

  constructor(parts: Parts, submitter: Submitter) {
    this.#parts = parts
    this.#submitter = submitter
  }

  /** Calls a task once. */
  run(task: TaskOf<unknown, unknown>, input: unknown, options: RunOptions): Promise<unknown> {
    const { signal } = options
    if (signal?.aborted) return Promise.reject(abortReason(signal))
    try {
      const checking = task.input && checkInput(task.name, task.input, input)
      if (checking) return checking.then(() => this.#add(task, input, options))
      return this.#add(task, input, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #add(task: TaskOf<unknown, unknown>, input: unknown, options: RunOptions): Promise<unknown> {
    const batch = this.#batch(task, options)
    if (addInline(batch.chunk, input)) return batch.wait(options.signal)
    return this.#parts.blocks.store(copiedSegments(encodeValue(input)), options.signal).then(reference => {
      const open = this.#batch(task, options)
      open.addBlock(reference)
      return open.wait(options.signal)
    })
  }

  /** The batch that takes the next call of this task with these options. */
  #batch(task: TaskOf<unknown, unknown>, options: RunOptions): RunBatch {
    let batches = this.#open.get(task)
    if (!batches) {
      batches = new Map()
      this.#open.set(task, batches)
    }
    const key = options.priority === undefined && options.labels === undefined ? '' : JSON.stringify([options.priority, options.labels])
    let batch = batches.get(key)
    if (batch?.full) {
      this.#send(batch)
      batch = undefined
    }
    if (!batch) {
      batch = new RunBatch(this.#parts, task, options)
      batches.set(key, batch)
      if (!this.#scheduled) {
        this.#scheduled = true
        this.#parts.clock.soon(() => this.#flush())
      }
    }
    return batch
  }

  #flush(): void {
    const open = this.#open
    this.#open = new Map()
    this.#scheduled = false
    for (const batches of open.values()) for (const batch of batches.values()) this.#send(batch)
    this.#submitter.flush()
  }

  #send(batch: RunBatch): void {
    if (batch.count === 0) return
    const prepared = this.#parts.plans.find(batch.task)
    if (prepared) batch.send(this.#submitter, prepared)
    else
      this.#parts.plans.get(batch.task).then(
        made => batch.send(this.#submitter, made),
        error => batch.fail(error),
      )
  }
}
