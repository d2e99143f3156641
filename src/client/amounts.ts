// Owns how users write amounts: resources, sizes and durations, and the refusal of what is none.
// Must not know tasks beyond the name that messages carry.
import { CoxswainError, limits, type Resources } from '../protocol/index.ts'

/** A size in bytes, or text such as `'512mb'` or `'2gb'` (1 kb = 1024 bytes). */
export type Size = number | string

/** A duration in milliseconds, or text such as `'250ms'`, `'30s'`, `'5m'`, `'2h'`, `'1d'`. */
export type Duration = number | string

/** What one task asks of the worker that runs it. */
export interface ResourceOptions {
  /** Cores, 0.01 or more; fractions share one process. Default 1. */
  cpus?: number
  /** Memory for the task. Default `'256mb'`. */
  memory?: Size
  /** Graphics processors. Default 0. */
  gpus?: number
  /** Amounts of resources that workers were started with, by name. */
  resources?: Record<string, number>
}

const cpusDefault = 1
const memoryBytesDefault = 256 << 20
const cpusMin = 0.01
/** More than any machine has: larger amounts are mistakes. */
const amountMax = 1_000_000
const memoryBytesMax = 2 ** 50
const namedMax = 64
const durationMsMax = 2 ** 31 - 1

const sizeUnits: Readonly<Record<string, number>> = { b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30, tb: 2 ** 40 }
const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}

/** A number with one of the units, or undefined. */
function withUnit(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text)
  const unit = match ? units[match[2]!.toLowerCase().replace(/^([kmgt])ib$/, '$1b')] : undefined
  return match && unit !== undefined ? Number(match[1]) * unit : undefined
}

/** The bytes that a size means, or undefined if it means none. */
export function sizeBytes(size: Size): number | undefined {
  const bytes = typeof size === 'number' ? size : typeof size === 'string' ? withUnit(size, sizeUnits) : undefined
  return bytes !== undefined && Number.isFinite(bytes) && bytes >= 0 ? Math.round(bytes) : undefined
}

/** The milliseconds that a duration means; throws `code` naming the field. */
export function durationMs(
  duration: Duration,
  field: string,
  code: 'INVALID_TASK' | 'INVALID_WORKFLOW' | 'INVALID_SCHEDULE' | 'INVALID_ARGUMENT',
  msMax = durationMsMax,
): number {
  const value = typeof duration === 'number' ? duration : typeof duration === 'string' ? withUnit(duration, durationUnits) : undefined
  if (value === undefined || !Number.isFinite(value) || value < 0 || value > msMax) {
    const days = Math.floor(msMax / durationUnits['d']!)
    throw new CoxswainError(code, `${field} is ${shown(duration)}: it must be milliseconds or text like "30s", at most ${days} days.`, {
      id: field,
    })
  }
  return Math.ceil(value)
}

function invalid(task: string, field: string, value: unknown, rule: string): CoxswainError {
  return new CoxswainError('INVALID_RESOURCES', `Task ${task}: ${field} is ${shown(value)}: ${rule}.`, { id: task })
}

function amountMillis(task: string, field: string, value: unknown, least: number): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < least || value > amountMax) {
    throw invalid(task, field, value, `it must be a number from ${least} to ${amountMax}`)
  }
  return Math.round(value * 1000)
}

/** The resources of a task; throws INVALID_RESOURCES naming field and task. */
export function parseResources(task: string, options: ResourceOptions): Resources {
  const memoryBytes = options.memory === undefined ? memoryBytesDefault : sizeBytes(options.memory)
  if (memoryBytes === undefined || memoryBytes > memoryBytesMax) {
    throw invalid(task, 'memory', options.memory, 'it must be bytes or text like "512mb"')
  }
  const entries = Object.entries(options.resources ?? {})
  if (entries.length > namedMax) throw invalid(task, 'resources', `${entries.length} names`, `at most ${namedMax} are allowed`)
  const named = []
  for (const [name, amount] of entries) {
    if (name === '' || Buffer.byteLength(name) > limits.nameBytesMax) throw invalid(task, 'resources', name, 'this is no usable name')
    const millis = amountMillis(task, `resources.${name}`, amount, 0)
    if (millis > 0) named.push({ name, millis })
  }
  named.sort((a, b) => (a.name < b.name ? -1 : 1))
  return {
    cpuMillis: amountMillis(task, 'cpus', options.cpus ?? cpusDefault, cpusMin),
    memoryBytes,
    gpuMillis: amountMillis(task, 'gpus', options.gpus ?? 0, 0),
    named,
  }
}
