// Owns which step needs which, and how, in columns: both ways, from a step to what it needs, and from a step to those that need it.
// Must not know how far any step is.
import { type Need, type NeedKind, needKinds } from '../../protocol/index.ts'
import { SparseMap, SparseSet } from '../sparse.ts'
import { Column } from './column.ts'

const nothing: readonly Need[] = []

/** The need from which it follows how many tasks a step has. */
export interface WidthNeed {
  kind: 'each' | 'spread' | 'fold'
  step: number
}

/** The needs of all steps of one workflow. */
export class NeedTable {
  /** Needs of step s are `from(s)` … `from(s + 1) - 1`. */
  readonly #from = new Column()
  readonly #kind = new Column()
  readonly #step = new Column()
  readonly #owner = new Column()
  /** Chain of the needs that name a step, in the order in which they came. */
  readonly #firstUse = new Column()
  readonly #lastUse = new Column()
  readonly #nextUse = new Column()
  readonly #widthNeeds = new SparseMap<number, WidthNeed>()
  /** Steps whose results mean more to others than a value: a branch, or a list of inputs. */
  readonly looked = new SparseSet<number>()
  /** Steps whose tasks others follow one by one. */
  readonly followed = new SparseSet<number>()

  constructor() {
    this.#from.push(0)
  }

  /** Makes room for so many more steps and needs. */
  reserve(steps: number, needs: number): void {
    for (const column of [this.#from, this.#firstUse, this.#lastUse]) column.reserve(steps)
    for (const column of [this.#kind, this.#step, this.#owner, this.#nextUse]) column.reserve(needs)
  }

  /** Appends the needs of the next step, which is `owner`; their numbers are counted from `base`. */
  add(owner: number, needs: readonly Need[], base: number): void {
    this.#firstUse.push(-1)
    this.#lastUse.push(-1)
    for (const need of needs) this.#addOne(owner, need.kind, base + need.step)
    this.#from.push(this.#kind.length)
  }

  #addOne(owner: number, kind: NeedKind, step: number): void {
    const use = this.#kind.length
    this.#kind.push(needKinds.indexOf(kind))
    this.#step.push(step)
    this.#owner.push(owner)
    this.#nextUse.push(-1)
    const last = this.#lastUse.at(step)
    if (last < 0) this.#firstUse.set(step, use)
    else this.#nextUse.set(last, use)
    this.#lastUse.set(step, use)
    if (kind === 'taken' || kind === 'untaken' || kind === 'spread') this.looked.add(step)
    if (kind === 'each' || kind === 'fold') this.followed.add(step)
    if ((kind === 'each' || kind === 'spread' || kind === 'fold') && !this.#widthNeeds.has(owner))
      this.#widthNeeds.set(owner, { kind, step })
  }

  /** How many needs a step has. */
  count(step: number): number {
    return this.#from.at(step + 1) - this.#from.at(step)
  }

  /** The needs of a step, in order. */
  of(step: number): readonly Need[] {
    const from = this.#from.at(step)
    const end = this.#from.at(step + 1)
    if (from === end) return nothing
    const needs: Need[] = []
    for (let need = from; need < end; need++) needs.push({ kind: needKinds[this.#kind.at(need)]!, step: this.#step.at(need) })
    return needs
  }

  /** Who needs a step, and how, the earliest first. */
  uses(step: number): readonly Need[] {
    if (this.#firstUse.at(step) < 0) return nothing
    const uses: Need[] = []
    this.eachUse(step, (kind, owner) => void uses.push({ kind, step: owner }))
    return uses
  }

  /** Visits who needs a step, and how, the earliest first. */
  eachUse(step: number, visit: (kind: NeedKind, owner: number) => void): void {
    for (let use = this.#firstUse.at(step); use >= 0; use = this.#nextUse.at(use))
      visit(needKinds[this.#kind.at(use)]!, this.#owner.at(use))
  }

  width(step: number): WidthNeed | undefined {
    return this.#widthNeeds.get(step)
  }
}
