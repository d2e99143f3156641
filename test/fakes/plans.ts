// Builds what scenarios ask for: plans of jobs, chunks of inputs, amounts of resources.
import { ChunkWriter, type Inputs, type JobPlan, type Resources, type StagePlan, type TaskBlock } from '../../src/protocol/index.ts'

/** The program of every job that names no other. */
export const program = 'a'.repeat(64)

/** Some cpus and nothing else, unless more is asked for. */
export function amount(cpus: number, more: Partial<Resources> = {}): Resources {
  return { cpuMillis: cpus * 1000, memoryBytes: 0, gpuMillis: 0, named: [], ...more }
}

export interface StageOptions {
  task?: string
  program?: string
  cpus?: number
  resources?: Resources
  retries?: number
  backoffMs?: number
  backoffMsMax?: number
  timeoutMs?: number
  after?: number[]
}

/** A stage that asks for one cpu and is not retried. */
export function stage(options: StageOptions = {}): StagePlan {
  return {
    task: options.task ?? 'work',
    program: options.program ?? program,
    resources: options.resources ?? amount(options.cpus ?? 1),
    retry: {
      retriesMax: options.retries ?? 0,
      backoffBaseMs: options.backoffMs ?? 100,
      backoffMsMax: options.backoffMsMax ?? 10_000,
    },
    timeoutMs: options.timeoutMs ?? 0,
    edges: (options.after ?? []).map(producer => ({ kind: 'after' as const, producer })),
  }
}

export interface JobOptions {
  name?: string
  content?: string
  labels?: string[]
  priority?: number
  session?: string
  detached?: boolean
  stages?: StagePlan[]
}

/** A detached job of one stage, unless told otherwise. */
export function plan(job: string, options: JobOptions = {}): JobPlan {
  return {
    job,
    name: options.name ?? 'work',
    contentHash: options.content ?? 'c0',
    labels: options.labels ?? [],
    priority: options.priority ?? 0,
    session: options.session ?? 'session-1',
    detached: options.detached ?? true,
    stages: options.stages ?? [stage()],
  }
}

/** A chunk of one item per text. */
export function chunkOf(texts: readonly string[]): Buffer {
  const writer = new ChunkWriter()
  for (const text of texts) writer.add(Buffer.from(text))
  return writer.finish()
}

export interface InputOptions {
  stage?: number
  first?: number
  open?: boolean
  blocks?: TaskBlock[]
  /** Bytes of each item. */
  itemBytes?: number
}

/** Inputs for `count` tasks. The stage is sealed with them unless it is to stay open. */
export function inputs(count: number, options: InputOptions = {}): Inputs {
  const text = 'i'.repeat(options.itemBytes ?? 4)
  return {
    stage: options.stage ?? 0,
    first: options.first ?? 0,
    items: chunkOf(Array.from({ length: count }, () => text)),
    blocks: options.blocks ?? [],
    seal: !options.open,
  }
}

/** The hash of a block, from a short name. */
export function blockId(name: string): string {
  return Buffer.from(name).toString('hex').padEnd(64, '0')
}

/** A block of a task. */
export function block(index: number, name: string, holder: string): TaskBlock {
  return { index, block: blockId(name), bytes: 100_000, holder }
}
