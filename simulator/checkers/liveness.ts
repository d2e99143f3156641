// Owns what must be true once all is well again: L1 to L4, L10, L11, the bounds of S22, and whether a run shows anything (M1).
// Must not look into a run itself: it is given a view of its end.
import type { History } from '../history.ts'
import type { FaultKind, Scenario } from '../scenario.ts'

/** After the last fault a leader is there, and stays, from here on. */
export const calmMs = 15_000
/** A write is acknowledged within this after the last fault. */
export const writeMsMax = 10_000
/** A standby may be behind by what became durable this short before the end: two pulses, and the time to read. */
export const lagMsMax = 2000
/** Appends that a leader may have under way. */
export const appendsMax = 3

/** A run at its end. */
export interface EndView {
  healedMs: number
  endMs: number
  /** Who was announced last, and whether that node lives. */
  leader: { node: string; alive: boolean } | undefined
  /** When the write that was tried after the last fault was acknowledged. */
  writtenMs: number | undefined
  workloadsOpen: number
  jobsOpen: readonly string[]
  /** Living candidates, with how far each has applied; undefined where one has not even read the journal. */
  applied: readonly { node: string; index: number | undefined }[]
  /** What is still in queues, by what it is: all must be 0. */
  queues: Readonly<Record<string, number>>
  /** The most that ever was in a bounded place, and its bound. */
  peaks: readonly { what: string; peak: number; bound: number }[]
}

/** Somebody leads and stays; writes are taken; what was admitted ends; queues are empty; standbys have caught up. */
export function checkLiveness(history: History, view: EndView): void {
  const { healedMs, endMs, leader } = view
  const broken = (rule: string, text: string, atMs = endMs): void => history.violate(rule, text, atMs)
  if (!leader) broken('L1', 'nobody ever led')
  else if (!leader.alive) broken('L1', `${leader.node} led last and is not there`)
  const changes = history.leaderships.filter(one => one.atMs > healedMs + calmMs)
  if (changes.length > 0) broken('L2', `${changes.length} leaderships began long after the last fault`, changes[0]!.atMs)
  if (view.writtenMs === undefined || view.writtenMs > healedMs + writeMsMax)
    broken(
      'L3',
      `a write was ${view.writtenMs === undefined ? 'not acknowledged' : 'acknowledged too late'} after the last fault`,
      healedMs,
    )
  if (view.workloadsOpen > 0) broken('L4', `${view.workloadsOpen} workloads do not come to their end`)
  else if (view.jobsOpen.length > 0) broken('L4', `jobs without an end: ${view.jobsOpen.slice(0, 5).join(', ')}`)
  else checkQueues(view, broken)
  checkLag(history, view, broken)
}

function checkQueues({ queues }: EndView, broken: (rule: string, text: string) => void): void {
  const full = Object.entries(queues).filter(([, count]) => count !== 0)
  if (full.length > 0) broken('L10', `at the end there are still ${full.map(([what, count]) => `${count} ${what}`).join(', ')}`)
}

function checkLag(history: History, { applied, endMs }: EndView, broken: (rule: string, text: string) => void): void {
  const row = history.rows.findLast(one => one.atMs <= endMs - lagMsMax)
  const index = row ? row.firstIndex + row.count - 1 : 0
  for (const one of applied)
    if ((one.index ?? -1) < index) broken('L11', `${one.node} has applied ${one.index ?? 'nothing'} of ${index} records at the end`)
}

/** Faults that reach neither a candidate that runs, nor its disk or its connections to other candidates. A clock that jumps is none of them. */
const besideLeaders: ReadonlySet<FaultKind> = new Set([
  'crash-worker',
  'crash-client',
  'clock-jump',
  'worker-disk-full',
  'stale-endpoint',
  'executors-fail',
  'drain',
])

/** Where nothing reaches the candidates, the first leader leads to the end. */
export function checkSoundLeader(history: History, { faults, outsiders }: Pick<Scenario, 'faults' | 'outsiders'>): void {
  if (!faults.every(one => besideLeaders.has(one.kind)) || outsiders.some(one => one.node.startsWith('c'))) return
  const second = history.leaderships[1]
  if (second) history.violate('L2', `${second.node} took the place of a leader that was well`, second.atMs)
}

/** Nothing ever grew past its bound. */
export function checkBounds(history: History, { peaks, endMs }: Pick<EndView, 'peaks' | 'endMs'>): void {
  for (const { what, peak, bound } of peaks)
    if (peak > bound) history.violate('S22', `there were ${peak} ${what} at once, where ${bound} is the bound`, endMs)
}

/** Codes that say what the workload asked to be told. */
const wantedCodes = new Set([
  'TASK_FAILED',
  'TASK_TIMEOUT',
  'TASK_POISONED',
  'TASK_CRASHED',
  'TASK_CANCELLED',
  'JOB_ID_REUSED',
  'NOT_FOUND',
])

/** Why a run shows too little to count, or undefined: fewer than half of the operations came to the end that they asked for. */
export function voidReason(history: History): string | undefined {
  const well = history.calls.filter(call => call.endedMs !== undefined && (call.code === undefined || wantedCodes.has(call.code))).length
  if (history.calls.length === 0) return 'void: no operations'
  return well * 2 < history.calls.length ? 'void: fewer than half of the operations ended well' : undefined
}
