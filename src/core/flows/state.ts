// Owns what a workflow is while it runs: its steps in rows of numbers, so that one which waits costs some forty bytes, and the frames they belong to.
// Must not move anything on: that is steps.ts.
import { type FlowStep, type Need, type PayloadId, type StepKind, stepKinds, type TaskBlock } from '../../protocol/index.ts'
import type { HeapEntry } from '../heap.ts'
import { SparseMap, SparseSet } from '../sparse.ts'
import type { Delayed, DelayedStep } from '../state.ts'
import type { Fold } from './fold.ts'
import { Mail, type Signal } from './mail.ts'
import { NeedTable, type WidthNeed } from './needs.ts'
import { Rows } from './rows.ts'
import { StepTimes } from './times.ts'

/** Where a step stands. `skipped`: it was not needed (a branch not taken); `cancelled`: it never will run, because of a failure or a cancel. */
export const stepStatuses = ['waiting', 'open', 'succeeded', 'failed', 'cancelled', 'skipped'] as const
type StepStatus = (typeof stepStatuses)[number]

const statusNumbers = Object.fromEntries(stepStatuses.map((status, number) => [status, number])) as Record<StepStatus, number>

/** A workflow, or one that is a step of it: steps that end together. */
export interface Frame {
  /** The step that became this; -1 for the workflow itself. */
  parent: number
  /** Its steps: `first` … `first + count - 1`. */
  first: number
  count: number
  /** Whose result is the workflow's. */
  output: number
  /** Steps without an end, compensations not counted. */
  open: number
  /** A step failed and nothing caught that. */
  broken: boolean
  /** Compensations in the order in which they have their turn: the one that was named last goes first. Those before `undone` have had it. */
  undos: readonly number[]
  undone: number
  depth: number
}

/** A list that is a result: its items are those of a chunk. */
export interface Spread {
  payload: PayloadId
  bytes: number
  width: number
  blocks: readonly TaskBlock[]
}

/** Of a step: what it is, where it stands, and where its tasks are. */
const fields = { kind: 0, status: 1, stage: 2, first: 3, count: 4, left: 5, blocked: 6, frame: 7, began: 8, ended: 9 } as const

/** Steps of one workflow. */
export class StepTable {
  readonly frames: Frame[] = []
  /** The workflow has ended, well or not. */
  ended = false
  readonly #rows = new Rows(10)
  readonly #statuses = stepStatuses.map(() => 0)
  readonly #amount: number[] = []
  /** Step → the step whose result is its result. */
  readonly #alias = new SparseMap<number, number>()
  readonly #names = new SparseMap<number, string>()
  /** Steps that will not succeed, and how they will end when all their tasks have. */
  readonly #damaged = new SparseMap<number, 'failed' | 'cancelled' | 'skipped'>()
  /** Whether a step's result is true in the sense of `if`, where branches wait for that. */
  readonly #truth = new SparseMap<number, boolean>()
  readonly edges = new NeedTable()
  /** How often it went on after it had ended, and who asked for the last time. */
  reruns = 0
  rerun = ''
  /** The highest attempt at which tasks of a step were handed out, where that is not the first; and that at which they begin, where it is not. */
  readonly attempts = new SparseMap<number, number>()
  readonly firstAttempts = new SparseMap<number, number>()
  /** Compensations; derived: the steps that they rest on; and steps that did not end in their time. */
  readonly undos = new SparseSet<number>()
  readonly undoable = new SparseSet<number>()
  readonly late = new SparseSet<number>()
  /** Steps that became steps themselves; derived: of these, the ones that hold a key until they end. */
  readonly expanded = new SparseSet<number>()
  readonly holding = new SparseSet<number>()
  /** Steps that pause, or wait for a signal or event up to a time, among what the cluster waits for. */
  readonly pauses = new SparseMap<number, HeapEntry<Delayed>>()
  readonly spreads = new SparseMap<number, Spread>()
  readonly folds = new SparseMap<number, Fold>()
  readonly mail = new Mail()
  readonly times = new StepTimes(this.#rows, fields.began, fields.ended)
  /** Steps that have not got their event yet. */
  readonly listening = new SparseMap<number, DelayedStep>()
  /** What steps that are no tasks have as results. */
  readonly values = new SparseMap<number, Signal>()

  get count(): number {
    return this.#rows.length
  }

  /** Makes room for so many more steps and needs. */
  reserve(steps: number, needs: number): void {
    this.#rows.reserve(steps)
    this.edges.reserve(steps, needs)
  }

  /** Appends a step; `base` is what its needs' numbers are counted from. */
  add(step: FlowStep, base: number, stage: number, first: number, frame: number): number {
    const number = this.#rows.push()
    this.#rows.set(number, fields.kind, stepKinds.indexOf(step.kind))
    this.#statuses[0]!++
    this.#rows.set(number, fields.stage, stage)
    this.setTasks(number, first, step.count)
    this.#rows.set(number, fields.frame, frame)
    if (step.amount > 0) this.#amount[number] = step.amount
    if (step.name !== '') this.#names.set(number, step.name)
    this.edges.add(number, step.needs, base)
    if (step.needs.some(need => need.kind === 'undo')) {
      this.undos.add(number)
      this.#rests(number)
    }
    return number
  }

  /** What these steps came to is what the compensation goes by; of a choice, what its options did. */
  #rests(undo: number): void {
    const rested = this.needs(undo).map(need => need.step)
    // The list grows while it is walked.
    for (const step of rested) {
      if (this.undoable.has(step)) continue
      this.undoable.add(step)
      if (this.kind(step) === 'choice') for (const { kind, step: option } of this.needs(step)) if (kind === 'option') rested.push(option)
    }
  }

  kind(step: number): StepKind {
    return stepKinds[this.#rows.at(step, fields.kind)]!
  }

  status(step: number): StepStatus {
    return stepStatuses[this.#rows.at(step, fields.status)]!
  }

  setStatus(step: number, status: StepStatus): void {
    const number = statusNumbers[status]
    this.#statuses[this.#rows.at(step, fields.status)]!--
    this.#rows.set(step, fields.status, number)
    this.#statuses[number]!++
  }

  /** How many steps have a status. */
  countOf(status: StepStatus): number {
    return this.#statuses[stepStatuses.indexOf(status)]!
  }

  /** Bytes that it keeps besides the results of its tasks: lists, and signals. */
  get keptBytes(): number {
    const kept = [...this.spreads.values(), ...this.values.values(), ...[...this.mail.kept.values()].flat()]
    return kept.reduce((sum, one) => sum + one.bytes, 0)
  }

  /** True once it has an end. */
  settled(step: number): boolean {
    return this.#rows.at(step, fields.status) > 1
  }

  stage(step: number): number {
    return this.#rows.at(step, fields.stage)
  }

  first(step: number): number {
    return this.#rows.at(step, fields.first)
  }

  /** How many tasks it has; 0 as long as that follows from what it waits for. */
  width(step: number): number {
    return this.#rows.at(step, fields.count)
  }

  setTasks(step: number, first: number, count: number): void {
    this.#rows.set(step, fields.first, first)
    this.#rows.set(step, fields.count, count)
    this.#rows.set(step, fields.left, count)
  }

  /** Tasks of it without an outcome. */
  left(step: number): number {
    return this.#rows.at(step, fields.left)
  }

  addLeft(step: number, change: number): number {
    return this.#rows.add(step, fields.left, change)
  }

  /** Needs that it still waits for. */
  blocked(step: number): number {
    return this.#rows.at(step, fields.blocked)
  }

  /** It waits for all that it needs. */
  block(step: number): void {
    const needs = this.isUndo(step) ? this.needs(step).filter(need => need.kind !== 'undo').length : this.edges.count(step)
    this.#rows.set(step, fields.blocked, needs)
  }

  addBlocked(step: number, change: number): number {
    return this.#rows.add(step, fields.blocked, change)
  }

  frame(step: number): Frame {
    return this.frames[this.#rows.at(step, fields.frame)]!
  }

  frameNumber(step: number): number {
    return this.#rows.at(step, fields.frame)
  }

  amount(step: number): number {
    return this.#amount[step] ?? 0
  }

  name(step: number): string {
    return this.#names.get(step) ?? ''
  }

  damage(step: number): 'failed' | 'cancelled' | 'skipped' | undefined {
    return this.#damaged.get(step)
  }

  /** The worst is remembered: failed before cancelled before skipped. */
  setDamage(step: number, damage: 'failed' | 'cancelled' | 'skipped'): void {
    if (damage === 'failed' || (this.#damaged.get(step) ?? 'skipped') === 'skipped') this.#damaged.set(step, damage)
  }

  /** It will wait again: nothing that it came to counts any more. */
  forgetEnd(step: number): void {
    this.setStatus(step, 'waiting')
    this.#damaged.delete(step)
    this.#rows.set(step, fields.blocked, 0)
  }

  truth(step: number): boolean | undefined {
    return this.#truth.get(step)
  }

  setTruth(step: number, truth: boolean): void {
    this.#truth.set(step, truth)
  }

  setAlias(step: number, other: number): void {
    this.#alias.set(step, other)
  }

  alias(step: number): number | undefined {
    return this.#alias.get(step)
  }

  /** The step that really has the result of this one. */
  source(step: number): number {
    const next = this.#alias.get(step)
    return next === undefined ? step : this.source(next)
  }

  /** The needs of a step, in order. */
  needs(step: number): readonly Need[] {
    return this.edges.of(step)
  }

  /** Who needs a step, and how, the earliest first. */
  uses(step: number): readonly Need[] {
    return this.edges.uses(step)
  }

  /** The need from which it follows how many tasks a step has, or undefined. */
  widthNeed(step: number): WidthNeed | undefined {
    return this.edges.width(step)
  }

  /** True for a compensation. */
  isUndo(step: number): boolean {
    return this.undos.has(step)
  }
}
