// Owns what the nouns of the client share: the session, programs, blocks, and the plan of a job from a task.
// Must not send jobs: submitter.ts does.
import { createHash } from 'node:crypto'
import type { Clock, Platform } from '../platform/index.ts'
import { type BlockReference, CoxswainError, checkJobId, type JobPlan, limits, type StagePlan } from '../protocol/index.ts'
import type { Blocks } from './blocks/blocks.ts'
import { isTask, type TaskOf } from './define.ts'
import type { Program } from './programs/bundle.ts'
import type { Programs } from './programs/cache.ts'
import type { Session } from './session.ts'

/** What can be said about every job. */
export interface JobOptions {
  /** The job's id, an idempotency key: the same id with the same content is the same job. Made by the SDK if missing. */
  id?: string
  /** Higher goes first, from -100 to 100. Default 0. */
  priority?: number
  /** Words to find the job by. */
  labels?: readonly string[]
  /** True: the job goes on when this client ends. False: it is cancelled then. */
  detached?: boolean
  /** Cancels what was asked. */
  signal?: AbortSignal
}

/** A task with its program: all that is needed to send it. */
export interface Prepared {
  stage: StagePlan
  program: Program
}

/** What all nouns of one cluster connection share. */
export interface Parts {
  readonly platform: Platform
  readonly clock: Clock
  readonly session: Session
  readonly programs: Programs
  readonly blocks: Blocks
  readonly plans: Plans
}

const priorityMax = 100
const labelBytesMax = 200
const timeDigits = 9
const chanceDigits = 20

/** An id that sorts by time and cannot be guessed. */
export function newJobId(platform: Platform): string {
  const time = Math.floor(platform.clock.wallMs()).toString(36).padStart(timeDigits, '0')
  return `${time}-${platform.random.uuid().replaceAll('-', '').slice(-chanceDigits)}`
}

/** Throws INVALID_ARGUMENT unless the options can be used. */
export function checkJobOptions(options: JobOptions): void {
  if (options.id !== undefined) checkJobId(options.id)
  const priority = options.priority ?? 0
  if (!Number.isInteger(priority) || Math.abs(priority) > priorityMax) {
    throw new CoxswainError(
      'INVALID_ARGUMENT',
      `priority is ${priority}: it must be a whole number from -${priorityMax} to ${priorityMax}.`,
      { id: 'priority' },
    )
  }
  const labels = options.labels ?? []
  if (
    !Array.isArray(labels) ||
    labels.length > limits.labelsMax ||
    labels.some(label => typeof label !== 'string' || label === '' || Buffer.byteLength(label) > labelBytesMax)
  ) {
    throw new CoxswainError('INVALID_ARGUMENT', `labels must be at most ${limits.labelsMax} texts of 1 to ${labelBytesMax} bytes.`, {
      id: 'labels',
    })
  }
}

/** Hashes what a job asks for: names, policies and inputs, but not the program, so that a corrected program is no other job. */
export class ContentHash {
  readonly #digest = createHash('sha256')

  /** `limited`: what limits it besides the stage's plan. */
  constructor(kind: string, stage: StagePlan, limited?: unknown) {
    const { task, resources, retry, timeoutMs } = stage
    this.#digest.update(JSON.stringify([kind, task, resources, retry, timeoutMs, ...(limited === undefined ? [] : [limited])]))
  }

  /** Adds the bytes of inputs. */
  add(items: Uint8Array): this {
    this.#digest.update(items)
    return this
  }

  /** Adds an input that is a block, wherever it is stored. */
  addBlock(reference: BlockReference): this {
    this.#digest.update(`block ${reference.block} ${reference.bytes}`)
    return this
  }

  finish(): string {
    return this.#digest.digest('hex')
  }
}

/** A job of one stage, as plain data. */
export function jobPlan(
  job: string,
  stage: StagePlan,
  contentHash: string,
  session: string,
  options: JobOptions,
  detached: boolean,
): JobPlan {
  return {
    job,
    name: stage.task,
    contentHash,
    labels: [...(options.labels ?? [])],
    priority: options.priority ?? 0,
    session,
    detached: options.detached ?? detached,
    stages: [stage],
  }
}

/** Plans of tasks, each made once. */
export class Plans {
  readonly #programs: Programs
  readonly #prepared = new WeakMap<object, Prepared>()

  constructor(programs: Programs) {
    this.#programs = programs
  }

  /** A task's plan if it was made before. */
  find(task: TaskOf<unknown, unknown>): Prepared | undefined {
    return this.#prepared.get(task)
  }

  /** A task's plan; its program is made if need be. */
  async get(task: TaskOf<unknown, unknown>): Promise<Prepared> {
    const found = this.#prepared.get(task)
    if (found) return found
    const program = await this.#programs.get(task.module, task.external)
    const { resources, retry, timeoutMs } = task.policy
    const prepared = { program, stage: { task: task.name, program: program.id, resources, retry, timeoutMs, edges: [] } }
    this.#prepared.set(task, prepared)
    return prepared
  }
}

/** Throws INVALID_TASK for what was not made by `task()`. */
export function checkTask(task: unknown): void {
  if (!isTask(task)) throw new CoxswainError('INVALID_TASK', 'The first argument is not a task: pass what task() returned.')
}
