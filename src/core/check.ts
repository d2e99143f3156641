// Owns the invariants that hold after every record: S9 to S12 and S14 as far as one state can show them. Run after every step in tests.
// Must not repair anything.
import { blockHolding, type Range, type Resources } from '../protocol/index.ts'
import { checkAccess } from './access/check.ts'
import { checkEvents } from './events/check.ts'
import { checkFlow } from './flows/check.ts'
import { checkGrants } from './grants/check.ts'
import { checkHistory } from './history/check.ts'
import { holdersOfBlock, inputBytesOf } from './jobs/accounts.ts'
import type { Job, Stage } from './jobs/state.ts'
import { checkKeys, checkQueues } from './keys/check.ts'
import { change, copy, fits } from './membership/resources.ts'
import { bucketFor, type Membership, type Worker } from './membership/state.ts'
import { checkNodes } from './nodes/check.ts'
import type { State } from './state.ts'
import type { Lane, SchedulingClass } from './tasks/state.ts'

function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`invariant broken: ${what}`)
}

function sum<T>(items: Iterable<T>, amount: (item: T) => number): number {
  let total = 0
  for (const item of items) total += amount(item)
  return total
}

function sameAmounts(one: Resources, other: Resources): boolean {
  return fits(one, other) && fits(other, one)
}

function checkWorker(worker: Worker): void {
  const expected = copy(worker.capacity)
  for (const lane of worker.lanes) if (!lane.vacated) change(expected, lane.class.plan.resources, -1)
  assert(sameAmounts(expected, worker.free), `S14: the reservations of ${worker.id} do not add up`)
  assert(
    worker.free.cpuMillis >= 0 && worker.free.memoryBytes >= 0 && worker.free.gpuMillis >= 0,
    `S14: ${worker.id} is promised more than it has`,
  )
  for (const one of worker.free.named) assert(one.millis >= 0, `S14: ${worker.id} is promised more ${one.name} than it has`)
}

function checkLane(state: State, lane: Lane): void {
  assert(lane.runs.length > 0, `lane ${lane.id} is open and empty`)
  assert(sum(lane.runs, run => run.count) === lane.assigned - lane.done, `lane ${lane.id} does not account for its tasks`)
  assert(lane.worker.lanes.includes(lane), `lane ${lane.id} is not where it belongs`)
  assert(state.membership.workers.get(lane.worker.id) === lane.worker, `S10: lane ${lane.id} belongs to a worker that is gone`)
  for (const run of lane.runs) assert(run.count > 0 && run.stage.class === lane.class, `lane ${lane.id} holds a strange run`)
}

function checkStage(state: State, stage: Stage): void {
  const name = `stage ${stage.number} of ${stage.job.plan.job}`
  assert(sum(stage.ready, run => run.count) === stage.readyCount, `${name}: ready tasks do not add up`)
  const waiting = stage.heldCount + stage.readyCount + stage.delayedCount
  const parts = waiting + stage.runningCount + stage.succeeded + stage.failed + stage.cancelled
  assert(parts === stage.added, `S11: ${name} has ${stage.added} tasks and ${parts} accounted for`)
  let end = 0
  let kept = 0
  for (const segment of stage.results) {
    assert(segment.first >= end, `S9: ${name} has two results for task ${segment.first}`)
    end = segment.first + segment.count
    kept += segment.count
    const gone = sum(stage.released.within(segment.first, segment.count), range => range.count)
    assert(segment.needed === segment.count - gone, `${name}: results at ${segment.first} miscount who needs them`)
  }
  assert(kept <= stage.succeeded, `S12: ${name} has more results than successes`)
  if (stage.job.finishedAtMs > 0) {
    assert(waiting + stage.runningCount === 0, `S11: ${name} is over and still has work`)
    assert(stage.job.flow !== undefined || stage.inputs.length + stage.inputBlocks.size === 0, `${name} is over and still holds inputs`)
  }
  for (const part of stage.cancelling.ranges) {
    const running = sum(state.tasks.lanes.values(), lane => sum(lane.runs, run => (run.stage === stage ? shared(run, part) : 0)))
    assert(running === part.count, `S11: ${name} waits for cancelled tasks from ${part.first} on to stop, and they do not run`)
  }
}

/** How many tasks two ranges share. */
function shared(one: Range, other: Range): number {
  return Math.max(0, Math.min(one.first + one.count, other.first + other.count) - Math.max(one.first, other.first))
}

function checkClass(state: State, schedulingClass: SchedulingClass): void {
  assert(
    sum(schedulingClass.waiting, stage => stage.readyCount) === schedulingClass.readyCount,
    `class ${schedulingClass.key}: ready tasks do not add up`,
  )
  assert(
    state.tasks.waiting.has(schedulingClass) === schedulingClass.readyCount > 0,
    `class ${schedulingClass.key} is not listed as it should be`,
  )
  for (const stage of schedulingClass.waiting)
    assert(
      stage.blockedBy === 0 && !stage.job.paused && stage.readyCount > 0,
      `class ${schedulingClass.key} lists a stage that does not wait`,
    )
}

function checkTotals(state: State, jobs: readonly Job[], stages: readonly Stage[]): void {
  const flowBytes = sum(jobs, job => (job.flow?.keptBytes ?? 0) + (job.finishedAtMs > 0 ? inputBytesOf(job) : 0))
  assert(sum(jobs, job => (job.finishedAtMs > 0 ? 0 : inputBytesOf(job))) === state.jobs.inputBytes, 'bytes of inputs do not add up')
  const resultBytes = sum(stages, stage => sum(stage.results, segment => segment.bytes))
  assert(resultBytes + flowBytes + state.history.bytes === state.jobs.resultBytes, 'bytes of results do not add up')
  const open = sum(stages, stage => stage.added - stage.succeeded - stage.failed - stage.cancelled)
  assert(open === state.jobs.openTasks, 'open tasks do not add up')
}

/** What is only there to be found quickly must agree with what it was derived from. */
function checkDerived(state: State, jobs: readonly Job[], stages: readonly Stage[]): void {
  const uses = new Map<string, number>()
  const use = (block: string, holder: string): void => {
    const holding = blockHolding(block, holder)
    uses.set(holding, (uses.get(holding) ?? 0) + 1)
  }
  for (const stage of stages) {
    for (const { block, holder } of [...stage.inputBlocks.values(), ...stage.resultBlocks.values()]) {
      use(block, holder)
    }
  }
  for (const job of jobs) {
    for (const { blocks } of job.flow?.spreads.values() ?? []) for (const { block, holder } of blocks) use(block, holder)
  }
  for (const blocks of state.history.blocks.values()) for (const { block, holder } of blocks) use(block, holder)
  assert(uses.size === state.blockUses.size, 'blocks are counted that nothing names')
  for (const [block, count] of uses) assert(state.blockUses.get(block) === count, `the uses of block ${block} do not add up`)
  const holdings = [...state.blockHolders.keys()].flatMap(block =>
    [...holdersOfBlock(state, block)].map(holder => blockHolding(block, holder)),
  )
  assert(holdings.length === uses.size && holdings.every(holding => uses.has(holding)), 'holders of blocks do not add up')
  const delayed = new Map<Stage, number>()
  for (const { item } of state.delayed) if ('stage' in item) delayed.set(item.stage, (delayed.get(item.stage) ?? 0) + 1)
  for (const stage of stages)
    assert((delayed.get(stage) ?? 0) === stage.delayedCount, 'tasks that wait for their next attempt do not add up')
  const running = jobs.filter(job => job.finishedAtMs === 0)
  checkUsers(state, running)
  assert(sum(state.jobs.bySession.values(), owned => owned.size) === running.length, 'jobs by session do not add up')
  assert(state.jobs.finished.size === jobs.length - running.length, 'finished jobs do not add up')
  checkBuckets(state.membership)
}

function counted<T>(items: Iterable<T>): Map<T, number> {
  const counts = new Map<T, number>()
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1)
  return counts
}

/** Programs and classes count who uses them. */
function checkUsers({ schedules, events, programs, tasks }: State, running: readonly Job[]): void {
  const stages = running.flatMap(job => job.stages)
  const specs = [...schedules.byName.values(), ...events.byName.values()].map(one => one.spec)
  const users = counted([...specs.flatMap(spec => spec.programs), ...stages.map(stage => stage.plan.program)])
  for (const program of programs.byId.values()) {
    const used = users.get(program.id) ?? 0
    assert(used === program.users, `the users of program ${program.id} do not add up`)
    assert(programs.idle.has(program) === (used === 0), `program ${program.id} is not listed as it should be`)
  }
  const lanesOf = counted([...tasks.lanes.values()].map(lane => lane.class))
  const stagesOf = counted(stages.map(stage => stage.class))
  for (const one of tasks.classes.values()) {
    assert(one.stages + one.lanes > 0, `class ${one.key} is known and nothing is of it`)
    assert(one.lanes === (lanesOf.get(one) ?? 0), `class ${one.key} miscounts its lanes`)
    assert(one.stages === (stagesOf.get(one) ?? 0), `class ${one.key} miscounts its stages`)
  }
}

/** As they stand: to read them by `bucketsOf` would put them in order, and what is placed next would go elsewhere than where nobody checks. */
function checkBuckets({ workers, byFree, moved }: Membership): void {
  for (const worker of workers.values()) {
    assert(worker.moved ? moved.includes(worker) : worker.bucket === bucketFor(worker), `${worker.id} is not where its free share belongs`)
    assert(worker.bucket === -1 || byFree[worker.bucket]!.has(worker), `${worker.id} is not where it can be found`)
  }
  const found = sum(workers.values(), worker => (worker.bucket === -1 ? 0 : 1))
  assert(sum(byFree, bucket => bucket.size) === found, 'workers by what they have free do not add up')
}

/** Throws if an invariant is broken, naming it. Costs time in proportion to the whole state: for tests. */
export function check(state: State): void {
  for (const worker of state.membership.workers.values()) checkWorker(worker)
  for (const lane of state.tasks.lanes.values()) checkLane(state, lane)
  for (const schedulingClass of state.tasks.classes.values()) checkClass(state, schedulingClass)
  const jobs = [...state.jobs.byId.values()]
  for (const job of jobs) {
    for (const stage of job.stages) checkStage(state, stage)
    if (job.flow) checkFlow(job, job.flow)
  }
  checkGrants(state.grants)
  checkNodes(state.nodes)
  checkHistory(state.history)
  assert(!jobs.some(job => state.history.find(job.plan.job) !== undefined), 'a job is in the history and in the state')
  checkAccess(state.access)
  checkEvents(state)
  checkKeys(state, jobs)
  checkQueues(state, jobs)
  const stages = jobs.flatMap(job => job.stages)
  checkTotals(state, jobs, stages)
  checkDerived(state, jobs, stages)
}
