// Owns measuring the machine and the agent for heartbeats. Must not judge what it measures.
import { statfs } from 'node:fs/promises'
import { cpus, freemem, totalmem } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** The event loop's delay is sampled so often; it wakes the process each time. */
const delayResolutionMs = 50
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

function cpuTimes(): { idle: number; total: number } {
  let idle = 0
  let total = 0
  for (const { times } of cpus()) {
    idle += times.idle
    total += times.user + times.nice + times.sys + times.idle + times.irq
  }
  return { idle, total }
}
