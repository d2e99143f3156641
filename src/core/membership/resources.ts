// Owns arithmetic on resource vectors (algorithm 1 of the source document: a task runs where required ≤ available).
// Must not know workers or tasks.
import type { Resources } from '../../protocol/index.ts'

function named(resources: Resources, name: string): number {
  for (const one of resources.named) if (one.name === name) return one.millis
  return 0
}

/** True if every amount of `required` is there. */
export function fits(required: Resources, available: Resources): boolean {
  if (required.cpuMillis > available.cpuMillis || required.memoryBytes > available.memoryBytes || required.gpuMillis > available.gpuMillis)
    return false
  for (const one of required.named) if (one.millis > named(available, one.name)) return false
  return true
}

/** Changes `target` by `sign` × `amount`. */
export function change(target: Resources, amount: Resources, sign: 1 | -1): void {
  target.cpuMillis += sign * amount.cpuMillis
  target.memoryBytes += sign * amount.memoryBytes
  target.gpuMillis += sign * amount.gpuMillis
  for (const one of amount.named) {
    const mine = target.named.find(other => other.name === one.name)
    if (mine) mine.millis += sign * one.millis
    else target.named.push({ name: one.name, millis: sign * one.millis })
  }
}

export function copy(resources: Resources): Resources {
  return { ...resources, named: resources.named.map(one => ({ ...one })) }
}

/** The largest share of any resource that is used, 0 to 1. */
export function usedShare(capacity: Resources, free: Resources): number {
  let share = 0
  const consider = (has: number, left: number): void => {
    if (has > 0) share = Math.max(share, (has - left) / has)
  }
  consider(capacity.cpuMillis, free.cpuMillis)
  consider(capacity.memoryBytes, free.memoryBytes)
  consider(capacity.gpuMillis, free.gpuMillis)
  for (const one of capacity.named) consider(one.millis, named(free, one.name))
  return share
}

/** The first resource of which `required` asks for more than there is, in words, or undefined. */
export function shortage(required: Resources, available: Resources): string | undefined {
  if (required.cpuMillis > available.cpuMillis) return `asks for ${required.cpuMillis / 1000} cpus; there are ${available.cpuMillis / 1000}`
  if (required.memoryBytes > available.memoryBytes)
    return `asks for ${mebibytes(required.memoryBytes)} MiB of memory; there are ${mebibytes(available.memoryBytes)} MiB`
  if (required.gpuMillis > available.gpuMillis) return `asks for ${required.gpuMillis / 1000} gpus; there are ${available.gpuMillis / 1000}`
  for (const one of required.named) {
    if (one.millis > named(available, one.name))
      return `asks for ${one.millis / 1000} of ${one.name}; there are ${named(available, one.name) / 1000}`
  }
  return undefined
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20)
}
