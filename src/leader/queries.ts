// Owns the answers to questions: it asks the views of core and the journal. Must not change anything.
import {
  clusterLoad,
  failureOfTask,
  failureRateAt,
  jobOf,
  partOf,
  priorityAt,
  type Stage,
  Story,
  viewJob,
  viewLocks,
  viewNodes,
  viewSchedules,
  viewSecrets,
  viewSteps,
  viewTask,
  viewTriggers,
  viewUsers,
  viewWorkers,
  why,
} from '../core/index.ts'
import {
  type CandidateView,
  type ClientToLeader,
  CoxswainError,
  decodeRecords,
  type LeaderToClient,
  release,
  type StatusView,
  type TaskFailure,
  type ViewName,
  type Views,
} from '../protocol/index.ts'
import { locksIn, schedulesIn, scopeOf, triggersIn, viewWho } from './access/scoped.ts'
import { auditPlace, checkAudit, readAudit } from './audit/read.ts'
import { type Asker, locate } from './capabilities.ts'
import type { LeaderContext } from './context.ts'
import { archivedJob, keptSteps, keptTask, listAll, readKept, whyKept } from './history.ts'
import { resultsHold } from './payloads.ts'

/** Rows read from the journal at once while a story is told. */
const storyRowsPerRead = 256
const storyLinesMax = 1000
/** Tasks and bytes of results in one answer; the client asks again for the rest. */
const readTasksMax = 10_000
const readBytesMax = 4 << 20

type Handlers = {
  [V in ViewName]: (
    context: LeaderContext,
    argument: Views[V]['argument'],
    asker: Asker,
  ) => Views[V]['answer'] | Promise<Views[V]['answer']>
}

function candidates(context: LeaderContext, leaderPid: number): CandidateView[] {
  const { state, id, links } = context
  const nowMs = Math.floor(context.nowMs())
  return [...state.leadership.candidates.values()].map((one): CandidateView => {
    const link = links.candidates.get(one.id)
    const leads = one.id === id
    return {
      id: one.id,
      state: leads ? 'leader' : link ? 'standby' : 'away',
      pid: leads ? leaderPid : (link?.pid ?? 0),
      basePriority: one.priority,
      failureRate: failureRateAt(one, nowMs),
      priority: priorityAt(one, nowMs),
      ...(leads ? { lagRecords: 0 } : link && { lagRecords: Math.max(0, state.index - link.appliedIndex) }),
    }
  })
}

async function status(context: LeaderContext): Promise<StatusView> {
  const { state, observed, store, platform } = context
  const nowMs = platform.clock.monotonicMs()
  const vitals = context.vitals()
  const size = await store.journal.size()
  const appends = [...context.loop.appendMs].sort((a, b) => a - b)
  let running = 0
  for (const worker of state.membership.workers.values()) for (const lane of worker.lanes) running += lane.assigned - lane.done
  return {
    cluster: state.cluster,
    release,
    leader: {
      id: context.id,
      epoch: state.epoch,
      pid: vitals.pid,
      address: context.address,
      rssBytes: vitals.rssBytes,
      eventLoopDelayMs: vitals.eventLoopDelayMs,
      upMs: Math.round(nowMs - context.startedMs),
    },
    candidates: candidates(context, vitals.pid),
    workers: viewWorkers(state, observed, nowMs),
    load: clusterLoad(state.membership.workers.values(), observed),
    jobs: { running: state.jobs.byId.size - state.jobs.finished.size, finished: state.jobs.finished.size + state.history.size },
    tasks: { waiting: state.jobs.openTasks - running, running },
    journal: {
      index: size.lastIndex,
      rows: size.rows,
      bytes: size.rowBytes,
      payloadBytes: size.payloadBytes,
      snapshotIndex: size.firstIndex - 1,
      appendP50Ms: appends[appends.length >> 1] ?? 0,
    },
    timeMs: Math.floor(context.nowMs()),
  }
}

async function story(context: LeaderContext, id: string, linesMax: number): Promise<Views['story']['answer']> {
  const { journal } = context.store
  const { firstIndex, lastIndex } = await journal.size()
  const told = new Story(id, linesMax)
  for (let index = firstIndex; index <= lastIndex; ) {
    const rows = await journal.read(index, storyRowsPerRead)
    if (rows.length === 0) break
    for (const row of rows) {
      for (const [position, record] of decodeRecords(row.records, row.count).entries())
        told.next(row.firstIndex + position, row.epoch, record)
      index = row.firstIndex + row.count
    }
  }
  if (told.lines.length === 0) throw new CoxswainError('NOT_FOUND', `The journal tells nothing about ${id}.`, { id })
  return { lines: told.lines, complete: firstIndex <= 1 }
}

const handlers: Handlers = {
  status,
  jobs: (context, query, { principal }) => listAll(context, query, scopeOf(principal)),
  job: async (context, { job }) => (await archivedJob(context, job))?.view ?? viewJob(jobOf(context.state, job)),
  workers: context => viewWorkers(context.state, context.observed, context.platform.clock.monotonicMs()),
  story: (context, { id, limit }) => story(context, id, Math.min(limit ?? storyLinesMax, storyLinesMax)),
  why: async (context, { id }) => {
    const kept = await archivedJob(context, String(id).split('/')[0]!)
    return kept ? whyKept(kept, id) : why(context.state, context.observed, id)
  },
  task: async (context, { job, stage, index }) => {
    const kept = await archivedJob(context, job)
    return kept ? keptTask(kept, stage, index) : viewTask(context.state, job, stage, index)
  },
  steps: async (context, query) => {
    const kept = await archivedJob(context, query.job)
    return kept ? keptSteps(kept, query) : viewSteps(jobOf(context.state, query.job), query)
  },
  secrets: ({ state }) => viewSecrets(state),
  nodes: context => viewNodes(context.state),
  schedules: ({ state }, argument, { principal }) => schedulesIn(scopeOf(principal), viewSchedules(state, argument)),
  triggers: ({ state }, argument, { principal }) => triggersIn(state, scopeOf(principal), viewTriggers(state, argument)),
  locks: ({ state }, { prefix }, { principal }) => locksIn(scopeOf(principal), viewLocks(state, typeof prefix === 'string' ? prefix : '')),
  users: context => viewUsers(context.state, context.nowMs()),
  whoami: (_context, _argument, { principal }) => viewWho(principal),
  audit: async (context, query) => readAudit(await auditPlace(context), query),
  auditCheck: async context => checkAudit(await auditPlace(context)),
  locate: (context, { block }, asker) => locate(context, asker, block),
}

/** The answer to a view, as JSON. The argument comes from outside: anything it lacks shows as an error, not as a crash. */
export async function answerView(context: LeaderContext, asker: Asker, view: ViewName, argument: string): Promise<string> {
  let parsed: unknown
  try {
    parsed = JSON.parse(argument === '' ? '{}' : argument)
  } catch {
    throw new CoxswainError('INVALID_ARGUMENT', `The argument of ${view} is not JSON.`)
  }
  if (typeof parsed !== 'object' || parsed === null)
    throw new CoxswainError('INVALID_ARGUMENT', `The argument of ${view} is not an object.`)
  const handler = handlers[view] as (context: LeaderContext, argument: unknown, asker: Asker) => unknown
  return JSON.stringify(await handler(context, parsed, asker))
}

type ResultsRead = Omit<Extract<LeaderToClient, { kind: 'resultsRead' }>, 'kind' | 'request'>

/** Bytes that an encoded failure takes at most, as far as they matter here. */
function failureBytes(failure: TaskFailure): number {
  return failure.attempts.reduce((sum, attempt) => sum + attempt.message.length, failure.stack.length + failure.message.length + 64)
}

/** Failures of tasks `first` to `end - 1`, in their order, as many as fit; and the task where the rest begins. */
function failuresOf(stage: Stage, first: number, end: number): { failures: TaskFailure[]; stop: number } {
  const indices = [...stage.troubles.keys()].filter(index => index >= first && index < end).sort((a, b) => a - b)
  const failures: TaskFailure[] = []
  let bytes = 0
  for (const index of indices) {
    const failure = failureOfTask(stage, index)
    if (!failure) continue
    if (bytes >= readBytesMax) return { failures, stop: index }
    bytes += failureBytes(failure)
    failures.push(failure)
  }
  return { failures, stop: end }
}

/** Results and failures of a range of tasks, as much as fits into one message; `next` says where to go on. */
export async function readResults(context: LeaderContext, asked: Extract<ClientToLeader, { kind: 'readResults' }>): Promise<ResultsRead> {
  const { job: id, stage: number, first, count } = asked
  const kept = await archivedJob(context, id)
  if (kept) return readKept(context, kept, number, first, count)
  const stage = jobOf(context.state, id).stages[number]
  if (!stage) throw new CoxswainError('NOT_FOUND', `Job ${id} has no stage ${number}.`, { id })
  const end = Math.min(first + count, stage.added)
  const { failures, stop } = failuresOf(stage, first, Math.min(end, first + readTasksMax))
  const segments = stage.results.overlapping(first, stop - first).map(segment => ({ ...segment }))
  // What was just recorded can be read, and told, once it is durable.
  await new Promise<void>(resolve => context.loop.whenDurable(resolve))
  const answer: ResultsRead = { parts: [], failures, next: stop < end ? stop : undefined }
  let bytes = 0
  for (const segment of segments) {
    if (bytes >= readBytesMax) {
      answer.next = segment.first
      answer.failures = failures.filter(failure => failure.index < segment.first)
      break
    }
    const piece = partOf(segment, first, stop - first)
    const { payload } = piece
    const needed = (): boolean => resultsHold(context.state, { job: id, stage: number, first: segment.first, payload })
    const items = await context.payloads.readPiece(piece, needed)
    bytes += items.length
    answer.parts.push({ first: Math.max(first, segment.first), items })
  }
  return answer
}
