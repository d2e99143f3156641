// Owns the bytes of stages' limits and of keys in a snapshot. Must not hold derived things: they are made anew.
import { type Infer, list, optional, stagePolicy, string, struct, varint } from '../../protocol/index.ts'
import type { Stage } from '../jobs/state.ts'
import type { State } from '../state.ts'
import { holdKey, refresh } from './apply.ts'
import { createKey, type Key, type Starts } from './state.ts'

const countMax = 2 ** 31
const name = string(4096)

export const keysState = struct({
  policies: list(struct({ job: name, policy: stagePolicy }), countMax),
  /** Those whose rate remembers something, by name; those that a stage has alone, behind them. */
  keys: list(
    struct({
      name,
      alone: optional(struct({ job: name, stage: varint })),
      concurrency: varint,
      rateLimit: varint,
      ratePerMs: varint,
      starts: list(struct({ firstMs: varint, lastMs: varint, count: varint }), countMax),
    }),
    countMax,
  ),
})
type KeysState = Infer<typeof keysState>

function* stagesOf(state: State): Generator<Stage> {
  for (const job of state.jobs.byId.values()) yield* job.stages
}

/** What is still remembered: the rest is let go when somebody looks. */
function startsOf(state: State, key: Key): Starts[] {
  return key.starts.filter(one => one.lastMs + key.ratePerMs > state.nowMs)
}

export function keysValue(state: State): KeysState {
  const policies: KeysState['policies'] = []
  const keys: KeysState['keys'] = []
  for (const key of [...state.keys.byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const starts = startsOf(state, key)
    if (starts.length > 0) keys.push({ ...key, alone: undefined, starts })
  }
  for (const { job, number, policy, key } of stagesOf(state)) {
    if (!policy) continue
    policies.push({ job: job.plan.job, policy })
    if (key && key.name === '' && key.starts.length > 0)
      keys.push({ ...key, alone: { job: job.plan.job, stage: number }, starts: startsOf(state, key) })
  }
  return { policies, keys }
}

/** The limits of each stage that has some, by job and stage. */
export function policiesOf({ policies }: KeysState): Map<string, KeysState['policies'][number]['policy']> {
  return new Map(policies.map(({ job, policy }) => [`${job}/${policy.stage}`, policy]))
}

/** What keys remember, when all jobs and lanes are there. */
export function restoreKeys(state: State, value: KeysState): void {
  for (const { alone, starts, ...own } of value.keys) {
    const known = alone ? state.jobs.byId.get(alone.job)!.stages[alone.stage]!.key! : state.keys.byName.get(own.name)
    const key = known ?? createKey(own.name, own)
    if (!known) state.keys.byName.set(key.name, key)
    key.starts = starts
    key.started = starts.reduce((sum, one) => sum + one.count, 0)
    refresh(state, key)
  }
  for (const job of state.jobs.byId.values()) {
    const { flow } = job
    if (!flow || job.finishedAtMs > 0) continue
    for (const step of flow.expanded) {
      const stage = job.stages[flow.stage(step)]!
      if (!stage.key || flow.settled(step)) continue
      flow.holding.add(step)
      holdKey(state, stage, 1)
    }
  }
}
