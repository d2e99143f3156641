// Owns what follows from a transaction: all of it or nothing. Must not write state.
import {
  CoxswainError,
  type Exchange,
  type JournalRecord,
  OverloadedError,
  type PayloadId,
  type RecordOf,
  type SentSignal,
} from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, type Reply, refuse, type Submission } from '../commands.ts'
import { signalled } from '../flows/decide.ts'
import { lost } from '../grants/decide.ts'
import { checkedCount } from '../items.ts'
import { decideSubmitJob } from '../jobs/decide.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'

const retryAfterMs = 100

/** Why these changes cannot be made, or undefined. */
export function exchangeFlaw(state: State, { checks, writes, grants }: Exchange, limits: CoreLimits): CoxswainError | undefined {
  for (const { space, key, version } of checks) {
    const now = state.spaces.byName.get(space)?.get(key)?.version ?? 0
    if (now === version) continue
    const text = (one: number): string => (one === 0 ? 'not there' : `of version ${one}`)
    return new CoxswainError('TRANSACTION_CONFLICT', `${space}/${key} was read as ${text(version)}, and is ${text(now)} now.`, {
      id: `${space}/${key}`.slice(0, 200),
    })
  }
  for (const grant of grants) if (!state.grants.byId.get(grant)?.token) return lost(grant)
  const seen = new Set<string>()
  let bytes = 0
  for (const { space, key, item } of writes) {
    const name = JSON.stringify([space, key])
    if (space === '' || key === '' || seen.has(name))
      return new CoxswainError(
        'INVALID_ARGUMENT',
        `A transaction writes ${seen.has(name) ? `${space}/${key} twice` : 'an entry without a name'}.`,
      )
    seen.add(name)
    if (item && checkedCount(item) !== 1) return new CoxswainError('FRAME_MALFORMED', 'An entry has one value.')
    bytes += item?.length ?? 0
  }
  const over = (what: string, number: number): OverloadedError =>
    new OverloadedError(`The spaces hold their limit of ${number} ${what}.`, { retryAfterMs })
  if (bytes > 0 && state.spaces.bytes + bytes > limits.spaceBytesMax) return over('bytes', limits.spaceBytesMax)
  if (bytes > 0 && state.spaces.entries + writes.length > limits.spaceEntriesMax) return over('entries', limits.spaceEntriesMax)
  return undefined
}

/** The fact of these writes, and the bytes that it names. */
export function writesOf(
  { writes }: Exchange,
  asked: { session: string; number: number; before: number },
  nextPayload: PayloadId,
): { record: RecordOf<'EntriesWritten'>; payloads: Decision['payloads'] } {
  const payloads: Decision['payloads'] = []
  const written = writes.map(({ space, key, item }) => {
    if (!item) return { space, key, payload: undefined, bytes: 0 }
    const payload = nextPayload + payloads.length
    payloads.push({ payload, bytes: item })
    return { space, key, payload, bytes: item.length }
  })
  return { record: { kind: 'EntriesWritten', ...asked, writes: written }, payloads }
}

export function decideTransact(state: State, command: CommandOf<'transact'>, limits: CoreLimits): Decision {
  const { session, number, before, exchange, jobs } = command
  const known = state.spaces.bySession.get(session)
  const version = known?.done.get(number)
  if (version !== undefined) return answer({ kind: 'transacted', version })
  if (known && number < known.before)
    return refuse(new CoxswainError('INVALID_ARGUMENT', `Transaction ${number} of session ${session} was answered before.`))
  const flaw = exchangeFlaw(state, exchange, limits)
  if (flaw) return refuse(flaw)
  const { record, payloads } = writesOf(exchange, { session, number, before }, state.nextPayload)
  const decision: Decision = { records: [record], payloads, reply: { kind: 'transacted', version: state.spaces.lastVersion + 1 } }
  const refused = addRest(state, decision, { signals: exchange.signals, jobs }, limits)
  return refused ? answer(refused) : decision
}

/** Adds the facts of these signals and jobs to a decision; says why that cannot be. Each is judged by the state before all of it. */
export function addRest(
  state: State,
  decision: Decision,
  { signals, jobs }: { signals: readonly SentSignal[]; jobs: readonly Submission[] },
  limits: CoreLimits,
  firstPayload: PayloadId = state.nextPayload,
  before: readonly JournalRecord[] = [],
): Extract<Reply, { kind: 'refused' }> | undefined {
  const nextPayload = (): PayloadId => Math.max(firstPayload, (decision.payloads.at(-1)?.payload ?? 0) + 1)
  const add = (made: Decision): Extract<Reply, { kind: 'refused' }> | undefined => {
    if (made.reply.kind === 'refused') return made.reply
    decision.records.push(...made.records)
    decision.payloads.push(...made.payloads)
    return undefined
  }
  const sent = new Set<string>()
  for (const { item: items, ...signal } of signals) {
    const name = JSON.stringify([signal.job, signal.signal])
    if (sent.has(name)) continue
    sent.add(name)
    const refused = add(signalled(state, { ...signal, items }, nextPayload()))
    if (refused) return refused
  }
  const ids = new Set<string>()
  for (const job of jobs) {
    const { job: id } = job.plan
    if (ids.has(id))
      return { kind: 'refused', error: new CoxswainError('INVALID_ARGUMENT', `Two jobs of a transaction are named ${id}.`, { id }) }
    ids.add(id)
    const refused = add(decideSubmitJob(state, { kind: 'submitJob', ...job }, limits, nextPayload(), [...before, ...decision.records]))
    if (refused) return refused
  }
  return undefined
}

/** Where the entries' bytes are; the answer waits for all that was decided before. */
export function decideReadEntries(state: State, command: CommandOf<'readEntries'>): Decision {
  const space = state.spaces.byName.get(command.space)
  const entries = command.keys.map(key => ({ key, version: 0, payload: undefined, ...space?.get(key) }))
  return answer({ kind: 'entries', entries: entries.map(({ key, version, payload }) => ({ key, version, payload })), next: undefined })
}

/** Entries in one answer. */
const listedMax = 1000

export function decideListEntries(state: State, command: CommandOf<'listEntries'>): Decision {
  const { prefix, after } = command
  const limit = Math.min(Math.max(1, command.limit), listedMax)
  const keys = state.spaces.byName.get(command.space)?.page(prefix, after, limit + 1) ?? []
  const page = keys.slice(0, limit)
  const read = decideReadEntries(state, { kind: 'readEntries', space: command.space, keys: page })
  if (read.reply.kind === 'entries' && keys.length > limit) read.reply.next = page.at(-1)
  return read
}
