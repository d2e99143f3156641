// Owns which step needs which, and how, in rows of numbers: both ways, from a step to what it needs, and from a step to those that need it.
// Must not know how far any step is.
import { type Need, type NeedKind, needKinds } from '../../protocol/index.ts'
import { SparseMap, SparseSet } from '../sparse.ts'
import { Rows } from './rows.ts'

const nothing: readonly Need[] = []

/** The need from which it follows how many tasks a step has. */
export interface WidthNeed {
  kind: 'each' | 'spread' | 'fold'
  step: number
}

/** Of a step: its first need, and the first and last of the needs that name it, which are a chain in the order in which they came (-1: the end). */
const ofStep = { need: 0, firstUse: 1, lastUse: 2 } as const
/** Of a need: how which step is needed by which, and the next need of the chain. */
const ofNeed = { kind: 0, step: 1, owner: 2, nextUse: 3 } as const

/** The needs of all steps of one workflow. */
export class NeedTable {
  readonly #steps = new Rows(3)
  readonly #needs = new Rows(4)
  readonly #widthNeeds = new SparseMap<number, WidthNeed>()
  /** Steps whose results mean more to others than a value: a branch, or a list of inputs. */
  readonly looked = new SparseSet<number>()
  /** Steps whose tasks others follow one by one. */
  readonly followed = new SparseSet<number>()

  /** Makes room for so many more steps and needs. */
  reserve(steps: number, needs: number): void {
    this.#steps.reserve(steps)
    this.#needs.reserve(needs)
  }

  /** Appends the needs of the next step, which is `owner`; their numbers are counted from `base`. */
  add(owner: number, needs: readonly Need[], base: number): void {
    const row = this.#steps.push()
    this.#steps.set(row, ofStep.need, this.#needs.length)
    this.#steps.set(row, ofStep.firstUse, -1)
    this.#steps.set(row, ofStep.lastUse, -1)
    for (const need of needs) this.#addOne(owner, need.kind, base + need.step)
  }

  #addOne(owner: number, kind: NeedKind, step: number): void {
    const use = this.#needs.push()
    this.#needs.set(use, ofNeed.kind, needKinds.indexOf(kind))
    this.#needs.set(use, ofNeed.step, step)
    this.#needs.set(use, ofNeed.owner, owner)
    this.#needs.set(use, ofNeed.nextUse, -1)
    const last = this.#steps.at(step, ofStep.lastUse)
    if (last < 0) this.#steps.set(step, ofStep.firstUse, use)
    else this.#needs.set(last, ofNeed.nextUse, use)
    this.#steps.set(step, ofStep.lastUse, use)
    if (kind === 'taken' || kind === 'untaken' || kind === 'spread') this.looked.add(step)
    if (kind === 'each' || kind === 'fold') this.followed.add(step)
    if ((kind === 'each' || kind === 'spread' || kind === 'fold') && !this.#widthNeeds.has(owner))
      this.#widthNeeds.set(owner, { kind, step })
  }

  #end(step: number): number {
    return step + 1 < this.#steps.length ? this.#steps.at(step + 1, ofStep.need) : this.#needs.length
  }

  /** How many needs a step has. */
  count(step: number): number {
    return this.#end(step) - this.#steps.at(step, ofStep.need)
  }

  /** The needs of a step, in order. */
  of(step: number): readonly Need[] {
    const from = this.#steps.at(step, ofStep.need)
    const end = this.#end(step)
    if (from === end) return nothing
    const needs: Need[] = []
    for (let need = from; need < end; need++)
      needs.push({ kind: needKinds[this.#needs.at(need, ofNeed.kind)]!, step: this.#needs.at(need, ofNeed.step) })
    return needs
  }

  /** Who needs a step, and how, the earliest first. */
  uses(step: number): readonly Need[] {
    if (this.#steps.at(step, ofStep.firstUse) < 0) return nothing
    const uses: Need[] = []
    this.eachUse(step, (kind, owner) => void uses.push({ kind, step: owner }))
    return uses
  }

  /** Visits who needs a step, and how, the earliest first. */
  eachUse(step: number, visit: (kind: NeedKind, owner: number) => void): void {
    const needs = this.#needs
    for (let use = this.#steps.at(step, ofStep.firstUse); use >= 0; use = needs.at(use, ofNeed.nextUse))
      visit(needKinds[needs.at(use, ofNeed.kind)]!, needs.at(use, ofNeed.owner))
  }

  width(step: number): WidthNeed | undefined {
    return this.#widthNeeds.get(step)
  }
}
