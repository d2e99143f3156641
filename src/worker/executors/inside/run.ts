// Owns calling a user's function with its input, checked, and what comes out of it.
// Must not report anything: how a task ends is told by its lane.
import type { AsyncLocalStorage } from 'node:async_hooks'
import {
  type BlockReference,
  type Chunk,
  decodeValue,
  itemBlock,
  itemInline,
  type ReadInput,
  readInput,
  readItem,
} from '../../../protocol/index.ts'
import type { Attempt, AttemptHost } from './attempt.ts'
import type { InputBlocks } from './blocks.ts'
import { nowMs } from './clock.ts'
import { errorFailure, validate } from './judge.ts'
import { type AttemptFailure, attemptFailure } from './outbox.ts'
import type { Definition } from './program.ts'

/** In batches of up to so many tasks each has its own asynchronous context, so that what it leaves behind is known to be its own. */
const ownContextTasksMax = 64

/** What running tasks needs of the process. */
export interface TaskHost extends AttemptHost {
  readonly blocks: InputBlocks
  /** Several lanes run here. */
  readonly shared: boolean
  readonly contexts: AsyncLocalStorage<Attempt>
  definition(task: string): Definition | undefined
}

/** What user code came to. `spread`: its value is a list of inputs for other tasks. */
export type TaskEnd = { value: unknown; spread?: boolean } | { failure: AttemptFailure }

/** Runs a task with the chunk's item at this position. `awaited` is called when its end has to be waited for. */
export function runTask(host: TaskHost, attempt: Attempt, chunk: Chunk, position: number, awaited: () => void): TaskEnd | Promise<TaskEnd> {
  const { task } = attempt.batch
  const definition = host.definition(task)
  if (!definition) return { failure: attemptFailure('TASK_NOT_FOUND', `The program has no task named ${JSON.stringify(task)}.`, '', false) }
  const input = inputAt(host, attempt, chunk, position)
  if ('failure' in input) return input
  if (definition.input || definition.output || input instanceof Promise) return runSlowly(host, attempt, definition, input, awaited)
  const { spread } = input
  try {
    const value = call(host, attempt, definition, input.value, chunk.count)
    if (!isThenable(value)) return { value, spread }
    awaited()
    return settled(value, spread)
  } catch (error) {
    return { failure: errorFailure(error) }
  }
}

/** The input at this position, at once unless a part of it is a block; or why there is none. */
function inputAt(
  host: TaskHost,
  attempt: Attempt,
  chunk: Chunk,
  position: number,
): ReadInput | Promise<ReadInput> | { failure: AttemptFailure } {
  const { buffer } = chunk
  const start = chunk.start(position)
  try {
    if (buffer[start] === itemInline) return { value: decodeValue(buffer, start + 1, chunk.end(position)), spread: false }
    return readInput(chunk.item(position), reference => fetchBlock(host, attempt, chunk, position, reference))
  } catch (error) {
    return { failure: inputFailure(error) }
  }
}

function inputFailure(error: unknown): AttemptFailure {
  const { code, message } = error as Error & { code?: unknown }
  return attemptFailure(String(code), message, '', code !== 'VALUE_MALFORMED')
}

async function settled(result: PromiseLike<unknown>, spread: boolean): Promise<TaskEnd> {
  try {
    return { value: await result, spread }
  } catch (error) {
    return { failure: errorFailure(error) }
  }
}

function call(host: TaskHost, attempt: Attempt, definition: Definition, input: unknown, batchTasks: number): unknown {
  if (!host.shared && batchTasks > ownContextTasksMax) return definition.run(input, attempt.context)
  return host.contexts.run(attempt, () => definition.run(input, attempt.context))
}

/** The way of a task with schemas, or whose input is a block. */
async function runSlowly(
  host: TaskHost,
  attempt: Attempt,
  definition: Definition,
  input: ReadInput | Promise<ReadInput>,
  awaited: () => void,
): Promise<TaskEnd> {
  let value: unknown
  let spread = false
  try {
    ;({ value, spread } = await input)
  } catch (error) {
    return { failure: inputFailure(error) }
  }
  awaited()
  try {
    if (definition.input) {
      const checked = await validate(definition.input, value, 'input')
      if (checked.failure) return { failure: attemptFailure('SCHEMA_VIOLATION', checked.failure, '', false) }
      value = checked.value
    }
    value = await call(host, attempt, definition, value, 1)
    if (!definition.output) return { value, spread }
    const checked = await validate(definition.output, value, 'result')
    return checked.failure
      ? { failure: attemptFailure('TASK_RESULT_INVALID', checked.failure, '', false) }
      : { value: checked.value, spread }
  } catch (error) {
    return { failure: errorFailure(error) }
  }
}

/** Reads an input's block; those of the tasks behind it are asked for at the same time. The task's clock does not run meanwhile. */
async function fetchBlock(host: TaskHost, attempt: Attempt, chunk: Chunk, position: number, reference: BlockReference): Promise<Buffer> {
  for (let i = position + 1; i < chunk.count; i++) {
    const item = chunk.item(i)
    if (item[0] !== itemBlock) continue
    const next = readItem(item)
    if ('block' in next) host.blocks.want(next)
  }
  const { lane } = attempt.batch
  host.link.send({ kind: 'clock', lane, running: false })
  const bytes = await host.blocks.read(reference)
  attempt.startedAtMs = nowMs()
  host.link.send({ kind: 'clock', lane, running: true })
  return bytes
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
