// Owns what limits tasks: how many of a key hold it, when they were handed out, and which stages wait for it.
// Must not choose who is next: placement does, among the stages whose key has room.
//
// Stages with ready tasks are in a group by key, class and priority. Where the key is full, its groups leave the lines of their classes as a whole,
// and come back as a whole: so nobody looks at what a key holds back, however many stages that are.
import type { StagePolicy } from '../../protocol/index.ts'
import type { Stage } from '../jobs/state.ts'
import type { Turns } from '../priority-line.ts'
import type { SchedulingClass } from '../tasks/state.ts'

/** Stages of one class and priority that wait for the same key. */
export interface KeyGroup {
  readonly key: Key
  readonly class: SchedulingClass
  readonly priority: number
  /** Whose turn its turn is: the job's of a stage that has its key alone, else its own. */
  readonly owner: object
  /** In the order in which they are served, job by job. */
  readonly stages: Turns<Stage>
  readyCount: number
}

/** Tasks that were handed out within a short time: `lastMs` stands for all of them. */
export interface Starts {
  firstMs: number
  lastMs: number
  count: number
}

/** A limit that stages share, or a stage's own. */
export interface Key {
  /** Empty for a stage's own. */
  readonly name: string
  /** As in StagePolicy; 0: none. */
  concurrency: number
  rateLimit: number
  ratePerMs: number
  /** Unfinished stages that it limits. */
  stages: number
  /** Derived: tasks in lanes, and steps whose own steps have not ended. */
  holding: number
  /** Handed out within the last `ratePerMs`, oldest first, and how many that are. */
  starts: Starts[]
  started: number
  /** Derived: there is room for one more. */
  open: boolean
  /** Derived: when it is looked at again, because its rate may have room then; 0: never. */
  wakeAtMs: number
  readonly groups: Map<SchedulingClass, Map<number, KeyGroup>>
}

export interface Keys {
  readonly byName: Map<string, Key>
}

export function createKeys(): Keys {
  return { byName: new Map() }
}

export function createKey(name: string, { concurrency, rateLimit, ratePerMs }: Pick<Key, 'concurrency' | 'rateLimit' | 'ratePerMs'>): Key {
  return {
    name,
    concurrency,
    rateLimit,
    ratePerMs,
    stages: 0,
    holding: 0,
    starts: [],
    started: 0,
    open: true,
    wakeAtMs: 0,
    groups: new Map(),
  }
}

/** True if the policy limits which tasks may run, not only for how long. */
export function limitsTasks(policy: StagePolicy | undefined): boolean {
  return policy !== undefined && (policy.concurrency > 0 || policy.rateLimit > 0)
}

/** How many more tasks may be handed out now; as far as facts tell, which may be a little late for rates. */
export function roomOf(key: Key): number {
  const slots = key.concurrency > 0 ? key.concurrency - key.holding : Number.POSITIVE_INFINITY
  const starts = key.rateLimit > 0 ? key.rateLimit - key.started : Number.POSITIVE_INFINITY
  return Math.min(slots, starts)
}

/** What people call the limit. */
export function keyText({
  name,
  concurrency,
  rateLimit,
  ratePerMs,
}: Pick<Key, 'name' | 'concurrency' | 'rateLimit' | 'ratePerMs'>): string {
  const parts = [
    ...(concurrency > 0 ? [`${concurrency} at once`] : []),
    ...(rateLimit > 0 ? [`${rateLimit} in ${ratePerMs} ms`] : []),
  ].join(', ')
  return name === '' ? `its own limit of ${parts}` : `the key ${name} (${parts})`
}
