// Owns the line in which a stage's tasks wait: runs of tasks, added and taken at both ends at the same cost however long the line is.
// Must not know accounts: ready.ts keeps those.
import type { Range } from '../../protocol/index.ts'

/** Tasks in a row that wait for a slot at the same attempt. */
export interface ReadyRun {
  first: number
  count: number
  attempt: number
  /** The worker on which the last attempt died: another one is tried first. */
  avoid: string
}

function follows(before: ReadyRun, after: ReadyRun): boolean {
  return before.first + before.count === after.first && before.attempt === after.attempt && before.avoid === after.avoid
}

function holds(run: ReadyRun, first: number, count: number, attempt: number): boolean {
  return run.attempt === attempt && run.first <= first && first + count <= run.first + run.count
}

/** Lines that are empty, as most are, share this. */
const none: ReadyRun[] = []

/** Runs in the order in which they go. */
export class ReadyLine {
  /** The front part, its first run last: so that both ends of the line are ends of arrays. */
  #front: ReadyRun[] = none
  #back: ReadyRun[] = none

  /** The line with exactly these runs: a snapshot's are not merged anew, or a replay from it would differ. */
  constructor(runs: readonly ReadyRun[] = []) {
    if (runs.length > 0) this.#front = runs.map(run => ({ ...run })).reverse()
  }

  /** How many runs stand in line. */
  get length(): number {
    return this.#front.length + this.#back.length
  }

  /** The run that goes next. */
  get head(): ReadyRun | undefined {
    this.#turn()
    return this.#front[this.#front.length - 1]
  }

  *[Symbol.iterator](): Generator<ReadyRun> {
    for (let i = this.#front.length - 1; i >= 0; i--) yield this.#front[i]!
    yield* this.#back
  }

  /** Puts a run at the end of the line. */
  push(run: ReadyRun): void {
    const last = this.#back.length > 0 ? this.#back[this.#back.length - 1] : this.#front[0]
    if (last && follows(last, run)) last.count += run.count
    else if (this.#back === none) this.#back = [{ ...run }]
    else this.#back.push({ ...run })
  }

  /** Puts a run at the front of the line. */
  unshift(run: ReadyRun): void {
    const { head } = this
    if (head && follows(run, head)) {
      head.first = run.first
      head.count += run.count
    } else if (this.#front === none) this.#front = [{ ...run }]
    else this.#front.push({ ...run })
  }

  /** The run in which the task stands, at whatever attempt. */
  find(task: number): ReadyRun | undefined {
    for (const run of this) if (run.first <= task && task < run.first + run.count) return run
    return undefined
  }

  /** True if exactly these tasks stand in one run at this attempt. */
  has(first: number, count: number, attempt: number): boolean {
    for (const run of this) if (holds(run, first, count, attempt)) return true
    return false
  }

  /** Takes tasks out, wherever they stand. False if they do not stand in one run at this attempt. */
  take(first: number, count: number, attempt: number): boolean {
    const { head } = this
    if (head && holds(head, first, count, attempt) && head.first === first) {
      head.first += count
      head.count -= count
      if (head.count === 0) this.#front.pop()
      return true
    }
    let taken = false
    this.#rebuild(run => {
      if (taken || !holds(run, first, count, attempt)) return [run]
      taken = true
      return without(run, first, first + count)
    })
    return taken
  }

  /** Takes all tasks of `first` … `first + count - 1` out, at any attempt; says which they were, in the order in which they stood. */
  drop(first: number, count: number): Range[] {
    const dropped: Range[] = []
    this.#rebuild(run => {
      const from = Math.max(run.first, first)
      const end = Math.min(run.first + run.count, first + count)
      if (from >= end) return [run]
      dropped.push({ first: from, count: end - from })
      return without(run, from, end)
    })
    return dropped
  }

  /** The back becomes the front when the front is used up. */
  #turn(): void {
    if (this.#front.length > 0 || this.#back.length === 0) return
    this.#front = this.#back.reverse()
    this.#back = none
  }

  #rebuild(change: (run: ReadyRun) => ReadyRun[]): void {
    this.#front = [...this].flatMap(change).reverse()
    this.#back = none
  }
}

/** What is left of a run without the tasks from `from` up to `end`. */
function without(run: ReadyRun, from: number, end: number): ReadyRun[] {
  const before = { ...run, count: from - run.first }
  const after = { ...run, first: end, count: run.first + run.count - end }
  return [before, after].filter(part => part.count > 0)
}
