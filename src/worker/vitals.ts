// Owns measuring the machine and the agent for heartbeats. Must not judge what it measures.
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { cpus, freemem, totalmem } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** The event loop's delay is sampled so often; it wakes the process each time. */
const delayResolutionMs = 100
/** user, nice, system, idle, iowait, irq, softirq, steal: what comes after is counted in these. */
const countedFields = 8
/** The disk is asked once in so many heartbeats. */
const diskEvery = 10

/** What a heartbeat tells. */
export interface Vitals {
  cpuShare: number
  memoryUsedBytes: number
  memoryFreeBytes: number
  eventLoopDelayMs: number
  diskFreeBytes: number
}

export class VitalSigns {
  readonly #folder: string
  readonly #delay = monitorEventLoopDelay({ resolution: delayResolutionMs })
  #cpu = cpuTimes()
  #diskFreeBytes = 0
  #measured = 0

  constructor(folder: string) {
    this.#folder = folder
    this.#delay.enable()
  }

  /** Measures since the last call. */
  measure(): Vitals {
    if (this.#measured++ % diskEvery === 0) void this.#measureDisk()
    const cpu = cpuTimes()
    const total = cpu.total - this.#cpu.total
    const cpuShare = total > 0 ? Math.min(1, Math.max(0, 1 - (cpu.idle - this.#cpu.idle) / total)) : 0
    this.#cpu = cpu
    const delayMs = this.#delay.count > 0 ? Math.max(0, this.#delay.percentile(99) / 1e6 - delayResolutionMs) : 0
    this.#delay.reset()
    const free = freemem()
    return {
      cpuShare,
      memoryUsedBytes: Math.max(0, totalmem() - free),
      memoryFreeBytes: free,
      eventLoopDelayMs: Number.isFinite(delayMs) ? delayMs : 0,
      diskFreeBytes: this.#diskFreeBytes,
    }
  }

  stop(): void {
    this.#delay.disable()
  }

  async #measureDisk(): Promise<void> {
    try {
      const disk = await statfs(this.#folder)
      this.#diskFreeBytes = disk.bavail * disk.bsize
    } catch {
      this.#diskFreeBytes = 0
    }
  }
}

/** Time of all cpus together, in whatever unit: only shares of it are used. */
function cpuTimes(): { idle: number; total: number } {
  try {
    // One short line; os.cpus() would read much more.
    const [, ...fields] = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]!.split(/\s+/)
    const times = fields.slice(0, countedFields).map(Number)
    return { idle: times[3]! + times[4]!, total: times.reduce((sum, time) => sum + time, 0) }
  } catch {
    return cpuTimesElsewhere()
  }
}

function cpuTimesElsewhere(): { idle: number; total: number } {
  let idle = 0
  let total = 0
  for (const { times } of cpus()) {
    idle += times.idle
    total += times.user + times.nice + times.sys + times.idle + times.irq
  }
  return { idle, total }
}
