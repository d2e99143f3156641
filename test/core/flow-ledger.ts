// A naive second opinion on workflows: it keeps the facts, and from them works out what each step has come to, anew whenever it is asked. It holds
// every handing out to what the steps before it came to, and the end of a job to what all of its steps did.
import assert from 'node:assert/strict'
import type { FlowPlan, FlowStep, Need } from '../../src/protocol/index.ts'

/** A task as the ledger knows it. */
export interface FlowTask {
  key: string
  status: 'waiting' | 'delayed' | 'running' | 'succeeded' | 'failed' | 'cancelled'
}

/** `lost`: it failed, or will never run because something before it failed. */
type Verdict = 'succeeded' | 'lost' | 'skipped' | 'pending'

interface Step {
  plan: FlowStep
  needs: Need[]
  /** Number of its stage in the job. */
  stage: number
  first: number
  frame: number
  /** Since when it may have waited for something, as far as is known. */
  sinceMs?: number
  firstAttempt?: number
  truth?: boolean
  width?: number
  expanded?: number
  /** Its event came. */
  heard?: boolean
}

interface Frame {
  parent: number | undefined
  first: number
  count: number
  output: number
}

function isUndo(step: Step): boolean {
  return step.needs.some(need => need.kind === 'undo')
}

function foldTasks(width: number, fanIn: number): number {
  let tasks = 0
  for (let below = width; below > 0; ) {
    below = Math.ceil(below / fanIn)
    tasks += below
    if (below === 1) break
  }
  return tasks
}

/** The steps of one workflow. */
export class FlowLedger {
  readonly #steps: Step[] = []
  readonly #frames: Frame[] = []
  readonly #tasksOf: (stage: number) => FlowTask[]
  readonly #signals: string[] = []
  readonly #signalIds = new Set<string>()
  #verdicts = new Map<number, Verdict>()
  /** What steps came to that did not wait again when the workflow went on. */
  #ended: Verdict[] = []
  readonly #fixed = new Map<number, Verdict>()
  /** Steps that were given up because they, or what they are part of, did not end in time. */
  readonly #late = new Set<number>()
  /** Steps that were told to stop, and count as what they come to: compensations go by them. Frames that were given up. */
  readonly #told = new Set<number>()
  readonly #broken = new Set<Frame>()
  /** All of it was given up: what it ends as. */
  #end: 'failed' | 'cancelled' | undefined

  readonly #nowMs: () => number
  readonly #sinceMs: number

  constructor(tasksOf: (stage: number) => FlowTask[], nowMs: () => number) {
    this.#tasksOf = tasksOf
    this.#nowMs = nowMs
    this.#sinceMs = nowMs()
  }

  add(flow: FlowPlan, stageBase: number, parent: number | undefined): void {
    const first = this.#steps.length
    const cursor = new Map<number, number>()
    for (const plan of flow.steps) {
      const stage = stageBase + plan.stage
      const from = cursor.get(stage) ?? 0
      if (plan.kind === 'tasks') cursor.set(stage, from + plan.count)
      const needs = plan.needs.map(need => ({ ...need, step: first + need.step }))
      this.#steps.push({ plan, needs, stage, first: from, frame: this.#frames.length })
    }
    this.#frames.push({ parent, first, count: flow.steps.length, output: first + flow.output })
    if (parent !== undefined) this.#steps[parent]!.expanded = this.#frames.length - 1
    this.changed()
  }

  /** It ends, or is cancelled: what each step came to by then. Tasks that never ran count as cancelled from here on, whyever they did not. */
  ends(): void {
    this.changed()
    this.#ended = this.#steps.map((_, number) => this.#verdict(number))
  }

  /**
   * The workflow, which has ended, goes on: these steps wait again, and all others are what they are now, whatever becomes of those. Gives the tasks of each
   * step that waits. What failed must be among them, with all that it needed and did not get, so far as its workflow goes on.
   */
  #again(waiting: ReadonlySet<number>): [step: number, tasks: FlowTask[]][] {
    for (const number of this.#steps.keys()) {
      const verdict = this.#ended[number]!
      if (!waiting.has(number)) this.#fixed.set(number, verdict === 'pending' ? 'lost' : verdict)
      else if (!this.#isUndo(number)) assert.notEqual(verdict, 'skipped', `step ${number} was passed over and waits again`)
    }
    this.#end = undefined
    this.#broken.clear()
    for (const number of waiting) {
      this.#fixed.delete(number)
      this.#late.delete(number)
      this.#told.delete(number)
      if (this.#isUndo(number)) continue
      for (const need of this.#steps[number]!.needs)
        assert(
          waiting.has(need.step) || this.#fixed.get(need.step) !== 'lost',
          `step ${number} waits again for step ${need.step}, which does not`,
        )
      this.#steps[number]!.sinceMs = this.#nowMs()
    }
    this.changed()
    return [...waiting].map(number => [number, this.#steps[number]!.plan.kind === 'tasks' ? this.#tasks(this.#steps[number]!) : []])
  }

  /** The attempt at which a task begins that was never handed out. */
  firstAttempt(stage: number, task: number): number {
    return this.#steps[this.stepOf(stage, task)]!.firstAttempt ?? 1
  }

  /** It goes on: tasks without a result wait again, each step's at the attempt behind the `highest` of any of them. Nothing may be lost already. */
  goOn(waiting: ReadonlySet<number>, highest: (task: FlowTask) => number): void {
    for (const [step, tasks] of this.#again(waiting)) {
      const attempt = 1 + Math.max(0, ...tasks.map(highest))
      this.#steps[step]!.firstAttempt = attempt
      for (const task of tasks) {
        assert(
          task.status === 'succeeded' || task.status === 'failed' || task.status === 'cancelled',
          `${task.key} waits again and had no end`,
        )
        if (task.status !== 'succeeded') Object.assign(task, { status: 'waiting', attempt, stopping: false })
      }
    }
    this.changed()
    assert.notEqual(this.#frameVerdict(this.#frames[0]!, false), 'lost', 'a workflow goes on and is lost already')
  }

  /** The tasks of these steps that became steps. */
  built(steps: ReadonlySet<number>): { step: number; stage: number; index: number }[] {
    return [...steps].flatMap(step => {
      const { expanded, stage, first } = this.#steps[step]!
      return expanded === undefined ? [] : [{ step, stage, index: first }]
    })
  }

  #isUndo(number: number): boolean {
    return this.#steps[number]!.needs.some(need => need.kind === 'undo')
  }

  /** A fact was added: what was worked out before may be wrong now. */
  changed(): void {
    this.#verdicts = new Map()
  }

  decided(step: number, taken: boolean): void {
    this.#steps[step]!.truth = taken
    this.changed()
  }

  signalled(name: string, id: string): void {
    assert(!this.#signalIds.has(id), `the signal ${id} was counted twice`)
    this.#signalIds.add(id)
    this.#signals.push(name)
    this.changed()
  }

  /** An event came; how many steps of the workflow wait for it, and get it. */
  emitted(event: string, key: string): number {
    const names = key === '' ? [event] : [event, `${event}#${key}`]
    const waiting = this.#steps.filter(
      (step, number) => step.plan.kind === 'event' && names.includes(step.plan.name) && !step.heard && this.#verdict(number) === 'pending',
    )
    for (const step of waiting) step.heard = true
    this.changed()
    return waiting.length
  }

  spread(stage: number, task: number, width: number): void {
    this.#steps[this.stepOf(stage, task)]!.width = width
    this.changed()
  }

  stepOf(stage: number, task: number): number {
    const step = this.#steps.findIndex(
      one => one.plan.kind === 'tasks' && one.stage === stage && one.first <= task && task < one.first + this.#widthOf(one),
    )
    assert(step >= 0, `task ${task} of stage ${stage} belongs to no step`)
    return step
  }

  /** The step, or all of it, did not end in its time, or is being cancelled. What has ended by then stays as it is. */
  givenUp(step: number | undefined, as: 'failed' | 'cancelled' = 'failed'): void {
    if (step === undefined) this.#end = as
    const frames = new Set<number>(step === undefined ? this.#frames.keys() : [])
    for (const [number, { parent }] of this.#frames.entries())
      if (step !== undefined && parent !== undefined && (parent === step || frames.has(this.#steps[parent]!.frame))) frames.add(number)
    const open = [...this.#steps.keys()].filter(
      one => (one === step || (frames.has(this.#steps[one]!.frame) && !this.#isUndo(one))) && this.#verdict(one) === 'pending',
    )
    for (const one of open) {
      if (one !== step) this.#broken.add(this.#frames[this.#steps[one]!.frame]!)
      if (one !== step && this.#mayEnd(one)) this.#told.add(one)
      else this.#late.add(one)
    }
    this.changed()
  }

  /** True if a compensation goes by what the step comes to, and nothing of it would have to begin for that. */
  #mayEnd(number: number): boolean {
    const step = this.#steps[number]!
    if (!this.#isRested(number) || step.expanded !== undefined) return false
    if (step.plan.kind === 'choice') return true
    const tasks = step.plan.kind === 'tasks' ? this.#tasks(step) : []
    return tasks.length === this.#widthOf(step) && tasks.every(task => task.status === 'running' || task.status === 'succeeded')
  }

  #isRested(number: number): boolean {
    return this.#steps.some((other, at) =>
      other.needs.some(
        need => need.step === number && (isUndo(other) || (need.kind === 'option' && other.plan.kind === 'choice' && this.#isRested(at))),
      ),
    )
  }

  /** True if the step was told to stop. */
  isTold(step: number): boolean {
    return this.#late.has(step) || this.#told.has(step)
  }

  /** True if a result of the task is taken though it was told to stop: a compensation goes by it, and its step may still succeed. */
  counts(stage: number, task: number): boolean {
    const step = this.stepOf(stage, task)
    return this.#isRested(step) && this.#verdict(step) === 'pending'
  }

  /** True if the step, which became others, has come to its end: also its compensations. */
  hasEnded(step: number): boolean {
    const frame = this.#frames[this.#steps[step]!.expanded!]
    return !frame || this.#verdict(step) !== 'pending'
  }

  /** True if the task may still run: its step was neither given up nor passed over. */
  wanted(stage: number, task: number): boolean {
    const verdict = this.#verdict(this.stepOf(stage, task))
    return verdict !== 'lost' && verdict !== 'skipped'
  }

  #needed(step: Step): Need | undefined {
    return step.needs.find(need => need.kind === 'each' || need.kind === 'spread' || need.kind === 'fold')
  }

  #widthOf(step: Step): number {
    const need = this.#needed(step)
    if (!need) return step.plan.count
    const producer = this.#steps[need.step]!
    if (need.kind === 'spread') return producer.width ?? 0
    const width = this.#widthOf(producer)
    return need.kind === 'each' ? width : foldTasks(width, step.plan.amount)
  }

  #tasks(step: Step): FlowTask[] {
    return this.#tasksOf(step.stage).slice(step.first, step.first + this.#widthOf(step))
  }

  /** The task was handed out: all that it needs must be there. */
  begins(stage: number, task: number): void {
    const number = this.stepOf(stage, task)
    const step = this.#steps[number]!
    const position = task - step.first
    for (const need of step.needs) {
      const before = this.#steps[need.step]!
      const verdict = this.#verdict(need.step)
      const text = `task ${stage}/${task} of step ${number} was handed out, and ${need.kind} step ${need.step} is ${verdict}`
      if (need.kind === 'each') assert.equal(this.#tasks(before)[position]?.status, 'succeeded', text)
      else if (need.kind === 'fold') this.#foldFed(step, before, position)
      else if (need.kind === 'after') assert(verdict === 'succeeded' || verdict === 'skipped', text)
      else if (need.kind === 'failure') assert.equal(verdict, 'lost', text)
      else {
        assert.equal(verdict, 'succeeded', text)
        if (need.kind === 'taken' || need.kind === 'untaken') assert.equal(before.truth, need.kind === 'taken', text)
      }
    }
    if (isUndo(step)) this.#undoBegins(number)
  }

  /** A task is handed out: nothing is any more of a step whose time is over. */
  handedOut(stage: number, task: number): void {
    const number = this.stepOf(stage, task)
    assert(!this.isTold(number), `task ${stage}/${task} was handed out, and its step ${number} was given up`)
    this.begins(stage, task)
  }

  /** A compensation has its turn when everything else of a workflow that failed has ended, and those that were named after it have had theirs. */
  #undoBegins(number: number): void {
    const frame = this.#frames[this.#steps[number]!.frame]!
    assert.equal(this.#frameVerdict(frame, true), 'lost', 'a compensation began in a workflow that did not fail, or goes on')
    for (let other = number + 1; other < frame.first + frame.count; other++) {
      if (!this.#undoes(other)) continue
      const ended = this.#tasks(this.#steps[other]!).every(task => ['succeeded', 'failed', 'cancelled'].includes(task.status))
      assert(ended, `the compensation ${number} began before ${other}, which was named after it, had ended`)
    }
  }

  /** True for a compensation that has its turn if its workflow fails. */
  #undoes(number: number): boolean {
    const step = this.#steps[number]!
    return isUndo(step) && step.needs.every(need => this.#verdict(need.step) === 'succeeded')
  }

  #foldFed(step: Step, before: Step, position: number): void {
    const fanIn = step.plan.amount
    let from = before
    let first = 0
    let below = this.#widthOf(before)
    let at = position
    for (let level = Math.ceil(below / fanIn); at >= level; level = Math.ceil(below / fanIn)) {
      first = from === step ? first + below : 0
      at -= level
      below = level
      from = step
    }
    const tasks = this.#tasks(from)
    for (let i = first + at * fanIn; i < first + Math.min(below, (at + 1) * fanIn); i++)
      assert.equal(tasks[i]?.status, 'succeeded', `task ${i} of the step before is folded and has no result`)
  }

  #verdict(number: number): Verdict {
    const known = this.#fixed.get(number) ?? this.#verdicts.get(number)
    if (known) return known
    const verdict = this.#judge(this.#steps[number]!)
    this.#verdicts.set(number, verdict)
    return verdict
  }

  #judge(step: Step): Verdict {
    if (step.plan.kind === 'choice' && !this.#late.has(this.#steps.indexOf(step))) return this.#judgeChoice(step)
    const own = step.plan.kind === 'tasks' ? this.#tasks(step) : []
    if (this.#late.has(this.#steps.indexOf(step))) return 'lost'
    if (own.some(task => task.status === 'failed' || task.status === 'cancelled')) return 'lost'
    const wishes = step.needs.filter(need => need.kind !== 'undo').map(need => this.#wish(need))
    if (wishes.includes('lost')) return 'lost'
    if (wishes.includes('skipped')) return 'skipped'
    if (wishes.includes('pending')) return 'pending'
    if (step.plan.kind === 'sleep') return this.#waited(step) ? 'succeeded' : 'pending'
    if (step.plan.kind === 'signal') {
      if (this.#signals.includes(step.plan.name)) return 'succeeded'
      return step.plan.amount > 0 && this.#waited(step) ? 'lost' : 'pending'
    }
    if (step.plan.kind === 'event') return step.heard ? 'succeeded' : step.plan.amount > 0 && this.#waited(step) ? 'lost' : 'pending'
    if (own.length < this.#widthOf(step) || own.some(task => task.status !== 'succeeded')) return 'pending'
    return step.expanded === undefined ? 'succeeded' : this.#frameVerdict(this.#frames[step.expanded]!, true)
  }

  /** It may have waited for as long as it was to: since when, is not known. */
  #waited(step: Step): boolean {
    return this.#nowMs() >= (step.sinceMs ?? this.#sinceMs) + step.plan.amount
  }

  #judgeChoice(step: Step): Verdict {
    const guards = step.needs.filter(need => need.kind !== 'option').map(need => this.#wish(need))
    if (guards.includes('lost')) return 'lost'
    if (guards.includes('skipped')) return 'skipped'
    const options = step.needs.filter(need => need.kind === 'option').map(need => this.#verdict(need.step))
    if (options.includes('pending') || guards.includes('pending')) return 'pending'
    return options.find(one => one === 'succeeded') ?? options.find(one => one === 'lost') ?? 'skipped'
  }

  /** What a need makes of its step: `succeeded` where it is met. */
  #wish({ kind, step }: Need): Verdict {
    const verdict = this.#verdict(step)
    const { truth } = this.#steps[step]!
    switch (kind) {
      case 'failure':
        return verdict === 'lost' ? 'succeeded' : verdict === 'pending' ? 'pending' : 'skipped'
      case 'after':
        return verdict === 'skipped' ? 'succeeded' : verdict
      case 'taken':
      case 'untaken':
        return verdict !== 'succeeded' ? verdict : truth === (kind === 'taken') ? 'succeeded' : 'skipped'
      default:
        return verdict
    }
  }

  /** `lost` if a step failed and nothing in the frame answers to that. */
  #frameVerdict(frame: Frame, whole: boolean): Verdict {
    let broken = this.#broken.has(frame)
    for (let number = frame.first; number < frame.first + frame.count; number++) {
      const step = this.#steps[number]!
      if (isUndo(step)) continue
      const verdict = this.#verdict(number)
      if (verdict === 'pending' && whole) return 'pending'
      const used = this.#steps.some(other => other.needs.some(need => need.step === number && need.kind !== 'undo'))
      if (verdict === 'lost' && (!used || number === frame.output)) broken = true
    }
    return broken ? 'lost' : 'succeeded'
  }

  /** The job ended by itself: how it must have. Tasks that never ran must be of steps that were not to run. */
  end(): 'succeeded' | 'failed' | 'cancelled' {
    this.ends()
    const ended = this.#end ?? (this.#frameVerdict(this.#frames[0]!, false) === 'lost' ? 'failed' : 'succeeded')
    for (const [number, step] of this.#steps.entries()) {
      if (step.plan.kind !== 'tasks') continue
      const frame = this.#frames[step.frame]!
      const undone = isUndo(step) && !(this.#frameVerdict(frame, false) === 'lost' && this.#undoes(number))
      const verdict = this.#verdict(number)
      for (const task of this.#tasks(step)) {
        if (task.status === 'succeeded' || task.status === 'failed' || task.status === 'cancelled') continue
        assert.equal(task.status, 'waiting', `${task.key} is ${task.status} and its job has ended`)
        const each = this.#needed(step)?.kind
        assert(
          undone || verdict === 'lost' || verdict === 'skipped' || each === 'each' || each === 'fold',
          `${task.key} never ran, and its step ${number} is ${verdict}`,
        )
        task.status = 'cancelled'
      }
    }
    return ended
  }
}
