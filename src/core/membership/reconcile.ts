// Owns how leader and worker agree, lane by lane, on what a worker runs that connects again. Must not write state.
//
// What the journal says was assigned and the worker never received is ready again. What the worker received and the journal does not
// know was handed out by a leader that died first: it is adopted where the tasks are still free and there is room, else dropped. There is
// room also where a lane's tasks all have outcomes, whether the journal knows it or not: the worker was handed new work in its place.
import type { JournalRecord, LaneReport, RecordOf, Resources, Run } from '../../protocol/index.ts'
import type { Decision } from '../commands.ts'
import type { Stage } from '../jobs/state.ts'
import { type Key, roomOf } from '../keys/state.ts'
import { RangeSet } from '../ranges.ts'
import type { State } from '../state.ts'
import { waitDelayed } from '../tasks/ready.ts'
import type { Lane, SchedulingClass } from '../tasks/state.ts'
import { change, copy, fits } from './resources.ts'
import type { Worker } from './state.ts'

function countTasks(runs: readonly Run[]): number {
  return runs.reduce((sum, run) => sum + run.count, 0)
}

/** True if the lane's runs are those from the first unacknowledged task on. Of any other lane nothing is believed: it is dropped. */
function isWhole(report: LaneReport): boolean {
  return countTasks(report.runs) === report.received - report.acknowledged && report.runs.every(run => run.count > 0)
}

/** True if tasks of the lane have no outcome yet: it stands in a slot. */
function runsOn(report: LaneReport): boolean {
  return report.reported < report.received
}

/** What one registration adopts: each task once, and no more lanes than there is room for. */
class Adoption {
  readonly #state: State
  readonly #worker: Worker
  readonly #free: Resources
  readonly #taken = new Map<Stage, RangeSet>()
  readonly #held = new Map<Key, number>()

  constructor(state: State, worker: Worker) {
    this.#state = state
    this.#worker = worker
    this.#free = copy(worker.free)
  }

  /** A lane of the class ends, or is vacated, with this registration. */
  release(schedulingClass: SchedulingClass): void {
    change(this.#free, schedulingClass.plan.resources, 1)
  }

  /** The lane that these runs opened is vacated. */
  releaseFor(run: Run): void {
    this.release(this.#stageOf(run)!.class)
  }

  /** A new lane for these runs, or undefined if none of them can be had. */
  lane(id: number, runs: readonly Run[]): RecordOf<'TasksAssigned'> | undefined {
    const schedulingClass = runs[0] && this.#stageOf(runs[0])?.class
    if (!schedulingClass || !fits(schedulingClass.plan.resources, this.#free)) return undefined
    const record = this.extension(id, schedulingClass, runs)
    if (record) change(this.#free, schedulingClass.plan.resources, -1)
    return record
  }

  /** More runs for a lane of this class: the first of them that nobody else was given meanwhile. */
  extension(id: number, schedulingClass: SchedulingClass, runs: readonly Run[]): RecordOf<'TasksAssigned'> | undefined {
    const adopted: Run[] = []
    for (const run of runs) {
      const stage = this.#stageOf(run)
      if (stage?.class !== schedulingClass || !this.#take(stage, run)) break
      adopted.push(run)
    }
    if (adopted.length === 0) return undefined
    const { id: worker, incarnation } = this.#worker
    return { kind: 'TasksAssigned', lane: id, worker, incarnation, runs: adopted, adopted: true }
  }

  #stageOf(run: Run): Stage | undefined {
    const stage = this.#state.jobs.byId.get(run.job)?.stages[run.stage]
    return stage?.job.state === 'running' && stage.blockedBy === 0 ? stage : undefined
  }

  /** True if nobody has these tasks: they stand in line, or wait for a time that the leader which handed them out had reached. */
  #waits(stage: Stage, { first, count, attempt }: Run): boolean {
    return stage.ready.has(first, count, attempt) || waitDelayed(this.#state, stage, first, count, attempt)
  }

  /** True if the stage has no key, or one with room: it may have been given to others meanwhile. */
  #mayHold({ key }: Stage, count: number): boolean {
    if (!key) return true
    const held = (this.#held.get(key) ?? 0) + count
    if (held > roomOf(key)) return false
    this.#held.set(key, held)
    return true
  }

  #take(stage: Stage, run: Run): boolean {
    const taken = this.#taken.get(stage) ?? new RangeSet()
    if (taken.within(run.first, run.count).length > 0 || !this.#waits(stage, run) || !this.#mayHold(stage, run.count)) return false
    taken.add(run.first, run.count)
    this.#taken.set(stage, taken)
    return true
  }
}

/** The runs of a report from the lane's task number `from` on. */
function runsFrom(report: LaneReport, from: number): Run[] {
  let skip = from - report.acknowledged
  const tail: Run[] = []
  for (const run of report.runs) {
    const before = Math.min(Math.max(skip, 0), run.count)
    skip -= run.count
    if (before < run.count) tail.push({ ...run, first: run.first + before, count: run.count - before })
  }
  return tail
}

/** Brings a lane that the journal knows to where the worker has it; undefined if the worker has nothing of it. */
function reconcileLane(lane: Lane, report: LaneReport | undefined, adoption: Adoption, records: JournalRecord[]): number | undefined {
  const received = report?.received ?? lane.done
  if (received < lane.assigned) {
    records.push({ kind: 'TasksReturned', lane: lane.id, keep: Math.max(0, received - lane.done) })
    if (received <= lane.done && !lane.vacated) adoption.release(lane.class)
  }
  if (!report) return undefined
  const record =
    received > lane.assigned && !lane.vacated ? adoption.extension(lane.id, lane.class, runsFrom(report, lane.assigned)) : undefined
  if (record) records.push(record)
  return Math.min(received, lane.assigned) + countTasks(record?.runs ?? [])
}

/** A worker that is still known connects again. */
export function reconcile(state: State, worker: Worker, reports: readonly LaneReport[]): Decision {
  const records: JournalRecord[] = []
  const keep: { lane: number; tasks: number }[] = []
  const reported = new Map(reports.filter(isWhole).map(report => [report.lane, report]))
  const adoption = new Adoption(state, worker)
  const unknown = [...reported.values()].filter(report => !state.tasks.lanes.has(report.lane) && report.acknowledged === 0)
  for (const lane of worker.lanes) {
    const report = reported.get(lane.id)
    const tasks = reconcileLane(lane, report, adoption, records)
    if (tasks === undefined || !report) continue
    keep.push({ lane: lane.id, tasks })
    if (unknown.length === 0 || lane.vacated || runsOn(report) || report.received <= lane.done) continue
    records.push({ kind: 'LaneVacated', lane: lane.id })
    adoption.release(lane.class)
  }
  // Those that need no room any more come first: the others may stand in their place.
  unknown.sort((one, other) => Number(runsOn(one)) - Number(runsOn(other)))
  for (const report of unknown) {
    const record = adoption.lane(report.lane, report.runs)
    if (!record) continue
    records.push(record)
    keep.push({ lane: report.lane, tasks: countTasks(record.runs) })
    if (runsOn(report) || report === unknown.at(-1)) continue
    records.push({ kind: 'LaneVacated', lane: report.lane })
    adoption.releaseFor(record.runs[0]!)
  }
  return { records, payloads: [], reply: { kind: 'registered', incarnation: worker.incarnation, keep } }
}
