// Owns the bytes of a whole state: what a leader writes so that old records may go, and a standby starts from.
// Must not hold derived things: they are made anew when a snapshot is read.
import {
  boolean,
  CoxswainError,
  enumeration,
  type Infer,
  jobPlan,
  list,
  Reader,
  recordVersion,
  resources,
  type StagePolicy,
  string,
  struct,
  varint,
  Writer,
} from '../protocol/index.ts'
import { type FlowState, flowState, flowValue, restoreFlow } from './flows/snapshot.ts'
import { restoreStage, stageState, stageValue } from './jobs/snapshot.ts'
import { type Job, stageDone } from './jobs/state.ts'
import { holdKey } from './keys/apply.ts'
import { policiesOf } from './keys/snapshot.ts'
import { change, copy } from './membership/resources.ts'
import { markMoved } from './membership/state.ts'
import { fourthState, restoreFourth, writeFourth } from './snapshot-fourth.ts'
import { laterState, restoreLater, writeLater } from './snapshot-later.ts'
import { createState, type State } from './state.ts'
import { stageOf } from './tasks/apply.ts'
import type { Lane } from './tasks/state.ts'

/** Lists in a snapshot are as long as the state was: their limit is only against nonsense. */
const countMax = 2 ** 31
const name = string(4096)

const head = struct({
  cluster: name,
  epoch: varint,
  leader: name,
  leaderPid: varint,
  leaderAddress: name,
  leaderRelease: name,
  nowMs: varint,
  index: varint,
  nextPayload: varint,
  nextIncarnation: varint,
  nextLane: varint,
})
const candidateState = struct({ id: name, priority: varint, failureRate: varint, ratedAtMs: varint, present: boolean })

const workerState = struct({
  id: name,
  incarnation: varint,
  boot: name,
  capacity: resources,
  host: name,
  pid: varint,
  blocks: name,
  labels: list(name, 64),
  draining: boolean,
})
const programState = struct({ id: name, payload: varint, bytes: varint, users: varint, idleSinceMs: varint })
const jobState = struct({
  plan: jobPlan,
  submittedAtMs: varint,
  state: enumeration('running', 'succeeded', 'failed', 'cancelled'),
  finishedAtMs: varint,
  reason: string(8192),
  stages: list(stageState, 65_536),
})
const laneRun = struct({ job: name, stage: varint, first: varint, count: varint, attempt: varint })
const laneState = struct({
  id: varint,
  worker: name,
  /** Never empty: the class of the lane is that of their stages. */
  runs: list(laneRun, countMax),
  assigned: varint,
  done: varint,
  closing: boolean,
  vacated: boolean,
})
/** Behind the rest since version 2. */
const flows = struct({
  flows: list(flowState, countMax),
  /** `position`: among all that waits for a time. */
  pauses: list(struct({ job: name, step: varint, atMs: varint, position: varint }), countMax),
})
const delayedState = struct({ job: name, stage: varint, index: varint, attempt: varint, avoid: name, atMs: varint })

const snapshot = struct({
  version: varint,
  head,
  workers: list(workerState, countMax),
  programs: list(programState, countMax),
  jobs: list(jobState, countMax),
  /** Finished jobs in the order in which they finished. */
  finished: list(name, countMax),
  lanes: list(laneState, countMax),
  delayed: list(delayedState, countMax),
  candidates: list(candidateState, countMax),
  resignedTo: name,
})
type SnapshotValue = Infer<typeof snapshot>

/** The bytes of the state. Two states that came from the same records have the same bytes. */
export function encodeSnapshot(state: State): Buffer {
  // What follows from other facts is made anew.
  const delayed = state.delayed.sorted().filter(({ item }) => 'stage' in item || 'step' in item)
  const value: SnapshotValue = {
    version: recordVersion,
    head: { ...state, nextIncarnation: state.membership.nextIncarnation, nextLane: state.tasks.nextLane },
    workers: [...state.membership.workers.values()],
    programs: [...state.programs.byId.values()],
    jobs: [...state.jobs.byId.values()].map(job => ({ ...job, stages: job.stages.map(stageValue) })),
    finished: [...state.jobs.finished].map(job => job.plan.job),
    lanes: [...state.tasks.lanes.values()].map(lane => ({
      ...lane,
      worker: lane.worker.id,
      runs: lane.runs.map(run => ({ ...run, job: run.stage.job.plan.job, stage: run.stage.number })),
    })),
    delayed: delayed.flatMap(({ key, item }) =>
      'stage' in item ? [{ ...item, job: item.stage.job.plan.job, stage: item.stage.number, atMs: key }] : [],
    ),
    candidates: [...state.leadership.candidates.values()],
    resignedTo: state.leadership.resignedTo,
  }
  const writer = new Writer(1 << 16)
  snapshot.write(writer, value)
  flows.write(writer, {
    flows: [...state.jobs.byId.values()].flatMap(job => (job.flow ? [flowValue(job, job.flow)] : [])),
    pauses: delayed.flatMap(({ key, item }, position) =>
      'step' in item ? [{ job: item.job.plan.job, step: item.step, atMs: key, position }] : [],
    ),
  })
  writeLater(writer, state)
  writeFourth(writer, state)
  return writer.finish()
}

/** What of a job stands elsewhere in the snapshot. */
interface JobGiven {
  flow: FlowState | undefined
  paused: boolean
  policies: ReadonlyMap<string, StagePolicy>
}

function restoreJob(state: State, value: Infer<typeof jobState>, { flow, paused, policies }: JobGiven): void {
  const { plan, submittedAtMs, finishedAtMs, reason } = value
  // Before version 3 they had no numbers: those in the order of the jobs are below all that come.
  const number = state.jobs.byId.size + 1
  const job: Job = {
    plan,
    number,
    submittedAtMs,
    state: value.state,
    finishedAtMs,
    reason,
    paused,
    cancelling: false,
    stages: [],
    flow: undefined,
    run: undefined,
  }
  state.jobs.byId.set(plan.job, job)
  const plans = [...plan.stages, ...(flow?.plans ?? [])]
  for (const [number, stage] of value.stages.entries()) {
    const given = { plan: plans[number]!, policy: policies.get(`${plan.job}/${number}`) }
    job.stages.push(restoreStage(state, job, number, given, stage))
  }
  if (flow) restoreFlow(state, job, flow)
  if (finishedAtMs > 0) return
  const owned = state.jobs.bySession.get(plan.session) ?? new Set()
  state.jobs.bySession.set(plan.session, owned.add(job))
  if ((!job.flow || job.flow.ended) && job.stages.every(stageDone)) state.jobs.complete.add(job)
}

function restoreLane(state: State, value: Infer<typeof laneState>): void {
  const worker = state.membership.workers.get(value.worker)!
  const runs = value.runs.map(({ job, stage, ...run }) => ({ ...run, stage: stageOf(state, job, stage) }))
  const schedulingClass = runs[0]!.stage.class
  const { id, assigned, done, closing, vacated } = value
  const lane: Lane = { id, worker, class: schedulingClass, runs, assigned, done, closing, vacated }
  state.tasks.lanes.set(lane.id, lane)
  schedulingClass.lanes++
  for (const run of runs) holdKey(state, run.stage, run.count)
  worker.lanes = [...worker.lanes, lane]
  if (!vacated) change(worker.free, schedulingClass.plan.resources, -1)
  markMoved(state.membership, worker)
}

/** What waits for a time, in its old order: among equal times it decides who goes first. */
function restoreDelayed(state: State, tasks: SnapshotValue['delayed'], pauses: Infer<typeof flows>['pauses']): void {
  const steps = new Map(pauses.map(one => [one.position, one]))
  let next = 0
  for (let position = 0; position < tasks.length + pauses.length; position++) {
    const pause = steps.get(position)
    if (pause) {
      const job = state.jobs.byId.get(pause.job)!
      job.flow!.pauses.set(pause.step, state.delayed.push(pause.atMs, { job, step: pause.step }))
      continue
    }
    const { job, stage, index, attempt, avoid, atMs } = tasks[next++]!
    state.delayed.push(atMs, { stage: stageOf(state, job, stage), index, attempt, avoid })
  }
}

/** The state in these bytes. Throws JOURNAL_VERSION for one of a newer release, FRAME_MALFORMED for nonsense. */
export function decodeSnapshot(bytes: Uint8Array): State {
  const reader = new Reader(bytes)
  const version = reader.varint()
  if (version > recordVersion)
    throw new CoxswainError('JOURNAL_VERSION', `The snapshot has version ${version}; this release knows ${recordVersion}.`)
  reader.position = 0
  const value = snapshot.read(reader)
  const { flows: flowValues, pauses } = version < 2 ? { flows: [], pauses: [] } : flows.read(reader)
  const later = version < 3 ? undefined : laterState.read(reader)
  const fourth = version < 4 ? undefined : fourthState.read(reader)
  reader.finish()
  const flowByJob = new Map(flowValues.map(one => [one.job, one]))
  const state = createState()
  const { nextIncarnation, nextLane, ...own } = value.head
  Object.assign(state, own)
  state.membership.nextIncarnation = nextIncarnation
  for (const one of value.candidates) state.leadership.candidates.set(one.id, one)
  state.leadership.resignedTo = value.resignedTo
  for (const one of value.workers) {
    const worker = { ...one, free: copy(one.capacity), lanes: [] as Lane[], bucket: -1, moved: false }
    state.membership.workers.set(worker.id, worker)
    markMoved(state.membership, worker)
  }
  for (const program of value.programs) state.programs.byId.set(program.id, program)
  const idle = value.programs.filter(program => program.users === 0).sort((a, b) => a.idleSinceMs - b.idleSinceMs)
  for (const program of idle) state.programs.idle.add(program)
  const paused = new Set(later?.control.paused)
  const policies = later ? policiesOf(later.keys) : new Map<string, StagePolicy>()
  for (const job of value.jobs) {
    const id = job.plan.job
    restoreJob(state, job, { flow: flowByJob.get(id), paused: paused.has(id), policies })
  }
  for (const id of value.finished) state.jobs.finished.add(state.jobs.byId.get(id)!)
  for (const lane of value.lanes) restoreLane(state, lane)
  restoreDelayed(state, value.delayed, pauses)
  if (later) restoreLater(state, later)
  if (fourth) restoreFourth(state, fourth)
  state.tasks.nextLane = nextLane
  return state
}
