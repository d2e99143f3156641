// Owns the state of the cluster's mind: the sum of all journaled facts. Only `apply` writes it.
// Must not hold bytes of inputs or results, clocks, connections, or anything observed.
import type { BlockId, PayloadId, WorkerId } from '../protocol/index.ts'
import { type Access, createAccess } from './access/state.ts'
import { createDeadlines, type Deadline, type Deadlines } from './deadlines/state.ts'
import { createEvents, type Events } from './events/state.ts'
import { createGrants, type Grants } from './grants/state.ts'
import { Heap } from './heap.ts'
import { HistoryRegister } from './history/state.ts'
import { createJobs, type Job, type Jobs, type Stage } from './jobs/state.ts'
import { createKeys, type Key, type Keys } from './keys/state.ts'
import { createLeadership, type Leadership } from './leadership/state.ts'
import { createMembership, type Membership } from './membership/state.ts'
import { createNodes, type Nodes } from './nodes/state.ts'
import { createPrograms, type Programs } from './programs/state.ts'
import { createQueues, type Queues } from './queues/state.ts'
import { createSchedules, type Schedules } from './schedules/state.ts'
import { createSecrets, type Secrets } from './secrets/state.ts'
import { createSpaces, type Spaces } from './spaces/state.ts'
import { createTasks, type Tasks } from './tasks/state.ts'

/** A block that nothing names any more, and the worker that holds it. */
export interface BlockDrop {
  block: string
  holder: string
}

/** A task that waits for the time of its next attempt. */
export interface DelayedTask {
  stage: Stage
  index: number
  attempt: number
  avoid: string
}

/** A step of a workflow that waits for a time. */
export interface DelayedStep {
  job: Job
  step: number
}

/** A key whose rate may have room at a time. Derived: it follows from what is remembered of the key. */
export interface DelayedKey {
  key: Key
  atMs: number
}

/** What waits for a time. */
export type Delayed = DelayedTask | DelayedStep | DelayedKey | { deadline: Deadline }

/** Tasks of a workflow that have an outcome: the workflow moves on by it before the next fact. */
export interface Ending {
  stage: Stage
  first: number
  count: number
  outcome: 'succeeded' | 'failed' | 'cancelled'
}

/** All that is known by facts. */
export interface State {
  cluster: string
  epoch: number
  leader: string
  /** Pid, address and release of the leader, as it claimed. */
  leaderPid: number
  leaderAddress: string
  leaderRelease: string
  /** Cluster time: never goes back, moves with TimePassed. */
  nowMs: number
  /** Records applied so far: the journal's index. */
  index: number
  leadership: Leadership
  membership: Membership
  nodes: Nodes
  programs: Programs
  jobs: Jobs
  history: HistoryRegister
  tasks: Tasks
  grants: Grants
  spaces: Spaces
  secrets: Secrets
  access: Access
  schedules: Schedules
  events: Events
  keys: Keys
  queues: Queues
  deadlines: Deadlines
  delayed: Heap<Delayed>
  /** Derived, empty between facts. */
  endings: Ending[]
  nextPayload: PayloadId
  /** Payloads that more than one fact names, and how many do. */
  payloadUses: Map<PayloadId, number>
  /** Derived, taken away by the loop: payloads and blocks that no fact names any more. */
  payloadDrops: PayloadId[]
  blockDrops: BlockDrop[]
  /** How many facts name each block on each of its holders (see `blockHolding`). */
  blockUses: Map<string, number>
  /** Those holders by block: nearly always one. */
  blockHolders: Map<BlockId, WorkerId | Set<WorkerId>>
}

/** The state before the first record. */
export function createState(): State {
  return {
    cluster: '',
    epoch: 0,
    leader: '',
    leaderPid: 0,
    leaderAddress: '',
    leaderRelease: '',
    nowMs: 0,
    index: 0,
    leadership: createLeadership(),
    membership: createMembership(),
    nodes: createNodes(),
    programs: createPrograms(),
    jobs: createJobs(),
    history: new HistoryRegister(),
    tasks: createTasks(),
    grants: createGrants(),
    spaces: createSpaces(),
    secrets: createSecrets(),
    access: createAccess(),
    schedules: createSchedules(),
    events: createEvents(),
    keys: createKeys(),
    queues: createQueues(),
    deadlines: createDeadlines(),
    delayed: new Heap(),
    endings: [],
    nextPayload: 1,
    payloadUses: new Map(),
    payloadDrops: [],
    blockDrops: [],
    blockUses: new Map(),
    blockHolders: new Map(),
  }
}
