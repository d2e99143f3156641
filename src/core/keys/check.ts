// Owns the invariants of keys, queues of runs and deadlines: no limit is passed, and nobody waits for a key that has room. For tests.
// Must not repair anything.
import type { Job } from '../jobs/state.ts'
import { isQueued } from '../queues/state.ts'
import type { State } from '../state.ts'
import { type Key, roomOf } from './state.ts'

function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`invariant broken: ${what}`)
}

/** Throws if an invariant of keys is broken. */
export function checkKeys(state: State, jobs: readonly Job[]): void {
  const holding = new Map<Key, number>()
  const users = new Map<Key, number>()
  const add = (counts: Map<Key, number>, key: Key | undefined, count: number): void => {
    if (key) counts.set(key, (counts.get(key) ?? 0) + count)
  }
  for (const lane of state.tasks.lanes.values()) for (const run of lane.runs) add(holding, run.stage.key, run.count)
  for (const { flow, stages, finishedAtMs } of jobs) {
    for (const stage of stages) {
      assert(!stage.key || finishedAtMs === 0, `stage ${stage.number} of a job that is over has a key`)
      add(users, stage.key, 1)
      if (stage.key) checkLine(stage.key, stage)
    }
    for (const step of flow?.holding ?? []) {
      add(holding, stages[flow!.stage(step)]!.key, 1)
      assert(flow!.expanded.has(step) && !flow!.settled(step), `step ${step} holds a key and has ended`)
    }
  }
  for (const key of new Set([...state.keys.byName.values(), ...users.keys()]))
    checkKey(state, key, holding.get(key) ?? 0, users.get(key) ?? 0)
}

function checkKey(state: State, key: Key, holding: number, users: number): void {
  const name = `the key ${key.name}`
  assert(key.holding === holding, `${name} counts ${key.holding} holders, and ${holding} are there`)
  assert(key.stages === users, `${name} miscounts its stages`)
  assert(users > 0 || key.started > 0, `${name} is known and nothing is of it`)
  assert(key.concurrency === 0 || holding <= key.concurrency, `${name} is held by ${holding}`)
  const starts = key.starts.filter(one => one.lastMs + key.ratePerMs > state.nowMs).reduce((sum, one) => sum + one.count, 0)
  assert(key.rateLimit === 0 || starts <= key.rateLimit, `of ${name} ${starts} were handed out in its time`)
  assert(key.open === roomOf(key) > 0, `${name} is open where it has no room, or closed where it has`)
  assert(key.starts.length === 0 || key.wakeAtMs > state.nowMs, `${name} remembers what it gave, and is never looked at again`)
  for (const byPriority of key.groups.values()) {
    for (const group of byPriority.values()) {
      const ready = [...group.stages].reduce((sum, stage) => sum + stage.readyCount, 0)
      assert(!group.stages.empty && ready === group.readyCount, `a group of ${name} miscounts its tasks`)
      for (const stage of group.stages) assert(stage.key === key && stage.class === group.class, `a stage is in a strange group of ${name}`)
    }
  }
}

/** Ready tasks of a stage stand in the group of its key, and in its class's line if that has room. */
function checkLine(key: Key, stage: Job['stages'][number]): void {
  const group = key.groups.get(stage.class)?.get(stage.job.plan.priority)
  const waits = stage.readyCount > 0 && stage.blockedBy === 0 && !stage.job.paused
  const name = `stage ${stage.number} of ${stage.job.plan.job}`
  const listed = group !== undefined && [...group.stages].includes(stage)
  assert(listed === waits, `${name} is not in the group of its key as it should be`)
  assert([...stage.class.waiting].includes(stage) === (waits && key.open), `${name} is not in line as its key says`)
}

/** Throws if an invariant of queues of runs, or of deadlines, is broken. */
export function checkQueues(state: State, jobs: readonly Job[]): void {
  for (const { key, concurrency, running, line, waiting } of state.queues.byKey.values()) {
    const waits = [...line.items()]
    assert(waits.length === waiting, `the queue ${key} miscounts who waits`)
    assert(running.size > 0 && running.size <= concurrency, `of the queue ${key} ${running.size} run`)
    assert(waiting === 0 || running.size === concurrency, `runs of the key ${key} wait although there is room`)
    for (const job of running) assert(job.finishedAtMs === 0 && !isQueued(job), `${job.plan.job} has ended and holds ${key}`)
    for (const job of waits) assert(job.state === 'running' && isQueued(job), `${job.plan.job} waits for ${key} and has begun`)
  }
  for (const job of jobs) {
    if (!isQueued(job)) continue
    const begun = job.stages.some(stage => stage.runningCount + stage.succeeded + stage.failed > 0)
    assert(!begun, `${job.plan.job} waits for its turn and has begun`)
  }
  const pending = [...state.delayed].filter(({ item }) => 'deadline' in item).length
  assert(pending === state.deadlines.pending, 'deadlines do not add up')
}
