// Owns when each step began and ended, in four bytes for each of the two.
// Must not read a clock: times are cluster time, given with the facts.
import { SparseMap } from '../sparse.ts'
import type { Rows } from './rows.ts'

/** Times as far behind the job's submit as this (some 24 days) stand in a map of their own. */
const nearMaxMs = 2 ** 31 - 2

/** One moment of each step, or none. */
class Moments {
  /** In this field, 0: none; -1: a far one; else milliseconds since the job was submitted, and one. */
  readonly #rows: Rows
  readonly #field: number
  readonly #far = new SparseMap<number, number>()

  constructor(rows: Rows, field: number) {
    this.#rows = rows
    this.#field = field
  }

  at(step: number): number | undefined {
    const near = this.#rows.at(step, this.#field)
    return near === 0 ? undefined : near < 0 ? this.#far.get(step) : near - 1
  }

  set(step: number, sinceMs: number | undefined): void {
    if (sinceMs !== undefined && sinceMs > nearMaxMs) this.#far.set(step, sinceMs)
    this.#rows.set(step, this.#field, sinceMs === undefined ? 0 : sinceMs > nearMaxMs ? -1 : sinceMs + 1)
  }
}

/** When steps began and ended, in milliseconds since their job was submitted. */
export class StepTimes {
  readonly #began: Moments
  readonly #ended: Moments

  /** They stand in these fields of the rows of steps, which are 0 at first. */
  constructor(rows: Rows, began: number, ended: number) {
    this.#began = new Moments(rows, began)
    this.#ended = new Moments(rows, ended)
  }

  /** When its first task was handed out, or its waiting began; undefined before. */
  began(step: number): number | undefined {
    return this.#began.at(step)
  }

  /** When it had its end. */
  ended(step: number): number | undefined {
    return this.#ended.at(step)
  }

  /** It begins, unless it did before. */
  begin(step: number, sinceMs: number): void {
    if (this.#began.at(step) === undefined) this.#began.set(step, sinceMs)
  }

  end(step: number, sinceMs: number): void {
    this.#ended.set(step, sinceMs)
  }

  /** Both as they are written: 0 for none, else one more than the time. */
  written(step: number): { began: number; ended: number } {
    return { began: (this.#began.at(step) ?? -1) + 1, ended: (this.#ended.at(step) ?? -1) + 1 }
  }

  restore(step: number, { began, ended }: { began: number; ended: number }): void {
    this.#began.set(step, began === 0 ? undefined : began - 1)
    this.#ended.set(step, ended === 0 ? undefined : ended - 1)
  }
}
