// Owns walking along runs of tasks: taking tasks off their front, and looking ahead without taking any.
// Must not know what becomes of a task.
import type { Range } from '../../protocol/index.ts'

/** Takes the next tasks off, `count` or as many as there are: whole runs as they are, and the front of the one behind them. */
export function takeOff<T extends Range>(runs: T[], count: number): T[] {
  let whole = 0
  let left = count
  while (whole < runs.length && runs[whole]!.count <= left) left -= runs[whole++]!.count
  const taken = runs.splice(0, whole)
  const next = runs[0]
  if (left > 0 && next) {
    taken.push({ ...next, count: left })
    next.first += left
    next.count -= left
  }
  return taken
}

/** Walks along runs without changing them. */
export class RunCursor<T extends Range> {
  readonly #runs: readonly T[]
  #at = 0
  #used = 0

  constructor(runs: readonly T[]) {
    this.#runs = runs
  }

  /** The next tasks as parts of runs, `count` or as many as there are. */
  take(count: number): T[] {
    const parts: T[] = []
    for (let left = count; left > 0 && this.#at < this.#runs.length; ) {
      const run = this.#runs[this.#at]!
      const part = { ...run, first: run.first + this.#used, count: Math.min(left, run.count - this.#used) }
      parts.push(part)
      left -= part.count
      this.#used += part.count
      if (this.#used < run.count) break
      this.#at++
      this.#used = 0
    }
    return parts
  }
}
