// Owns what has to come about at least once in a campaign (M2, M3): every kind of fault, and the rare things that the rules are about.
// Must not judge a single run: in most of them most of these never happen.
import type { Facts } from './checkers/facts.ts'
import { kindsKnown } from './checkers/reader.ts'
import type { History } from './history.ts'
import { faultKinds, storeFaultKinds } from './scenario.ts'
import type { World } from './world/world.ts'
import { zombieProbes } from './zombies.ts'

/** What lines that nodes log show: by event, and by what their text says where the event alone does not tell. */
const shown: Readonly<Record<string, readonly (readonly [RegExp, string])[]>> = {
  'handed-over': [[/./, 'hand-over']],
  'claim-refused': [[/./, 'claim refused']],
  'snapshot-taken': [[/./, 'snapshot taken']],
  'fell-behind': [[/./, 'standby resynced from a snapshot']],
  dismissed: [[/./, 'worker dismissed']],
  'leader-lost': [[/was seen/, 'worker refused an older leader']],
  'dial-again': [[/was seen/, 'worker refused an older leader']],
  'leadership-lost': [
    [/has seen epoch/, 'leader told by a peer that it was deposed'],
    [/stood still/, 'stalled leader stepped down'],
  ],
}

/** The probe that a logged line hits, or undefined. */
export function probeOf(event: string, fields: Readonly<Record<string, unknown>>): string | undefined {
  const known = shown[event]
  if (!known) return undefined
  const text = JSON.stringify(fields)
  return known.find(([pattern]) => pattern.test(text))?.[1]
}

/** Records of retention that come with days, or with gigabytes of results: no run of the simulator's size gets there. */
const ofDays = ['JobsForgotten', 'ProgramForgotten', 'HistoryEmptied', 'HistoryForgotten']
/** Records of several machines, of users and of secrets: clusters of the simulator have no keys, no certificates and one user. */
const ofMachines = [
  ...[
    'AuthorityAdded',
    'AuthoritySigns',
    'AuthorityDropped',
    'JoinTokenMade',
    'NodeEnrolled',
    'CertificateRenewed',
    'NodeRevoked',
    'CertificateHeld',
  ],
  ...['UserSet', 'UserDeleted', 'TokenIssued', 'TokenRevoked', 'TokensForgotten', 'SecretSet', 'SecretDeleted'],
]
const unreachableKinds: ReadonlySet<string> = new Set([...ofDays, ...ofMachines])

/** Fewer seeds than this may well miss some of it. */
export const seedsForAllProbes = 1000

/**
 * All of it by the names under which runs count. Not in it, because other defences come first nearly always: a worker that refuses an older
 * leader, a leader that is told by a peer that it was deposed, an order of a deposed leader that reaches a worker (`stale order`). A zombie after a
 * pause comes two to six times in 1,000 seeds, which is too near to none; `--zombies` draws thousands.
 */
export const expectedProbes: readonly string[] = [
  ...[...faultKinds, ...storeFaultKinds].map(kind => `fault ${kind}`),
  ...kindsKnown.filter(kind => !unreachableKinds.has(kind)).map(kind => `record ${kind}`),
  'adopted',
  'append lost with its process',
  'append durable after the death of its process',
  'cancelled while it ran',
  'claim refused',
  'counted though it was to stop',
  'death while it wrote its file',
  'death while it wrote its journal',
  'death while it wrote its snapshot',
  'duplicate submit suppressed',
  'entries shared',
  'jobs in the history at the end',
  'lock granted to permit',
  'lock granted to read',
  'lock granted to write',
  'lock was lost',
  'fenced leader',
  'file torn by a death',
  'file written by a death',
  'hand-over',
  'input of a step read',
  'journal failed',
  'killed to fence',
  'poison quarantined',
  'refused JOB_ID_REUSED',
  'result of a step read',
  'result with an entry',
  'runs-once checked',
  'schedule ran',
  'snapshot fallback',
  'snapshot taken',
  'snapshot torn by a death',
  'snapshot used',
  'stalled leader stepped down',
  'standby resynced from a snapshot',
  'standbys compared',
  'states compared',
  'states compared before a takeover',
  'takeover',
  zombieProbes.wentOn,
  zombieProbes.wrote,
]

/** What a campaign did not bring about. */
export function missingProbes(probes: ReadonlyMap<string, number>): string[] {
  return expectedProbes.filter(name => (probes.get(name) ?? 0) === 0)
}

/** Counts what only the whole history shows. */
export function probeHistory(history: History, facts: Facts): void {
  const submitted = new Map<string, number>()
  for (const { operation, job, endedMs, code } of history.calls) {
    if (operation === 'submit' && endedMs !== undefined && code === undefined) submitted.set(job, (submitted.get(job) ?? 0) + 1)
  }
  const again = [...submitted.values()].reduce((sum, times) => sum + times - 1, 0)
  if (again > 0) history.probe('duplicate submit suppressed', again)
  if (facts.poisoned.size > 0) history.probe('poison quarantined', facts.poisoned.size)
  const running = new Set<string>()
  for (const { what, execution, atMs } of history.executions) {
    const cancelledMs = facts.cancelledMs.get(execution.job)
    if (cancelledMs === undefined) continue
    const name = `${execution.worker} ${execution.boot} ${execution.lane} ${execution.index}`
    if (what === 'started' && atMs < cancelledMs) running.add(name)
    else if (what === 'ended' && running.delete(name) && atMs > cancelledMs) history.probe('cancelled while it ran')
  }
}

/** Counts what the deaths of processes did to their disks. */
export function probeStorage({ store, nodes, history }: Pick<World, 'store' | 'nodes' | 'history'>): void {
  const { lost, late, torn, fallbacks } = store.losses
  history.probe('append lost with its process', lost)
  history.probe('append durable after the death of its process', late)
  history.probe('snapshot torn by a death', torn)
  history.probe('snapshot fallback', fallbacks)
  for (const { disk } of nodes) {
    history.probe('file torn by a death', disk.torn)
    history.probe('file written by a death', disk.late)
  }
}
