// Owns what facts do to keys: stages that join and leave, tasks that take a key and give it back, time that makes room.
// Must not choose anything.
import type { RecordOf } from '../../protocol/index.ts'
import type { Stage } from '../jobs/state.ts'
import { Turns } from '../priority-line.ts'
import type { State } from '../state.ts'
import { stageOf } from '../tasks/apply.ts'
import { classOf, forgetClassIfUnused } from '../tasks/classes.ts'
import { createKey, type Key, type KeyGroup, limitsTasks, roomOf, type Starts } from './state.ts'

/** Of one `ratePerMs` at most about so many times are remembered. */
const startsKept = 1000

export function applyStageLimited(state: State, record: RecordOf<'StageLimited'>): void {
  const { policy } = record
  const stage = stageOf(state, record.job, policy.stage)
  stage.policy = policy
  if (!limitsTasks(policy)) return
  // Tasks that a key may hold back have lanes of their own: nothing of them stands in line behind others.
  const before = stage.class
  stage.class = classOf(state, stage.plan, true)
  stage.class.stages++
  before.stages--
  forgetClassIfUnused(state, before)
  joinKey(state, stage)
}

/** The stage, which has a policy that limits tasks, is limited by its key from now on. */
export function joinKey(state: State, stage: Stage): void {
  const policy = stage.policy!
  const { key: name, concurrency, rateLimit, ratePerMs } = policy
  let key = name === '' ? undefined : state.keys.byName.get(name)
  if (!key) {
    key = createKey(name, policy)
    if (name !== '') state.keys.byName.set(name, key)
  }
  // One that nobody uses any more is there for its rate only: who comes next says what it is.
  if (key.stages === 0) Object.assign(key, { concurrency, rateLimit, ratePerMs })
  key.stages++
  stage.key = key
  refresh(state, key)
}

/** The stage is over. */
export function leaveKey(state: State, stage: Stage): void {
  const { key } = stage
  if (!key) return
  stage.key = undefined
  key.stages--
  forgetKeyIfUnused(state, key)
}

function forgetKeyIfUnused(state: State, key: Key): void {
  if (key.stages === 0 && key.started === 0 && state.keys.byName.get(key.name) === key) state.keys.byName.delete(key.name)
}

/** Tasks of the stage were handed out. */
export function takeKey(state: State, stage: Stage, count: number): void {
  const { key } = stage
  if (!key) return
  key.holding += count
  if (key.rateLimit > 0) noteStarts(key, state.nowMs, count)
  refresh(state, key)
}

/** Steps of the stage go on by steps of their own, and hold the key until those have ended. */
export function holdKey(state: State, stage: Stage, count: number): void {
  const { key } = stage
  if (!key) return
  key.holding += count
  refresh(state, key)
}

/** Tasks of the stage have ended, or were given up by who had them. */
export function releaseKey(state: State, stage: Stage, count: number): void {
  const { key } = stage
  if (!key) return
  key.holding -= count
  refresh(state, key)
}

function noteStarts(key: Key, nowMs: number, count: number): void {
  const last = key.starts.at(-1)
  if (last && nowMs - last.firstMs < key.ratePerMs / startsKept) {
    last.lastMs = nowMs
    last.count += count
  } else key.starts.push({ firstMs: nowMs, lastMs: nowMs, count })
  key.started += count
}

/** The time at which a key's rate has room was waited for, and has come. */
export function wakeKey(state: State, key: Key, atMs: number): void {
  // There is another time by now, and it comes by itself.
  if (atMs !== key.wakeAtMs) return
  key.wakeAtMs = 0
  refresh(state, key)
  forgetKeyIfUnused(state, key)
}

/** Takes in what time has made of the rate, and lets the key's groups into the lines of their classes, or out of them. */
export function refresh(state: State, key: Key): void {
  forgetStarts(key, state.nowMs)
  // For who waits, when the oldest is over; else when all are, so that one that nobody uses is forgotten.
  const next: Starts | undefined = key.started >= key.rateLimit ? key.starts[0] : key.starts.at(-1)
  const wakeAtMs = next ? next.lastMs + key.ratePerMs : 0
  if (wakeAtMs > 0 && (key.wakeAtMs === 0 || wakeAtMs < key.wakeAtMs)) {
    key.wakeAtMs = wakeAtMs
    state.delayed.push(wakeAtMs, { key, atMs: wakeAtMs })
  }
  const open = roomOf(key) > 0
  if (open === key.open) return
  key.open = open
  for (const byPriority of key.groups.values())
    for (const group of byPriority.values()) place(state, group, open ? group.readyCount : -group.readyCount)
}

function forgetStarts(key: Key, nowMs: number): void {
  let over = 0
  while (over < key.starts.length && key.starts[over]!.lastMs + key.ratePerMs <= nowMs) key.started -= key.starts[over++]!.count
  if (over > 0) key.starts.splice(0, over)
}

/** Accounts for ready tasks of a stage that has a key. */
export function accountKeyed(state: State, stage: Stage, key: Key, change: number): void {
  const group = groupOf(key, stage)
  group.readyCount += change
  if (stage.readyCount > 0) group.stages.add(stage, stage.job)
  else group.stages.delete(stage, stage.job)
  if (key.open) place(state, group, change)
  if (!group.stages.empty) return
  const byPriority = key.groups.get(group.class)!
  byPriority.delete(group.priority)
  if (byPriority.size === 0) key.groups.delete(group.class)
}

/** The ready tasks of a group count for its class, or do not any more. */
function place(state: State, group: KeyGroup, change: number): void {
  const { class: schedulingClass, priority, key, owner } = group
  schedulingClass.readyCount += change
  if (key.open && !group.stages.empty) schedulingClass.waiting.add(group, priority, owner)
  else schedulingClass.waiting.delete(group, priority, owner)
  if (schedulingClass.readyCount > 0) state.tasks.waiting.add(schedulingClass)
  else state.tasks.waiting.delete(schedulingClass)
}

function groupOf(key: Key, stage: Stage): KeyGroup {
  const { priority } = stage.job.plan
  let byPriority = key.groups.get(stage.class)
  if (!byPriority) {
    byPriority = new Map()
    key.groups.set(stage.class, byPriority)
  }
  let group = byPriority.get(priority)
  if (!group) {
    const owner = key.name === '' ? stage.job : key
    group = { key, class: stage.class, priority, owner, stages: new Turns(), readyCount: 0 }
    byPriority.set(priority, group)
  }
  return group
}

/** A stage that was served goes to the end of its job's stages, and its job, or the group with it, to the end of its priority's line. */
export function rotate(stage: Stage): void {
  const { job } = stage
  const { priority } = job.plan
  const group = stage.key?.groups.get(stage.class)?.get(priority)
  if (!stage.key) return stage.class.waiting.rotate(stage, priority, job)
  if (!group) return
  group.stages.rotate(stage, job)
  stage.class.waiting.rotate(group, priority, group.owner)
}
