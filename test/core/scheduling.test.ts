// Shows what the scheduler promises, on random graphs of steps and a naive model that knows nothing but the plans and the facts: no step begins
// before what it needs has its result, each ends once, no limit is passed, no runnable step waits beside an idle slot that fits, and jobs share.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Steps } from '../fakes/flows.ts'
import { plan, stage } from '../fakes/plans.ts'
import { type FakeLane, type FakeWorker, failed, finished } from '../fakes/worker.ts'
import { Harness } from './harness.ts'

/** A step of a random graph: whom it needs (as numbers that choose among those before it), its task, how many tasks it has. */
interface Drawn {
  needs: number[]
  order: number[]
  task: number
  width: number
}

interface Workload {
  jobs: { steps: Drawn[]; priority: number }[]
  /** Cpus that each kind of task asks for, in tenths; and of the workers. */
  cpus: number[]
  workers: number[]
  /** What happens next: a worker's lane goes on, fails, or the worker is lost and comes back. */
  turns: [what: number, choice: number][]
}

const small = fc.nat({ max: 1000 })
const drawn: fc.Arbitrary<Drawn> = fc.record({
  needs: fc.array(small, { maxLength: 3 }),
  order: fc.array(small, { maxLength: 2 }),
  task: fc.nat({ max: 3 }),
  width: fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 2, max: 6 }) }),
})

function workload(cpus: fc.Arbitrary<number>, workers: fc.Arbitrary<number>): fc.Arbitrary<Workload> {
  const job = fc.record({ steps: fc.array(drawn, { minLength: 1, maxLength: 25, size: 'max' }), priority: fc.constantFrom(0, 0, 5) })
  return fc.record({
    jobs: fc.array(job, { minLength: 1, maxLength: 3 }),
    cpus: fc.array(cpus, { minLength: 4, maxLength: 4 }),
    workers: fc.array(workers, { minLength: 1, maxLength: 4 }),
    turns: fc.array(fc.tuple(fc.nat({ max: 19 }), small), { maxLength: 60, size: 'max' }),
  })
}

interface Step {
  job: string
  stage: number
  /** First of its tasks in its stage. */
  first: number
  width: number
  tenths: number
  priority: number
  needs: Step[]
}

/** The naive model: every step of every job, and what the facts say of each of its tasks. */
class Model {
  readonly steps: Step[] = []
  readonly #cluster: Harness
  #read = 0
  readonly #running = new Map<string, { worker: string; lane: number }>()
  readonly #ended = new Set<string>()
  /** Tasks that failed for good. */
  readonly #failed = new Set<string>()
  readonly #lanes = new Map<number, { worker: string; tenths: number; queue: string[] }>()
  readonly capacity = new Map<string, number>()

  constructor(cluster: Harness) {
    this.#cluster = cluster
  }

  /** Submits a job of these steps. */
  submit(job: string, { steps, priority }: Workload['jobs'][number], cpus: readonly number[]): void {
    const flow = new Steps()
    const own: Step[] = []
    const counts: number[] = []
    for (const [number, { needs, order, task, width }] of steps.entries()) {
      const before = (choices: readonly number[]): number[] => (number === 0 ? [] : choices.map(choice => choice % number))
      const values = before(needs)
      const after = before(order)
      const tenths = cpus[task]!
      flow.add(
        [...values.map(step => [own[step]!.width > 1 ? 'all' : 'value', step] as const), ...after.map(step => ['after', step] as const)],
        {
          ...{ task: `t${task}`, cpus: tenths / 10, retries: 3, backoffMs: 0, count: width },
        },
      )
      const at = flow.steps[number]!.stage
      const first = counts[at] ?? 0
      counts[at] = first + width
      own.push({ job, stage: at, first, width, tenths, priority, needs: [...values, ...after].map(step => own[step]!) })
    }
    this.steps.push(...own)
    const reply = this.#cluster.ask({
      kind: 'submitJob',
      plan: plan(job, { stages: flow.stages, priority }),
      inputs: flow.inputs,
      flow: flow.plan,
    })
    assert.equal(reply.kind, 'submitted')
  }

  #ends(key: string): void {
    assert(!this.#ended.has(key), `${key} ended twice`)
    this.#ended.add(key)
  }

  #stepOf(job: string, stageNumber: number, task: number): Step {
    const step = this.steps.find(one => one.job === job && one.stage === stageNumber && one.first <= task && task < one.first + one.width)
    assert(step, `task ${job}/${stageNumber}/${task} belongs to no step`)
    return step
  }

  #done(step: Step): boolean {
    return tasksOf(step).every(task => this.#ended.has(task))
  }

  /** Takes in the facts that came since it looked last: each is held to what was a fact before it. */
  look(): void {
    const { records } = this.#cluster
    for (; this.#read < records.length; this.#read++) {
      const record = records[this.#read]!
      if (record.kind === 'TasksAssigned') {
        const head = record.runs[0]!
        const { tenths } = this.#stepOf(head.job, head.stage, head.first)
        const lane = this.#lanes.get(record.lane) ?? { worker: record.worker, tenths, queue: [] }
        this.#lanes.set(record.lane, lane)
        for (const { job, stage: at, first, count } of record.runs) {
          for (let task = first; task < first + count; task++) {
            const step = this.#stepOf(job, at, task)
            assert(
              step.needs.every(need => this.#done(need)),
              `${job}/${at}/${task} began before what it needs had its result`,
            )
            this.#running.set(`${job}/${at}/${task}`, { worker: record.worker, lane: record.lane })
            lane.queue.push(`${job}/${at}/${task}`)
          }
        }
        const used = this.used(record.worker)
        assert(used <= this.capacity.get(record.worker)!, `${record.worker} has ${used} tenths of a cpu in use`)
      } else if (record.kind === 'TasksFinished' || record.kind === 'TaskFailed') {
        const lane = this.#lanes.get(record.lane)!
        for (const key of lane.queue.splice(0, record.kind === 'TaskFailed' ? 1 : record.count)) {
          this.#running.delete(key)
          if (record.kind === 'TasksFinished') this.#ends(key)
          else if (record.retryAtMs === undefined) this.#failed.add(key)
        }
        if (lane.queue.length === 0) this.#lanes.delete(record.lane)
      } else if (record.kind === 'TasksReturned') {
        const lane = this.#lanes.get(record.lane)!
        for (const key of lane.queue.splice(record.keep)) this.#running.delete(key)
        if (lane.queue.length === 0) this.#lanes.delete(record.lane)
      } else if (record.kind === 'WorkerLost') {
        for (const [id, lane] of this.#lanes) {
          if (lane.worker !== record.worker) continue
          for (const key of lane.queue) this.#running.delete(key)
          this.#lanes.delete(id)
        }
        this.capacity.delete(record.worker)
      }
    }
  }

  used(worker: string): number {
    return [...this.#lanes.values()].reduce((sum, lane) => sum + (lane.worker === worker ? lane.tenths : 0), 0)
  }

  /** Steps that have tasks which could run and do not. */
  get waiting(): Step[] {
    const waits = (task: string): boolean => !this.#ended.has(task) && !this.#failed.has(task) && !this.#running.has(task)
    return this.steps.filter(step => step.needs.every(need => this.#done(need)) && tasksOf(step).some(waits))
  }

  /** True if it and all that it needs came to a result. */
  succeeded(job: string): boolean {
    return this.steps.every(step => step.job !== job || this.#done(step))
  }

  /**
   * No runnable step waits beside room for it. What waits for more room than there is anywhere may have a worker kept for it: of those that it
   * would fit into when they are empty, by those of no lower priority.
   */
  workConserving(avoided: ReadonlySet<string>): void {
    const { waiting } = this
    for (const step of waiting) {
      for (const [worker, capacity] of this.capacity) {
        if (avoided.has(worker) || step.tenths > capacity - this.used(worker)) continue
        const kept = waiting.some(other => other.tenths > step.tenths && other.priority >= step.priority && other.tenths <= capacity)
        assert(kept, `a task of ${step.job}/${step.stage} waits beside ${capacity - this.used(worker)} tenths of a cpu on ${worker}`)
      }
    }
  }
}

function tasksOf({ job, stage: at, first, width }: Step): string[] {
  return Array.from({ length: width }, (_, i) => `${job}/${at}/${first + i}`)
}

function lanesOf(cluster: Harness): { worker: FakeWorker; lane: FakeLane }[] {
  return [...cluster.workers.values()].flatMap(worker => worker.busy.map(lane => ({ worker, lane })))
}

/** Plays a workload to its end. `ahead`: tasks that a lane may be given ahead. */
function play({ jobs, cpus, workers, turns }: Workload, ahead: number): void {
  const cluster = new Harness({ limits: { laneTasksMax: ahead }, checking: false })
  const model = new Model(cluster)
  const join = (id: string, tenths: number): void => {
    model.capacity.set(id, tenths)
    cluster.join(id, tenths / 10)
  }
  for (const [number, job] of jobs.entries()) model.submit(`job-${number}`, job, cpus)
  const settled = (avoided = new Set<string>()): void => {
    cluster.settle()
    model.look()
    model.workConserving(avoided)
  }
  for (const [number, tenths] of workers.entries()) {
    join(`w${number}`, tenths)
    settled()
  }
  /** A worker on which an attempt just died may be passed over for it. */
  const avoided = new Set<string>()
  for (const [what, choice] of turns) {
    const lanes = lanesOf(cluster)
    const chosen = lanes[choice % Math.max(1, lanes.length)]
    if (!chosen) break
    const { worker, lane } = chosen
    if (what === 0) {
      const tenths = model.capacity.get(worker.id)!
      cluster.lose(worker)
      worker.lanes.clear()
      model.look()
      avoided.add(worker.id)
      settled(avoided)
      join(worker.id, tenths)
    } else if (what === 1) cluster.end(worker, [failed()], lane)
    else cluster.end(worker, [finished(lane, 1, [], 1000 * (1 + (choice % 90)))], lane)
    settled(avoided)
  }
  for (let lanes = lanesOf(cluster); lanes.length > 0; lanes = lanesOf(cluster)) {
    const [{ worker, lane }] = lanes as [{ worker: FakeWorker; lane: FakeLane }]
    cluster.end(worker, [finished(lane)], lane)
    settled(avoided)
  }
  const possible = new Set(model.steps.filter(step => step.tenths <= Math.max(...workers)))
  if (possible.size < model.steps.length) return
  assert.deepEqual(model.waiting, [], 'steps wait when all is done')
  for (const [number] of jobs.entries())
    assert.equal(cluster.jobState(`job-${number}`), model.succeeded(`job-${number}`) ? 'succeeded' : 'failed')
}

describe('random graphs of steps', () => {
  for (const [name, cpus, workers] of [
    ['each of whose tasks needs a slot', fc.constant(10), fc.constantFrom(10, 20, 40)],
    ['whose tasks need as much as they like', fc.constantFrom(1, 5, 10, 20), fc.constantFrom(20, 25, 40)],
  ] as const) {
    it(`keep the laws of scheduling: ${name}`, () => {
      fc.assert(
        fc.property(workload(cpus, workers), fc.constantFrom(1, 50), (drawnLoad, ahead) => play(drawnLoad, ahead)),
        { numRuns: 120, seed: 20263 },
      )
    })
  }
})

/** So many jobs, the first of `stages` stages, whose tasks take `micros`, of one kind or each of its own, on so many slots: whose tasks ended, in their order, until one has none left. */
function served(
  jobs: number,
  { slots, own, micros, stages = 1 }: { slots: number; own: boolean; micros: number; stages?: number },
): number[] {
  const tasks = 60
  const cluster = new Harness({ checking: false })
  const workers = Array.from({ length: slots }, (_, i) => cluster.join(`w${i}`, 1))
  for (let job = 0; job < jobs; job++)
    cluster.submit(`${job}`, tasks, {
      stages: Array.from({ length: job === 0 ? stages : 1 }, () => stage({ task: own ? `t${job}` : 'work' })),
    })
  const order: number[] = []
  const left = Array.from({ length: jobs }, (_, job) => (job === 0 ? stages : 1) * tasks)
  for (let turn = 0; left.every(count => count > 0); turn++) {
    const worker = workers[turn % slots]!
    const [lane] = worker.busy
    if (!lane) continue
    const job = Number(lane.open[0]!.job)
    order.push(job)
    left[job]!--
    cluster.end(worker, [finished(lane, 1, [], micros)], lane)
  }
  return order
}

describe('jobs of one priority', () => {
  const options = fc.record({
    stages: fc.constantFrom(1, 1, 12),
    slots: fc.integer({ min: 1, max: 4 }),
    own: fc.boolean(),
    micros: fc.constantFrom(1_000_000, 5000),
  })

  it('have the same share, however many there are, and however many stages one of them has', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 9 }), options, (jobs, given) => {
        const order = served(jobs, given)
        // What was handed out ahead, and what each slot began with, is not shared.
        const ahead = given.micros === 5000 ? 8 : 1
        const counts = Array.from({ length: jobs }, (_, job) => order.filter(one => one === job).length)
        const slack = 2 * given.slots * ahead + ahead
        assert(Math.max(...counts) - Math.min(...counts) <= slack, `${counts.join(' ')} of ${order.length}, slack ${slack}`)
      }),
      { numRuns: 100, seed: 20264 },
    )
  })

  it('let a small one that comes late go by in its turn', () => {
    for (const own of [true, false]) {
      for (const others of [1, 3, 8]) {
        const cluster = new Harness({ checking: false })
        const worker = cluster.join('w', 1)
        const task = (job: number): string => (own ? `t${job}` : 'work')
        for (let job = 0; job < others; job++) cluster.submit(`huge-${job}`, 1000, { stages: [stage({ task: task(job) })] })
        for (let i = 0; i < 20; i++) cluster.end(worker, [finished(worker.busy[0]!, 1, [], 1e6)])
        cluster.submit('small', 3, { stages: [stage({ task: task(others) })] })
        let turns = 0
        for (; cluster.jobState('small') === 'running'; turns++) {
          assert(turns < 1000, 'the small job starves')
          cluster.end(worker, [finished(worker.busy[0]!, 1, [], 1e6)])
        }
        assert(turns <= 3 * (others + 1) + 1, `it took ${turns} turns beside ${others} others`)
      }
    }
  })
})
