// Owns what executions of user code must show: S8 (no order of a deposed leader), S9 (what they get), L7 (poison is bounded),
// N1 (a leader's death re-runs nothing). Must not judge results: the journal's checker does.
import type { History } from '../history.ts'
import { type FaultKind, harmlessKinds } from '../scenario.ts'
import type { Facts } from './facts.ts'

const deathsMax = 3

/** Epochs on a worker's disk only grow, and orders of lower ones are not obeyed. */
export function checkEpochs(history: History, facts: Facts): void {
  const highest = new Map<string, number>()
  for (const { worker, epoch, atMs } of history.epochs) {
    if (epoch < (highest.get(worker) ?? 0)) history.violate('S8', `${worker} goes back to epoch ${epoch}`, atMs)
    highest.set(worker, Math.max(epoch, highest.get(worker) ?? 0))
  }
  for (const order of history.staleOrders) {
    // What a later leader adopted, it may run.
    if (facts.lanes.has(order.lane)) continue
    const obeyed = history.executions.find(
      ({ atMs, what, execution }) =>
        what === 'started' && execution.worker === order.worker && execution.lane === order.lane && atMs >= order.atMs,
    )
    if (obeyed) history.violate('S8', `${order.worker} obeys the leader of epoch ${order.epoch}, which was deposed`, obeyed.atMs)
  }
}

/** What ended with a value that its worker heard of: its lane, its name and attempt. A step that only became steps has done nothing yet. */
export function toldOf(history: History): Set<string> {
  const told = history.executions.filter(
    ({ what, execution }) => what === 'ended' && execution.told && execution.fate.expands === undefined,
  )
  return new Set(told.map(({ execution: { lane, job, stage, index, attempt } }) => `${lane} ${job}/${stage}/${index}#${attempt}`))
}

/** What kills its executor each time is not run for ever. */
export function checkPoison(history: History, facts: Facts): void {
  const times = new Map<string, number>()
  for (const { what, execution } of history.executions) {
    if (what === 'started' && execution.fate.poison) times.set(execution.fate.key, (times.get(execution.fate.key) ?? 0) + 1)
  }
  for (const [key, count] of times) {
    if (count > deathsMax + 2 * facts.workersLost + history.leaderships.length + 1)
      history.violate('L7', `${key} kills its executor and was run ${count} times`, 0)
  }
}

/** Tasks whose input is what others gave get all of it, and nothing else. */
export function checkInputs(history: History): void {
  for (const { what, execution, atMs } of history.executions) {
    if (what !== 'started' || !execution.got) continue
    const name = `${execution.job}/${execution.stage}/${execution.index}`
    const wanted = JSON.stringify(history.inputs.get(name))
    const got = JSON.stringify(execution.got)
    if (got !== wanted) history.violate('S9', `${name} got ${got} and should have got ${wanted}`, atMs)
  }
}

/** Epoch in which the journal first allowed an attempt to run: its input was durable, and that the one before it failed, and what its stage waits for. */
function allowedFrom(facts: Facts, stage: string, index: number, attempt: number): number {
  const producers = facts.producers.get(stage) ?? []
  return Math.max(
    facts.addedEpochs.get(`${stage}/${index}`) ?? 0,
    facts.failedEpochs.get(`${stage}/${index}#${attempt - 1}`) ?? 0,
    ...producers.map(one => facts.resultEpochs.get(one) ?? 0),
  )
}

/**
 * Where only leaders and clients die, each attempt runs once. Not counted is what ran for a leader whose death took with it what allowed it to
 * run: a job that was not acknowledged and is submitted again,
 * results of an earlier stage or the failure of the attempt before, which have to be delivered again first. Nor is what stood behind such a one in
 * its lane: a lane is adopted from its head on.
 */
export function checkOnce(history: History, facts: Facts, classes: readonly FaultKind[], drift: number): void {
  if (drift > 0 || facts.workersLost > 0 || !classes.every(kind => harmlessKinds.has(kind))) return
  history.probe('runs-once checked')
  const seen = new Map<string, number>()
  const lanes = new Map<string, number>()
  /** Lanes in which something ran that the journal does not know: nobody can adopt what comes behind it. */
  const unknown = new Set<number>()
  for (const { what, execution, atMs } of history.executions) {
    const { job, stage, index, attempt, fate, epoch, lane } = execution
    if (what !== 'started' || fate.poison || fate.exits || fate.hangs) continue
    if (epoch < allowedFrom(facts, `${job}/${stage}`, index, attempt)) unknown.add(lane)
    if (unknown.has(lane)) continue
    const name = `${job}/${stage}/${index}#${attempt}`
    // In its own lane again: its executor died under a neighbour before it could tell.
    if (lanes.get(name) === lane) continue
    lanes.set(name, lane)
    const times = (seen.get(name) ?? 0) + 1
    seen.set(name, times)
    if (times === 2) history.violate('N1', `${name} (${fate.key}) runs a second time, and only leaders died`, atMs)
  }
}
