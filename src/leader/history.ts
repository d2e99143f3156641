// Owns the jobs of which only the history knows: their rows as they are written and read, and the one list of all jobs.
// Must not decide what goes there: that is core's.
import {
  decodeKept,
  encodeKept,
  type Job,
  jobInScope,
  jobsBelow,
  type KeptJob,
  keptJob,
  payloadsOf,
  type State,
  viewJob,
} from '../core/index.ts'
import type { EndState, HistoryChange, HistoryQuery, HistoryRow } from '../journal/index.ts'
import {
  Chunk,
  CoxswainError,
  type JobsQuery,
  type JobView,
  type JournalRecord,
  type LeaderToClient,
  type Range,
  type Scope,
  type StepsQuery,
  type TaskView,
  type Views,
  type WhyView,
} from '../protocol/index.ts'
import { catchUp, type Past } from './catchup.ts'
import type { LeaderContext } from './context.ts'
import type { ClientLink } from './links.ts'

const listedDefault = 50
const listedMax = 1000
/** Bytes of results in one answer (one piece may pass it); the client asks again for the rest. */
const readBytesMax = 4 << 20

/** What the records of one turn do to the history. */
export class TurnHistory {
  readonly #rows: HistoryRow[] = []
  #emptied: Range | undefined
  #forgotten: Range | undefined

  /** A record is about to be applied: what it takes out of the state is still there. */
  record(state: State, record: JournalRecord): void {
    if (record.kind === 'HistoryEmptied') this.#emptied = joined(this.#emptied, record)
    if (record.kind === 'HistoryForgotten') this.#forgotten = joined(this.#forgotten, record)
    if (record.kind !== 'JobsArchived') return
    for (const [position, id] of record.jobs.entries()) this.#rows.push(rowOf(state.jobs.byId.get(id)!, state.history.end + position))
  }

  get change(): HistoryChange | undefined {
    if (this.#rows.length === 0 && !this.#emptied && !this.#forgotten) return undefined
    return { rows: this.#rows, emptied: this.#emptied, forgotten: this.#forgotten }
  }
}

/** Places go in their order: what comes next lies behind what went before. */
function joined(before: Range | undefined, { first, count }: Range): Range {
  return before ? { first: before.first, count: before.count + count } : { first, count }
}

function rowOf(job: Job, place: number): HistoryRow {
  const { plan, number, submittedAtMs } = job
  const kept = keptJob(job)
  const body = encodeKept(kept)
  const named = { job: plan.job, name: plan.name, labels: plan.labels, submittedAtMs }
  return { number, place, state: job.state as EndState, ...named, payloads: payloadsOf(kept), body }
}

function keptOf(row: HistoryRow): KeptJob {
  return decodeKept(row.body)
}

function durable(context: LeaderContext): Promise<void> {
  return new Promise(resolve => context.loop.whenDurable(resolve))
}

/** True for a job of which only the history knows. */
export function isArchived({ state }: LeaderContext, job: string): boolean {
  return state.history.find(job) !== undefined
}

/** What the history keeps of a job that is not in the state any more; undefined for any other. */
export async function archivedJob(context: LeaderContext, id: string): Promise<KeptJob | undefined> {
  const { jobs } = context.state
  if (typeof id !== 'string' || jobs.byId.has(id) || !isArchived(context, id)) return undefined
  // Its row may be on its way to the disk.
  await durable(context)
  const row = await context.store.history.row(id)
  return row && keptOf(row)
}

/** True if the job of this name with these labels may be seen. */
type Seen = (name: string, labels: readonly string[]) => boolean

/** Jobs that match, newest first: those in the state and those in the history as one list. */
export async function listAll(context: LeaderContext, query: JobsQuery, scope?: Scope): Promise<JobView[]> {
  const { state, store } = context
  // The query comes from outside: a limit that is no number is none.
  const limit = Number.isSafeInteger(query.limit) ? Math.min(Math.max(query.limit!, 1), listedMax) : listedDefault
  const isSeen: Seen = (name, labels) => !scope || jobInScope(scope, name, labels)
  const below = query.before === undefined ? undefined : await numberOf(context, query.before, isSeen)
  const found = jobsBelow(state, query, below, limit, isSeen).map(job => ({ number: job.number, view: viewJob(job) }))
  if (query.state === 'running' || state.history.size === 0) return found.map(({ view }) => view)
  await durable(context)
  const numbers = new Set(found.map(({ number }) => number))
  const asked = storeQuery(query, limit)
  for (let next = below ?? Number.MAX_SAFE_INTEGER, rows = 0; rows < limit; ) {
    const page = await store.history.page({ ...asked, below: next })
    for (const row of page.rows) {
      if (!isSeen(row.name, row.labels)) continue
      rows++
      // What was in the state a moment ago may be in the history by now.
      if (!numbers.has(row.number)) found.push({ number: row.number, view: keptOf(row).view })
    }
    if (page.next === undefined) break
    next = page.next
  }
  found.sort((a, b) => b.number - a.number)
  return found.slice(0, limit).map(({ view }) => view)
}

/** Conditions of other types than they should have match nothing in the state, and are refused here. */
function storeQuery({ state, name, label, prefix, sinceMs, untilMs }: JobsQuery, rowsMax: number): HistoryQuery {
  for (const one of [state, name, label, prefix])
    if (one !== undefined && typeof one !== 'string') throw new CoxswainError('INVALID_ARGUMENT', 'A condition of the list is no text.')
  for (const one of [sinceMs, untilMs])
    if (one !== undefined && !Number.isFinite(one)) throw new CoxswainError('INVALID_ARGUMENT', 'A time of the list is no number.')
  return { state: state as EndState | undefined, name, label, prefix, sinceMs, untilMs, rowsMax }
}

/** The place of a job among all, from which a page goes on. */
async function numberOf(context: LeaderContext, id: string, isSeen: Seen): Promise<number> {
  const known = context.state.jobs.byId.get(id)
  if (known && isSeen(known.plan.name, known.plan.labels)) return known.number
  if (isArchived(context, id)) {
    await durable(context)
    const row = await context.store.history.row(id)
    if (row && isSeen(row.name, row.labels)) return row.number
  }
  throw new CoxswainError('NOT_FOUND', `There is no job ${id}, or no longer: the list cannot go on behind it.`, { id })
}

/** Steps that are kept of a workflow. Throws JOB_ARCHIVED for those that are not. */
export function keptSteps({ view, steps }: KeptJob, query: StepsQuery): Views['steps']['answer'] {
  const { id } = view
  if (!steps || !view.flow) throw new CoxswainError('NOT_FOUND', `Job ${id} is no workflow: it has no steps.`, { id })
  const first = Number.isSafeInteger(query.first) ? Math.max(0, query.first!) : 0
  if (first >= steps.length && first < view.flow.steps)
    throw new CoxswainError('JOB_ARCHIVED', `Job ${id} is only in the history, which keeps the first ${steps.length} of its steps.`, { id })
  const limit = Number.isSafeInteger(query.limit) ? Math.max(query.limit!, 1) : steps.length
  const end = Math.min(steps.length, first + limit)
  return { steps: steps.slice(first, end), ...(end < steps.length && { next: end }) }
}

/** Why an archived job, or a task of it, waits: it does not. */
export function whyKept({ view }: KeptJob, id: string): WhyView[] {
  return [{ id, rule: view.state, text: `does not wait: it has ${view.state === 'cancelled' ? 'been cancelled' : view.state}` }]
}

/** Where a task of an archived job stands, if the history says it. */
export function keptTask({ view, stages }: KeptJob, number: number, index: number): TaskView {
  const stage = stages[number]
  const { id } = view
  if (!stage || !(index >= 0 && index < view.stages[number]!.tasks.total))
    throw new CoxswainError('NOT_FOUND', `Job ${id} has no task ${index} in stage ${number}.`, { id })
  const failure = stage.failures.find(one => one.index === index)
  const attempts = (failure?.attempts ?? []) as TaskView['attempts']
  const task = { job: id, stage: number, index, attempts, attempt: attempts.length + (failure ? 0 : 1) }
  if (failure) return { ...task, state: 'failed' }
  const within = ({ first, count }: Range): boolean => index >= first && index < first + count
  if (stage.released.some(within)) return { ...task, state: 'released' }
  if (stage.results.some(within)) return { ...task, state: 'succeeded' }
  throw new CoxswainError('JOB_ARCHIVED', `Job ${id} is only in the history, which does not keep what became of task ${index}.`, { id })
}

type ResultsRead = Omit<Extract<LeaderToClient, { kind: 'resultsRead' }>, 'kind' | 'request'>

/** Results and failures of an archived job, as far as they are kept. */
export async function readKept(context: LeaderContext, kept: KeptJob, number: number, first: number, count: number): Promise<ResultsRead> {
  const { view } = kept
  const stage = kept.stages[number]
  if (!stage) throw new CoxswainError('NOT_FOUND', `Job ${view.id} has no stage ${number}.`, { id: view.id })
  const end = first + count
  const answer: ResultsRead = { parts: [], failures: [], next: undefined }
  let bytes = 0
  for (const piece of stage.results.filter(one => one.first < end && first < one.first + one.count)) {
    if (bytes >= readBytesMax) {
      answer.next = piece.first
      break
    }
    const from = Math.max(first, piece.first)
    const items = await itemsOf(context, piece.payload, piece.from + from - piece.first, Math.min(end, piece.first + piece.count) - from)
    if (!items) continue
    bytes += items.length
    answer.parts.push({ first: from, items })
  }
  answer.failures = stage.failures.filter(({ index }) => index >= first && index < (answer.next ?? end))
  return answer
}

/** A part of a payload, or undefined where it is gone: the history lets results go before the rest. */
async function itemsOf(context: LeaderContext, payload: number, from: number, count: number): Promise<Uint8Array | undefined> {
  try {
    return new Chunk(await context.payloads.read(payload, () => false)).slice(from, count)
  } catch (error) {
    if (error instanceof CoxswainError && error.code === 'RESULT_GONE') return undefined
    throw error
  }
}

/** Tells a client that watches an archived job what the history has of it, and its end. */
export async function tellArchived(context: LeaderContext, link: ClientLink, id: string): Promise<void> {
  try {
    const kept = await archivedJob(context, id)
    if (!kept || link.closed) return
    const { state, reason, flow } = kept.view
    const past: Past = {
      job: id,
      // Of a workflow only its end is told: its result may be of any step.
      stages: flow ? [] : kept.stages.map(({ results, failures }, stage) => ({ stage, results, failures })),
      end: { kind: 'jobChanged', job: id, state, reason: reason ?? '' },
    }
    link.catchingUp.set(id, past)
    await catchUp(context, link, past)
  } catch (error) {
    context.platform.log('error', 'catch-up-failed', { job: id, error: String(error) })
    link.connection.close('its results cannot be read')
  }
}
