// Random steps of a cluster's life: each is a name and three numbers, which choose among whatever is there when the step is taken. So a
// failing sequence shrinks by leaving steps out, and reads as what happened.
import assert from 'node:assert/strict'
import type { Outcome } from '../../src/protocol/index.ts'
import { inputs, plan, stage } from '../fakes/plans.ts'
import { type FakeLane, type FakeWorker, failed, finished } from '../fakes/worker.ts'
import type { Harness } from './harness.ts'

const cpusOf = [1, 0.5, 1, 2, 4]
const workersMax = 5

function pick<T>(items: readonly T[], choice: number): T | undefined {
  return items[choice % items.length]
}

function connected(cluster: Harness): FakeWorker[] {
  return [...cluster.workers.values()].filter(worker => worker.connected)
}

function busyLane(cluster: Harness, choice: number): { worker: FakeWorker; lane: FakeLane } | undefined {
  return pick(
    connected(cluster).flatMap(worker => worker.busy.map(lane => ({ worker, lane }))),
    choice,
  )
}

function jobIds(cluster: Harness): string[] {
  return [...cluster.state.jobs.byId.keys()]
}

function randomPlan(id: string, a: number, b: number): ReturnType<typeof plan> {
  const stages = [stage({ task: `t${a % 3}`, cpus: cpusOf[a % cpusOf.length]!, retries: b % 3, backoffMs: 50 * (b % 4) })]
  if (a % 4 === 0) stages.push(stage({ task: 'u', cpus: cpusOf[b % cpusOf.length]!, after: [0], retries: 1 }))
  if (a % 8 === 0) stages.push(stage({ task: 'v', after: b % 2 === 0 ? [1] : [0, 1] }))
  return plan(id, { stages, priority: b % 5 === 0 ? 10 : 0, session: `session-${a % 2}`, detached: b % 3 > 0 })
}

function submit(cluster: Harness, a: number, b: number, c: number): void {
  const fresh = `job-${cluster.of('JobSubmitted').length}`
  const id = c % 7 === 0 ? (pick(jobIds(cluster), a) ?? fresh) : fresh
  const job = randomPlan(id, a, b)
  const given = job.stages.map((_, number) => inputs((b + number) % 9, { stage: number, open: c % 5 === 0 && number === 0 }))
  cluster.ask({ kind: 'submitJob', plan: job, inputs: given })
  cluster.settle()
}

function add(cluster: Harness, a: number, b: number, c: number): void {
  const id = pick(jobIds(cluster), a)
  if (id === undefined) return
  const first = Math.max(0, cluster.stage(id).added - (c % 4 === 0 ? 1 : 0))
  cluster.ask({ kind: 'addTasks', job: id, inputs: inputs(b % 4, { first, open: c % 2 === 0 }) })
  cluster.settle()
}

function outcomes(cluster: Harness, lane: FakeLane, b: number, c: number): Outcome[] {
  const most = Math.min(lane.open.length, cluster.headRun(lane))
  if (c % 11 === 0) return [failed('TASK_FAILED', b % 4 > 0)]
  if (c % 11 === 1) return [failed('TASK_CRASHED')]
  if (c % 11 === 2) return [{ kind: 'skipped', count: 1 + (b % most) }]
  return [finished(lane, 1 + (b % most), [], 20_000 * (1 + (c % 3)))]
}

function report(cluster: Harness, a: number, b: number, c: number): void {
  const found = busyLane(cluster, a)
  if (!found) return
  const before = found.lane.acknowledged
  const told = outcomes(cluster, found.lane, b, c)
  const reply = cluster.end(found.worker, told, found.lane)
  assert.equal(reply.kind, 'done')
  // Sent again, as after a lost acknowledgement: nothing may follow from it.
  const records = cluster.records.length
  cluster.ask({
    kind: 'report',
    worker: found.worker.id,
    incarnation: found.worker.incarnation,
    lane: found.lane.id,
    from: before,
    outcomes: told,
    jitter: 0,
  })
  assert.equal(cluster.records.length, records)
}

/** The worker comes back, and a part of what it was handed never reached it. */
function reconnect(cluster: Harness, worker: FakeWorker, b: number, c: number): void {
  const lanes = [...worker.lanes.values()]
  const lane = pick(lanes, b)
  if (lane && c % 3 === 0) lane.truncate(Math.max(lane.head, lane.tasks.length - 1 - (c % 4)))
  if (lane && c % 7 === 1 && lane.head === 0) worker.lanes.delete(lane.id)
  cluster.register(worker, 1 + (b % 4))
  cluster.settle()
}

function restart(cluster: Harness, worker: FakeWorker, b: number): void {
  worker.lanes.clear()
  worker.boot = `${worker.boot}'`
  cluster.register(worker, 1 + (b % 4))
  cluster.settle()
}

function come(cluster: Harness, a: number, b: number, c: number): void {
  const away = [...cluster.workers.values()].filter(worker => !worker.connected)
  const worker = pick(away, a)
  if (worker) reconnect(cluster, worker, b, c)
  else if (cluster.workers.size < workersMax) cluster.join(`w${cluster.workers.size + 1}`, 1 + (b % 4))
}

/** After a takeover most workers come back, and the leader gives up on the others. */
function comeBack(cluster: Harness, b: number, c: number): void {
  for (const [position, worker] of [...cluster.workers.values()].entries()) {
    if ((c + position) % 4 === 0) cluster.lose(worker)
    else reconnect(cluster, worker, b, c % 3 === 0 ? 2 : c)
  }
}

/** The leader dies while it takes a submit or a report. */
function dieInTurn(cluster: Harness, a: number, b: number, c: number): void {
  cluster.dieIn(() => {
    const found = c % 2 === 0 ? busyLane(cluster, a) : undefined
    if (found) cluster.end(found.worker, outcomes(cluster, found.lane, b, c), found.lane)
    else submit(cluster, a, b, 1)
  })
  comeBack(cluster, b, c)
}

type Step = (cluster: Harness, a: number, b: number, c: number) => void

/** Every kind of step by its name. */
export const steps = {
  submit,
  add,
  report,
  reportMore: report,
  reportStill: report,
  come,
  returnTasks(cluster, a, b) {
    const found = busyLane(cluster, a)
    if (found) cluster.giveBack(found.worker, found.lane, found.lane.head + (b % found.lane.open.length))
  },
  lose(cluster, a) {
    const worker = pick(connected(cluster), a)
    if (worker) cluster.lose(worker)
  },
  reconnect(cluster, a, b, c) {
    const worker = pick(connected(cluster), a)
    if (worker) reconnect(cluster, worker, b, c)
  },
  restart(cluster, a, b) {
    const worker = pick(connected(cluster), a)
    if (worker) restart(cluster, worker, b)
  },
  drain(cluster, a) {
    const worker = pick(connected(cluster), a)
    if (!worker) return
    cluster.ask({ kind: 'drainWorker', worker: worker.id })
    cluster.settle()
  },
  cancel(cluster, a) {
    const id = pick(jobIds(cluster), a)
    if (id !== undefined) cluster.cancel(id)
  },
  cancelTasks(cluster, a, b, c) {
    const id = pick(jobIds(cluster), a)
    if (id === undefined) return
    cluster.ask({
      kind: 'cancelTasks',
      job: id,
      stage: 0,
      ranges: [
        { first: b % 6, count: 1 + (c % 3) },
        { first: 8, count: 1 },
      ],
    })
    cluster.settle()
  },
  release(cluster, a, b, c) {
    const id = pick(jobIds(cluster), a)
    if (id === undefined) return
    cluster.ask({ kind: 'releaseResults', job: id, stage: 0, ranges: [{ first: b % 6, count: 1 + (c % 5) }] })
    cluster.settle()
  },
  advance(cluster, a) {
    cluster.advance(1 + (a % 300))
  },
  takeOver(cluster, _a, b, c) {
    cluster.takeOver()
    comeBack(cluster, b, c)
  },
  dieInTurn,
  dieAgain: dieInTurn,
  candidateComes(cluster, a, b) {
    cluster.ask({ kind: 'joinCandidate', candidate: `candidate-${a % 4}`, priority: b % 7 })
  },
  candidateGoes(cluster, a, b) {
    cluster.ask({ kind: 'loseCandidate', candidate: `candidate-${a % 4}`, failed: b % 2 === 0 })
  },
  endSession(cluster, a) {
    cluster.ask({ kind: 'endSession', session: `session-${a % 2}` })
    cluster.settle()
  },
} satisfies Record<string, Step>

export type RandomStep = [name: keyof typeof steps, a: number, b: number, c: number]

/** Takes the steps one after the other. */
export function take(cluster: Harness, script: readonly RandomStep[]): void {
  for (const [name, a, b, c] of script) steps[name](cluster, a, b, c)
}

/** Everything heals: then every job must come to its end. */
export function heal(cluster: Harness): void {
  for (const worker of cluster.workers.values()) {
    worker.lanes.clear()
    cluster.lose(worker)
  }
  cluster.workers.clear()
  cluster.join('healer', 8)
  for (const job of [...cluster.state.jobs.byId.values()]) {
    for (const one of job.stages) {
      if (job.state === 'running' && !one.sealed)
        cluster.ask({ kind: 'addTasks', job: job.plan.job, inputs: inputs(0, { stage: one.number, first: one.added }) })
    }
  }
  cluster.settle()
  for (let round = 0; round < 5; round++) {
    cluster.finishAll()
    cluster.advance(60_000)
  }
  for (const job of cluster.state.jobs.byId.values()) assert(job.finishedAtMs > 0, `${job.plan.job} does not come to its end`)
}
