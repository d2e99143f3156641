// Random steps of a cluster's life: each is a name and three numbers, which choose among whatever is there when the step is taken. So a
// failing sequence shrinks by leaving steps out, and reads as what happened.
import assert from 'node:assert/strict'
import type { Outcome, RunPolicy, StagePolicy } from '../../src/protocol/index.ts'
import { type StepOptions, Steps } from '../fakes/flows.ts'
import { chunkOf, inputs, plan, stage } from '../fakes/plans.ts'
import { type FakeLane, type FakeWorker, failed, finished, resultOf } from '../fakes/worker.ts'
import { changeTrigger, emit, healEvents, setTrigger } from './event-steps.ts'
import { falseMark, type Harness } from './harness.ts'
import { policy, runPolicy } from './limited.ts'
import { setSchedule, tick } from './schedule-steps.ts'

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
  // Also one that is in the history, with other content or the same.
  const id = c % 7 === 0 ? (pick([...jobIds(cluster), ...cluster.ledger.archived], a) ?? fresh) : fresh
  const job = randomPlan(id, a, b)
  const given = job.stages.map((_, number) => inputs((b + number) % 9, { stage: number, open: c % 5 === 0 && number === 0 }))
  cluster.ask({ kind: 'submitJob', plan: job, inputs: given, ...randomLimits(job.stages.length, a, b, c) })
  cluster.settle()
}

/** Limits of keys, which are always the same; of a step's time; and of a run. Most have none. */
function randomPolicies(stages: number, a: number, b: number): StagePolicy[] {
  const some: Partial<StagePolicy>[] = [
    { key: 'few', concurrency: 2 },
    { key: 'slow', concurrency: 3, rateLimit: 2, ratePerMs: 150 },
    { concurrency: 1 },
    { rateLimit: 2, ratePerMs: 80, stepTimeoutMs: 400 },
    { stepTimeoutMs: 1 + (b % 300) },
  ]
  const policies: StagePolicy[] = []
  for (let number = 0; number < stages; number++) {
    const chosen = some[(a + 3 * number) % 11]
    if (chosen) policies.push(policy({ ...chosen, stage: number }))
  }
  return policies
}

function randomLimits(stages: number, a: number, b: number, c: number): { policies: StagePolicy[]; run: RunPolicy | undefined } {
  const whenBusy = (['queue', 'cancel', 'reject', 'queue'] as const)[b % 4]!
  const timeoutMs = c % 4 === 0 ? 1 + (a % 500) : 0
  const run =
    c % 3 === 0
      ? runPolicy({ key: `run-${a % 2}`, concurrency: 1 + (a % 2), whenBusy, timeoutMs })
      : timeoutMs > 0
        ? runPolicy({ timeoutMs })
        : undefined
  return { policies: randomPolicies(stages, a, b), run }
}

function add(cluster: Harness, a: number, b: number, c: number): void {
  const id = pick(jobIds(cluster), a)
  if (id === undefined) return
  const first = Math.max(0, cluster.stage(id).added - (c % 4 === 0 ? 1 : 0))
  cluster.ask({ kind: 'addTasks', job: id, inputs: inputs(b % 4, { first, open: c % 2 === 0 }) })
  cluster.settle()
}

/** What a step of a workflow waits for besides others. */
function randomWait(draw: (below: number) => number): StepOptions {
  const kinds: StepOptions[] = [
    { kind: 'sleep', amount: 1 + draw(200) },
    { kind: 'signal', name: 'go' },
    { kind: 'event', name: draw(2) === 0 ? 'paid' : `paid#order-${draw(2)}` },
  ]
  return kinds[draw(3)]!
}

/** A random workflow: each of its steps needs some of those before it in one of the ways there are. */
function randomFlow(a: number, b: number, c: number): Steps {
  const flow = new Steps()
  const singles: number[] = []
  const wides: number[] = []
  let seed = a * 1009 + b * 31 + c
  const draw = (below: number): number => {
    seed = (seed * 1103515245 + 12345) % 2147483648
    return Math.floor(seed / 65536) % below
  }
  const one = (of: readonly number[]): number => of[draw(of.length)]!
  const of = (): { task: string; cpus: number; retries: number } => ({ task: `f${draw(2)}`, cpus: cpusOf[draw(2)]!, retries: draw(2) })
  singles.push(flow.add([], of()))
  for (let i = draw(8); i >= 0; i--) {
    const kind = draw(12)
    if (kind < 3) singles.push(flow.add([['value', one(singles)], ...(draw(2) ? ([['after', one(singles)]] as const) : [])], of()))
    else if (kind === 3) wides.push(flow.add([['after', one(singles)]], { ...of(), count: 2 + draw(4) }))
    else if (kind === 4) wides.push(flow.add([['spread', flow.add([['value', one(singles)]], { task: 'split' })]], { ...of(), count: 0 }))
    else if (kind === 5 && wides.length > 0) wides.push(flow.add([['each', one(wides)]], { ...of(), count: 0 }))
    else if (kind === 6 && wides.length > 0) flow.add([['fold', one(wides)]], { ...of(), count: 0, amount: 2 + draw(3) })
    else if (kind === 7 && wides.length > 0) singles.push(flow.add([['all', one(wides)]], of()))
    else if (kind === 8) {
      const test = flow.add([['value', one(singles)]], { task: 'test' })
      const yes = flow.add([['taken', test]], of())
      const no = flow.add([['untaken', test]], of())
      singles.push(
        flow.add(
          [
            [
              'value',
              flow.add(
                [
                  ['option', yes],
                  ['option', no],
                ],
                { kind: 'choice' },
              ),
            ],
          ],
          of(),
        ),
      )
    } else if (kind === 9) {
      const risky = one(singles)
      const handler = flow.add([['failure', risky]], of())
      singles.push(
        flow.add(
          [
            [
              'value',
              flow.add(
                [
                  ['option', risky],
                  ['option', handler],
                ],
                { kind: 'choice' },
              ),
            ],
          ],
          of(),
        ),
      )
    } else if (kind === 10) flow.add([['undo', one(singles)]], { task: 'undo' })
    else if (kind === 11) {
      const wait = flow.add(draw(2) === 0 ? [] : [['after', one(singles)]], randomWait(draw))
      singles.push(flow.add([['after', wait]], of()))
    }
  }
  flow.output = one(singles)
  return flow
}

function submitFlow(cluster: Harness, a: number, b: number, c: number): void {
  const flow = randomFlow(a, b, c)
  const id = `flow-${cluster.of('FlowSubmitted').length}`
  cluster.ask({
    kind: 'submitJob',
    plan: plan(id, { stages: flow.stages, detached: b % 3 > 0 }),
    inputs: flow.inputs,
    flow: flow.plan,
    ...randomLimits(flow.stages.length, a, b, c),
  })
  cluster.settle()
}

function inFlow(cluster: Harness, lane: FakeLane): boolean {
  return cluster.state.tasks.lanes.get(lane.id)?.runs[0]?.stage.job.flow !== undefined
}

/** How a task of a workflow ends: also as steps of its own, where nobody wants more of it than its result. */
function flowOutcomes(cluster: Harness, lane: FakeLane, b: number, c: number): Outcome[] {
  if (c % 11 === 0) return [failed('TASK_FAILED', b % 4 > 0)]
  if (c % 11 === 1) return [failed('TASK_CRASHED')]
  if (c % 11 === 2) return [{ kind: 'skipped', count: 1 }]
  const success = cluster.success(lane, b % 4)
  if (success.kind === 'spread') return [success]
  const { stage, first } = cluster.state.tasks.lanes.get(lane.id)!.runs[0]!
  const { flow } = stage.job
  const uses = flow!.uses(stage.wide < 0 ? stage.owners[first]! : stage.wide)
  const decides = uses.some(use => use.kind === 'taken' || use.kind === 'untaken')
  const plain = stage.wide < 0 && uses.every(use => use.kind === 'value' || use.kind === 'after' || use.kind === 'failure')
  if (c % 11 === 3 && plain && flow!.count < 60) {
    const { stages, inputs: given, plan: steps } = randomFlow(b, c, 7)
    return [{ kind: 'expanded', stages, inputs: given, flow: steps, policies: randomPolicies(stages.length, b, c), elapsedMicros: 10 }]
  }
  if (c % 11 !== 4 && !(decides && c % 2 === 0)) return c % 3 === 0 ? [finished(lane, 1 + (b % cluster.valuesAhead(lane)))] : [success]
  const [task] = lane.open
  return [{ kind: 'finished', count: 1, items: chunkOf([falseMark + resultOf(task!)]), blocks: [], elapsedMicros: 1000 }]
}

function outcomes(cluster: Harness, lane: FakeLane, b: number, c: number): Outcome[] {
  if (inFlow(cluster, lane)) return flowOutcomes(cluster, lane, b, c)
  // Of as many runs as it takes, and of several jobs.
  const most = cluster.valuesAhead(lane)
  if (c % 11 === 0) return [failed('TASK_FAILED', b % 4 > 0)]
  if (c % 11 === 1) return [failed('TASK_CRASHED')]
  if (c % 11 === 2) return [{ kind: 'skipped', count: 1 + (b % most) }]
  return [finished(lane, 1 + (b % most), [], [500, 5_000, 40_000][c % 3])]
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

/** Tasks come back, of a lane that has several if there is one. */
function returnTasks(cluster: Harness, a: number, b: number): void {
  const busy = connected(cluster).flatMap(worker => worker.busy.map(lane => ({ worker, lane })))
  const long = busy.filter(({ lane }) => lane.open.length > 1)
  const found = pick(long.length > 0 ? long : busy, a)
  if (found) cluster.giveBack(found.worker, found.lane, found.lane.head + (b % found.lane.open.length))
}

/** Workflows go on from where they failed, those that may not are refused. */
function rerun(cluster: Harness, a: number, b: number): void {
  const flows = [...cluster.state.jobs.byId.values()].filter(job => job.flow)
  const ended = flows.filter(job => job.state === 'failed' || job.state === 'cancelled')
  const job = pick(ended.length > 0 && b % 5 > 0 ? ended : [...cluster.state.jobs.byId.values()], a)
  if (!job) return
  const command = { kind: 'rerunJob' as const, job: job.plan.job, rerun: `r${cluster.records.length}`, program: undefined }
  const mayNot = !job.flow || job.state === 'succeeded' || job.state === 'running' || job.finishedAtMs === 0
  const reply = cluster.ask(command)
  if (reply.kind === 'refused')
    assert(['CANNOT_RERUN', 'RESULT_GONE', 'OVERLOADED', 'KEY_BUSY', 'LIMIT_CONFLICT'].includes(reply.error.code), reply.error.message)
  else assert(!mayNot, `${job.plan.job} is ${job.state} and went on`)
  const records = cluster.records.length
  if (reply.kind === 'done') assert.equal(cluster.ask(command).kind, 'done')
  assert.equal(cluster.records.length, records, 'asked again it counts once')
  cluster.settle()
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
  submitFlow,
  submitFlowMore: submitFlow,
  signal(cluster, a, b) {
    const flows = cluster.of('FlowSubmitted')
    const id = pick(flows, a)?.plan.job
    if (id !== undefined) cluster.ask({ kind: 'signal', job: id, name: 'go', signal: `s${b % 20}`, items: chunkOf(['sent']) })
    cluster.settle()
  },
  setTrigger,
  changeTrigger,
  emit,
  emitMore: emit,
  setSchedule,
  setScheduleMore: setSchedule,
  tick,
  tickMore: tick,
  tickStill: tick,
  changeSchedule(cluster, a, b) {
    const schedule = pick([...cluster.state.schedules.byName.values()], a)
    const change = (['pause', 'resume', 'resume', 'delete'] as const)[b % 4]!
    if (schedule) cluster.ask({ kind: 'changeSchedule', schedule: schedule.spec.schedule, change, nextAtMs: schedule.nextAtMs + 100 })
  },
  lock(cluster, a, b, c) {
    const [mode, permits] = (
      [
        ['exclusive', 0],
        ['read', 0],
        ['permit', 2],
      ] as const
    )[a % 3]!
    const lock = mode === 'permit' ? 'pool' : `lock-${a % 2}`
    const grant = `g${b % 40}`
    const before = cluster.state.grants.byId.has(grant)
    const reply = cluster.ask({ kind: 'lock', grant, lock, session: `session-${c % 3}`, mode, permits, ttlMs: 1000 * (1 + (c % 3)) })
    assert(before || reply.kind === 'asked' || (reply.kind === 'refused' && reply.error.code === 'LOCK_LOST'))
  },
  unlock(cluster, a) {
    const grant = pick([...cluster.state.grants.byId.values()], a)
    if (grant) cluster.ask({ kind: 'unlock', grant: grant.id, session: grant.session })
  },
  expire(cluster, a, b) {
    cluster.ask({ kind: 'expireGrants', session: `session-${a % 3}`, silentMs: 1000 * (b % 4) })
  },
  /** Entries that were read a while ago are written, so that some transactions come too late. */
  transact(cluster, a, b, c) {
    const version = (key: string): number => cluster.state.spaces.byName.get('one')?.get(key)?.version ?? 0
    const [from, to] = [`k${a % 5}`, `k${b % 5}`]
    const records = cluster.records.length
    const flow = [...cluster.state.jobs.byId.values()].find(job => job.flow && job.state === 'running' && !job.flow.ended)
    const command = {
      kind: 'transact' as const,
      session: `session-${c % 2}`,
      number: records,
      before: Math.max(0, records - 20),
      exchange: {
        checks: [{ space: 'one', key: from, version: c % 4 === 0 ? 1 + (b % 3) : version(from) }],
        writes: [{ space: 'one', key: to, item: b % 6 === 0 ? undefined : chunkOf([String(c)]) }],
        grants: [],
        signals: flow && a % 2 === 0 ? [{ job: flow.plan.job, name: 'go', signal: `s${b % 20}`, item: chunkOf(['sent']) }] : [],
      },
      jobs: [],
    }
    const reply = cluster.ask(command)
    assert(reply.kind === 'transacted' || (reply.kind === 'refused' && reply.error.code === 'TRANSACTION_CONFLICT'))
    if (reply.kind !== 'transacted') return
    // Sent again, as after a lost answer: it counts once.
    const after = cluster.records.length
    assert.deepEqual(cluster.ask(command), reply)
    assert.equal(cluster.records.length, after)
  },
  add,
  report,
  reportMore: report,
  reportStill: report,
  come,
  returnTasks,
  returnMore: returnTasks,
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
  cancel(cluster, a, b) {
    const compensated = [...cluster.state.jobs.byId.values()].filter(job => job.cancelling).map(job => job.plan.job)
    // Few are being cancelled: every other time it is one of these, if there is any.
    const id = pick(b % 2 === 0 && compensated.length > 0 ? compensated : jobIds(cluster), a)
    if (id !== undefined) cluster.cancel(id)
  },
  cancelCompensated(cluster, a) {
    const flows = [...cluster.state.jobs.byId.values()].filter(job => job.flow)
    const id = pick(flows, a)?.plan.job
    if (id === undefined) return
    for (let times = 0; times < 2; times++) {
      const records = cluster.records.length
      assert.equal(cluster.ask({ kind: 'cancelJob', job: id, reason: 'take it back', compensate: true }).kind, 'done')
      if (times > 0) assert.equal(cluster.records.length, records, 'asked again it counts once')
    }
    cluster.settle()
  },
  pause(cluster, a, b) {
    const job = pick([...cluster.state.jobs.byId.values()], a)
    if (!job) return
    const ends = job.state !== 'running' || cluster.state.jobs.complete.has(job)
    const reply = cluster.ask({ kind: 'pauseJob', job: job.plan.job, paused: b % 3 === 0 })
    assert(ends ? reply.kind === 'refused' && reply.error.code === 'JOB_ENDED' : reply.kind === 'done')
    cluster.settle()
  },
  rerun,
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
    if (job.paused) cluster.ask({ kind: 'pauseJob', job: job.plan.job, paused: false })
    for (const one of job.stages) {
      if (job.state === 'running' && !one.sealed)
        cluster.ask({ kind: 'addTasks', job: job.plan.job, inputs: inputs(0, { stage: one.number, first: one.added }) })
    }
  }
  cluster.settle()
  for (let round = 0; round < 15; round++) {
    cluster.finishAll()
    healEvents(cluster, round)
    for (const job of cluster.state.jobs.byId.values()) {
      for (let i = 0; job.flow && job.state === 'running' && i < job.flow.mail.listeners.size + 1; i++)
        cluster.ask({ kind: 'signal', job: job.plan.job, name: 'go', signal: `healing-${round}-${i}`, items: chunkOf(['sent']) })
    }
    cluster.advance(60_000)
  }
  for (const job of cluster.state.jobs.byId.values()) assert(job.finishedAtMs > 0, `${job.plan.job} does not come to its end`)
}
