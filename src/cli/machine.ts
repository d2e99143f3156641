// Owns what this machine has to give: cores and memory, as far as its container allows.
// Must not measure use: workers do.
import { availableParallelism, totalmem } from 'node:os'

/** The part of the memory that workers may promise to tasks; the rest is for leader, agents and the system. */
const workerMemoryShare = 0.8

/** Cores this process may use. */
export function cores(): number {
  return availableParallelism()
}

/** Memory this process may use, in bytes. */
export function memoryBytes(): number {
  const limit = process.constrainedMemory()
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

/** Memory for the tasks of one of so many workers, in bytes. */
export function workerMemoryBytes(workers: number): number {
  return Math.floor((memoryBytes() * workerMemoryShare) / workers)
}
