// Owns the one checker of merged traces: it turns a trace and the journal at its end into histories, and hands them to the simulator's checkers.
// Must not trust a process about the order of facts: the journal's indexes are the clock for all that has to be durable.
import { checkDurability, checkEnds } from '../../simulator/checkers/answers.ts'
import { checkEpochs } from '../../simulator/checkers/executions.ts'
import { checkJobs } from '../../simulator/checkers/jobs.ts'
import { JournalChecker } from '../../simulator/checkers/journal.ts'
import { type Call, History, type Violation } from '../../simulator/history.ts'
import { resultOf } from '../../simulator/world/fates.ts'
import { apply, createState, encodeSnapshot } from '../../src/core/index.ts'
import { decodeRecords } from '../../src/protocol/index.ts'
import type { TraceEvent } from './events.ts'
import { withPayloads } from './payloads.ts'
import type { JournalAtEnd } from './watcher.ts'

/** What is asked of a run besides what always holds. */
export interface Demands {
  /** Attempts that may have started twice under one number. Undefined: nodes with workers on them died, and it is not counted. */
  againMax?: number
  /** Of these only such whose assignment the journal holds: where a store is slow or cut off, what was handed out may never get there. */
  againAssigned?: boolean
  /** Jobs whose ids begin with this are not of the load: what they give is judged by the row itself. */
  valuesElsewhere?: string
  /** False where the cluster is left as the fault left it: then not all jobs need to have ended. */
  ends?: boolean
}

/** What a run showed. */
export interface TraceReport {
  violations: Violation[]
  calls: number
  callsOk: number
  faults: number
  epochs: number
  records: number
  /** Attempts that started twice under one number. */
  again: number
  /** Payloads that were read from the journal and held against the oracle, and those that had been released before. */
  payloadsRead: number
  payloadsGone: number
}

/** The calls of a trace; `indexed`: ended at the journal's index that was there behind the answer, instead of at a time. */
function callsOf(events: readonly TraceEvent[], indexed: boolean): Call[] {
  const calls = new Map<number, Call>()
  for (const event of events) {
    if (event.ev === 'cl.inv') {
      const { node, op: operation, job, key, t: startedMs } = event
      calls.set(event.call, { node, operation, job, key, startedMs: indexed ? 0 : startedMs })
    } else if (event.ev === 'cl.ok' || event.ev === 'cl.fail') {
      const call = calls.get(event.call)
      if (!call) continue
      const index = event.ev === 'cl.ok' ? event.seqSeen : undefined
      call.endedMs = indexed ? (index ?? Number.POSITIVE_INFINITY) : event.t
      if (event.ev === 'cl.fail') call.code = event.code
      else call.value = event.value ?? true
    }
  }
  return [...calls.values()]
}

function jobsAreLinearizable(events: readonly TraceEvent[], history: History): void {
  const timed = new History()
  timed.calls.push(...callsOf(events, false))
  checkJobs(timed)
  history.violations.push(...timed.violations)
}

/** The journal at the end still has every row that was seen in it, as it was (S2, S5). */
function rowsStay(events: readonly TraceEvent[], journal: JournalAtEnd, history: History): void {
  const kept = new Map(journal.rows.map(row => [row.firstIndex, row]))
  for (const event of events) {
    if (event.ev !== 'j.append') continue
    const row = kept.get(event.seq)
    if (!row) history.violate('S3', `row ${event.seq} was in the journal and is not there any more`, event.t)
    else if (Buffer.from(row.hash).toString('hex') !== event.hash || row.epoch !== event.epoch)
      history.violate('S2', `row ${event.seq} is another one than it was`, event.t)
  }
}

/** Leaders announce themselves with growing epochs, which the journal knows; nothing is started for an older leader than a worker has seen (S8). */
function noZombies(events: readonly TraceEvent[], history: History): void {
  const claimed = new Set(history.rows.map(row => row.epoch))
  let announced = 0
  const seen = new Map<string, number>()
  const tokens = new Map<string, number>()
  for (const event of events) {
    if (event.ev === 'lead.seen') {
      if (event.epoch < announced)
        history.violate('S8', `the leader of epoch ${event.epoch} announces itself behind that of ${announced}`, event.t)
      if (!claimed.has(event.epoch)) history.violate('S1', `epoch ${event.epoch} was announced and is not in the journal`, event.t)
      announced = Math.max(announced, event.epoch)
    } else if (event.ev === 'w.epoch') seen.set(event.node, event.epoch)
    else if (event.ev === 't.start') {
      // One worker after the other: what one that was given up is late to start has no right any more, and its token says so.
      const place = `${event.node} ${event.task}`
      const before = tokens.get(place) ?? 0
      if (event.token < before)
        history.violate('S8', `${event.task} starts with token ${event.token} behind ${before} on ${event.node}`, event.t)
      tokens.set(place, Math.max(before, event.token))
    }
  }
  history.epochs.push(
    ...events.flatMap(event => (event.ev === 'w.epoch' ? [{ atMs: event.t, worker: event.node, cluster: '', epoch: event.epoch }] : [])),
  )
}

/** A fencing token is its leader's epoch times this, and a number (docs/protocol.md). */
const tokensPerEpoch = 2 ** 20

/**
 * Without the starts of tasks of which the journal knew nothing yet: what is handed out in the moment in which the leader is told of it,
 * and dies with that leader, is submitted anew by its client.
 */
function startsOfTheDurable(events: readonly TraceEvent[], rows: JournalAtEnd['rows']): TraceEvent[] {
  const addedIn = new Map<string, number>()
  for (const row of rows)
    for (const record of decodeRecords(row.records, row.count))
      if (record.kind === 'TasksAdded') for (let i = 0; i < record.count; i++) addedIn.set(`${record.job}/${record.first + i}`, row.epoch)
  return events.filter(event => event.ev !== 't.start' || Math.floor(event.token / tokensPerEpoch) >= (addedIn.get(event.task) ?? 0))
}

/** Of these the starts of attempts whose assignment is in the journal. */
function startsOfTheAssigned(events: readonly TraceEvent[], rows: JournalAtEnd['rows']): TraceEvent[] {
  const assigned = new Set<string>()
  for (const row of rows) {
    for (const record of decodeRecords(row.records, row.count)) {
      if (record.kind !== 'TasksAssigned') continue
      for (const { job, first, count } of record.runs) for (let i = 0; i < count; i++) assigned.add(`${record.lane} ${job}/${first + i}`)
    }
  }
  return events.filter(event => event.ev !== 't.start' || assigned.has(`${event.token} ${event.task}`))
}

/** What callers were given is what the oracle says (S9). */
function valuesAreRight(history: History): void {
  for (const { operation, key, value, code } of history.calls) {
    if (operation === 'run' && code === undefined && value !== undefined && value !== resultOf(key))
      history.violate('S9', `${key} was answered with ${String(value)}`, 0)
    if (code === 'WRONG_VALUE') history.violate('S9', `${key || operation} was answered with another value than it has`, 0)
  }
}

/** A snapshot is what a replay of the journal gives at its index (S6). */
function snapshotIsReplay({ rows, snapshot }: JournalAtEnd, history: History): void {
  if (!snapshot) return
  const state = createState()
  try {
    for (const row of rows) {
      if (row.firstIndex > snapshot.index) break
      for (const record of decodeRecords(row.records, row.count)) apply(state, record)
      state.payloadDrops = []
      state.blockDrops = []
    }
  } catch (error) {
    return history.violate('S6', `the journal cannot be replayed: ${String(error)}`, 0)
  }
  if (!encodeSnapshot(state).equals(snapshot.state))
    history.violate('S6', `the snapshot at ${snapshot.index} is not what a replay gives`, 0)
}

function startedAgain(events: readonly TraceEvent[]): string[] {
  const starts = new Map<string, number>()
  for (const event of events) {
    if (event.ev !== 't.start') continue
    const attempt = `${event.task}#${event.att}`
    starts.set(attempt, (starts.get(attempt) ?? 0) + 1)
  }
  return [...starts].filter(([, count]) => count > 1).map(([attempt]) => attempt)
}

/** After the last fault somebody leads, and writes are acknowledged (L1, L3). */
function lives(events: readonly TraceEvent[], history: History): void {
  const last = events.findLast(event => event.ev === 'fault')
  if (!last) return
  const begun = new Set<number>()
  for (const event of events) {
    if (event.ev === 'cl.inv' && event.op === 'submit' && event.t > last.t) begun.add(event.call)
    if (event.ev === 'cl.ok' && begun.has(event.call)) return
  }
  history.violate('L1', 'no write was acknowledged behind the last fault', last.t)
}

/** Holds a trace, and the journal at its end, to all rules. */
export function checkTrace(events: readonly TraceEvent[], journal: JournalAtEnd, demands: Demands = {}): TraceReport {
  const history = new History()
  const { rows, read, gone, broken } = withPayloads(journal.rows, events)
  history.rows = rows
  history.calls.push(...callsOf(events, true))
  for (const event of events) {
    if (event.ev !== 'expect') continue
    const { job, keys, ends, mayBeCancelled } = event
    history.expected.set(job, { job, fates: keys.map(key => ({ key, ms: 0 })), ends, mayBeCancelled })
  }
  for (const problem of [...journal.problems, ...broken]) history.violate('S5', problem, 0)
  const checker = new JournalChecker(history)
  checker.check()
  rowsStay(events, journal, history)
  noZombies(events, history)
  checkEpochs(history, checker.facts)
  checkDurability(history, checker.facts)
  checkEnds(history, checker.facts)
  valuesAreRight(history)
  snapshotIsReplay(journal, history)
  jobsAreLinearizable(events, history)
  lives(events, history)
  const open = demands.ends === false ? [] : checker.open
  if (open.length > 0) history.violate('L4', `${open.length} jobs have not ended: ${open.slice(0, 5).join(', ')}`, 0)
  const durable = startsOfTheDurable(events, rows)
  const again = startedAgain(demands.againAssigned ? startsOfTheAssigned(durable, rows) : durable)
  if (demands.againMax !== undefined && again.length > demands.againMax)
    history.violate('N1', `${again.length} attempts started twice, and no worker died: ${again.slice(0, 5).join(', ')}`, 0)
  const { valuesElsewhere: other } = demands
  return {
    violations: history.violations.filter(({ rule, text }) => !(other !== undefined && rule === 'S9' && text.startsWith(`task ${other}`))),
    calls: history.calls.length,
    callsOk: history.calls.filter(call => call.endedMs !== undefined && call.code === undefined).length,
    faults: events.filter(event => event.ev === 'fault').length,
    epochs: new Set(rows.map(row => row.epoch)).size,
    records: rows.reduce((sum, row) => sum + row.count, 0),
    again: again.length,
    payloadsRead: read,
    payloadsGone: gone,
  }
}
