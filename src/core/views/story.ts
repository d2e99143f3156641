// Owns the telling of records in words: everything the journal knows about one id. Reads records in order and follows lanes, because
// most facts about a task name only its lane. Must not need the state.
import { type JournalRecord, laneText, type RecordOf, type Run, type StoryLine } from '../../protocol/index.ts'
import { takeOff } from '../tasks/runs.ts'
import { policyText, runText } from './policies.ts'
import { inStage, listed, type Told, tasksText } from './story-runs.ts'
import { eventLine, scheduleLine } from './story-starts.ts'

interface LaneTold {
  worker: string
  runs: Told[]
}

/** What the id names: a job, one of its tasks, a worker, a program or a lane. */
function subjectOf(id: string): { id: string; job: string; stage: number; index: number | undefined } {
  const parts = id.split('/')
  const numbers = parts.slice(1).map(Number)
  const isTask = numbers.length > 0 && numbers.length <= 2 && numbers.every(number => Number.isSafeInteger(number))
  return {
    id,
    job: isTask ? parts[0]! : id,
    stage: numbers.length === 2 ? numbers[0]! : 0,
    index: isTask ? numbers[numbers.length - 1] : undefined,
  }
}

function rerunText({ steps, program }: RecordOf<'JobRerun'>): string {
  const waiting = steps.map(({ first, count }) => (count === 1 ? `${first}` : `${first} to ${first + count - 1}`))
  const by = program === undefined ? '' : `, by the program ${program.slice(0, 12)}`
  return `goes on: ${waiting.length === 0 ? 'no step waits again' : `steps ${waiting.join(', ')} wait again`}${by}`
}

/** Collects the lines about one id from records given in order. */
export class Story {
  readonly #subject: ReturnType<typeof subjectOf>
  readonly #lanes = new Map<number, LaneTold>()
  /** Grants that the story is about, with their locks. */
  readonly #grants = new Map<string, string>()
  #nowMs = 0
  readonly lines: StoryLine[] = []
  readonly #linesMax: number

  constructor(id: string, linesMax: number) {
    this.#subject = subjectOf(id)
    this.#linesMax = linesMax
  }

  /** Takes the next record. */
  next(index: number, epoch: number, record: JournalRecord): void {
    if (record.kind === 'TimePassed') this.#nowMs = record.nowMs
    if (record.kind === 'LeaderClaimed') this.#nowMs = Math.max(this.#nowMs, record.atMs)
    const text = this.#tell(record)
    if (text === undefined) return
    // The end of a story matters more than its middle: the oldest lines but the first go.
    if (this.lines.length >= this.#linesMax) this.lines.splice(1, 1)
    this.lines.push({ index, epoch, atMs: this.#nowMs, kind: record.kind, text })
  }

  #isJob(job: string): boolean {
    return job === this.#subject.job
  }

  /** True if the range of a stage holds what the story is about. */
  #concerns(run: { job: string; stage: number; first: number; count: number }): boolean {
    const { index, stage } = this.#subject
    return this.#isJob(run.job) && (index === undefined || (run.stage === stage && run.first <= index && index < run.first + run.count))
  }

  #isWorker(worker: string): boolean {
    return this.#subject.id === worker
  }

  #tell(record: JournalRecord): string | undefined {
    switch (record.kind) {
      case 'TasksAssigned':
        return this.#assigned(record)
      case 'TasksFinished':
      case 'TaskFailed':
      case 'TasksSkipped':
      case 'TaskExpanded':
      case 'TaskSpread':
        return this.#advanced(record)
      case 'TasksReturned':
        return this.#returned(record)
      case 'LaneVacated':
        return this.#vacated(record)
      case 'WorkerJoined':
        return this.#isWorker(record.worker)
          ? `joined as incarnation ${record.incarnation} from ${record.host}, pid ${record.pid}, with ${record.capacity.cpuMillis / 1000} cpus`
          : undefined
      case 'WorkerLost':
        return this.#lost(record)
      case 'WorkerDraining':
        return this.#isWorker(record.worker) ? 'takes no new work' : undefined
      case 'LeaderClaimed':
        return this.#subject.id === record.leader
          ? `became leader of epoch ${record.epoch}, pid ${record.pid}, at ${record.address}`
          : undefined
      case 'CandidateJoined':
      case 'CandidateLeft':
      case 'LeaderResigned':
        return this.#candidate(record)
      case 'ProgramAdded':
      case 'ProgramForgotten':
        return record.program.startsWith(this.#subject.id) && this.#subject.id.length >= 8
          ? record.kind === 'ProgramAdded'
            ? `stored, ${record.bytes} bytes`
            : 'forgotten: nobody used it'
          : undefined
      case 'ScheduleSet':
      case 'ScheduleTicked':
      case 'ScheduleRan':
      case 'SchedulePaused':
      case 'ScheduleDeleted':
        return scheduleLine(this.#subject.id, record)
      case 'TriggerSet':
      case 'TriggerPaused':
      case 'TriggerDeleted':
      case 'EventEmitted':
        return eventLine(this.#subject.id, record)
      case 'LockAsked':
      case 'GrantEnded':
        return this.#lock(record)
      // Who may do what is in the audit log, for those who may read that.
      case 'UserSet':
      case 'UserDeleted':
      case 'TokenIssued':
      case 'TokenRevoked':
      case 'TokensForgotten':
      case 'TimePassed':
        return undefined
      default:
        return this.#jobLine(record)
    }
  }

  #candidate(record: RecordOf<'CandidateJoined' | 'CandidateLeft' | 'LeaderResigned'>): string | undefined {
    const { id } = this.#subject
    if (record.kind === 'LeaderResigned') return record.to === id ? `was handed the leadership of epoch ${record.epoch}` : undefined
    if (record.candidate !== id) return undefined
    if (record.kind === 'CandidateJoined') return `stands by with priority ${record.priority}`
    return record.failed ? 'fell silent or broke down while it stood by' : 'took its leave'
  }

  /** Of a lock, by its name, a grant or a session. */
  #lock(record: RecordOf<'LockAsked' | 'GrantEnded'>): string | undefined {
    const { id } = this.#subject
    if (record.kind === 'LockAsked') {
      if (![record.lock, record.grant, record.session].includes(id)) return undefined
      this.#grants.set(record.grant, record.lock)
      return `${record.mode} lock ${record.lock} asked for by session ${record.session}, grant ${record.grant}, ttl ${record.ttlMs} ms`
    }
    const lock = this.#grants.get(record.grant)
    if (lock === undefined) return undefined
    this.#grants.delete(record.grant)
    return `grant ${record.grant} of ${lock} ${record.reason === 'expired' ? 'expired: nothing was heard of its session' : 'was given back'}`
  }

  #jobLine(record: Exclude<JournalRecord, { kind: 'TimePassed' }>): string | undefined {
    switch (record.kind) {
      case 'JobSubmitted':
      case 'FlowSubmitted':
        return this.#isJob(record.plan.job)
          ? `submitted: ${record.plan.name}, ${record.plan.stages.length === 1 ? '1 stage' : `${record.plan.stages.length} stages`}, program ${record.plan.stages[0]?.program.slice(0, 12)}`
          : undefined
      case 'TasksAdded':
        return this.#concerns(record) ? `${tasksText(record)} added to stage ${record.stage}, ${record.bytes} bytes of input` : undefined
      case 'StageSealed':
        return this.#isJob(record.job) ? `stage ${record.stage} is complete: no more tasks will be added` : undefined
      case 'JobCancelled':
        return this.#isJob(record.job) ? `cancelled: ${record.reason}` : undefined
      case 'JobCancelling':
        return this.#isJob(record.job) ? `being cancelled, its compensations run first: ${record.reason}` : undefined
      case 'JobPaused':
        return this.#isJob(record.job) ? (record.paused ? 'paused: nothing more of it begins' : 'resumed') : undefined
      case 'JobRerun':
        return this.#isJob(record.job) ? rerunText(record) : undefined
      case 'TasksCancelled':
        return record.ranges.some(range => this.#concerns({ ...range, job: record.job, stage: record.stage }))
          ? `${record.ranges.map(tasksText).join(', ')} cancelled`
          : undefined
      case 'StepsAdded':
        if (!this.#isJob(record.job)) return undefined
        return `${record.flow.steps.length} steps added${record.parent === undefined ? '' : `: what step ${record.parent} became`}`
      case 'StageLimited':
        return this.#isJob(record.job) ? `stage ${record.policy.stage} limited: ${policyText(record.policy)}` : undefined
      case 'JobLimited':
        return this.#isJob(record.job) ? `limited: ${runText(record.policy)}` : undefined
      case 'StepTimedOut':
        return this.#isJob(record.job) ? `step ${record.step} did not end in its time: it has failed` : undefined
      case 'JobTimedOut':
        return this.#isJob(record.job) ? 'did not end in its time: it has failed' : undefined
      case 'BranchDecided':
        return this.#isJob(record.job) ? `step ${record.step} decided a branch: ${record.taken ? 'taken' : 'not taken'}` : undefined
      case 'SignalReceived':
        return this.#isJob(record.job) ? `the signal ${record.name} came, ${record.bytes} bytes` : undefined
      case 'JobFinished':
        return this.#isJob(record.job) ? `ended: ${record.state}` : undefined
      case 'ResultsReleased':
        return record.ranges.some(range => this.#concerns({ ...range, job: record.job, stage: record.stage }))
          ? `results of ${record.ranges.map(tasksText).join(', ')} were taken by the client and let go`
          : undefined
      case 'JobsForgotten':
        return record.jobs.some(job => this.#isJob(job)) ? 'forgotten: its retention is over' : undefined
      case 'JobsArchived':
        return record.jobs.some(job => this.#isJob(job)) ? 'moved into the history' : undefined
      default:
        return undefined
    }
  }

  #assigned(record: RecordOf<'TasksAssigned'>): string | undefined {
    const lane = this.#lanes.get(record.lane) ?? { worker: record.worker, runs: [] }
    this.#lanes.set(record.lane, lane)
    for (const run of record.runs) lane.runs.push({ ...run })
    const mine = record.runs.filter(run => this.#concerns(run))
    if (mine.length === 0 && !this.#isWorker(record.worker) && this.#subject.id !== laneText(record.lane)) return undefined
    const shown = mine.length > 0 ? mine : record.runs
    return `${listed(shown.map(run => this.#runText(run)))} given to ${record.worker} (incarnation ${record.incarnation}), lane ${laneText(record.lane)}${record.adopted ? ', adopted: it ran there already' : ''}`
  }

  #runText(run: Run): string {
    return `${this.#isJob(run.job) ? '' : `${run.job}: `}${inStage(run)}, attempt ${run.attempt}`
  }

  #advanced(record: RecordOf<'TasksFinished' | 'TaskFailed' | 'TasksSkipped' | 'TaskExpanded' | 'TaskSpread'>): string | undefined {
    const lane = this.#lanes.get(record.lane)
    // The lane was opened before the first record we were given.
    if (!lane || lane.runs.length === 0) return undefined
    const parts = takeOff(lane.runs, 'count' in record ? record.count : 1)
    if (lane.runs.length === 0) this.#lanes.delete(record.lane)
    const mine = parts.filter(part => this.#concerns(part))
    if (mine.length === 0 && !this.#isWorker(lane.worker) && this.#subject.id !== laneText(record.lane)) return undefined
    const shown = mine.length > 0 ? mine : parts
    const [done] = shown as [Told]
    const what = listed(shown.map(part => `${this.#isJob(part.job) ? '' : `${part.job}: `}${inStage(part)}`))
    if (record.kind === 'TasksFinished') return `${what} finished on ${lane.worker}, ${record.bytes} bytes of results`
    if (record.kind === 'TaskExpanded') return `${what} was built on ${lane.worker}: it is steps now`
    if (record.kind === 'TaskSpread') return `${what} finished on ${lane.worker} with a list of ${record.width}`
    if (record.kind === 'TasksSkipped') return `${what} stopped on ${lane.worker}: cancelled`
    const next = record.retryAtMs === undefined ? 'for good' : `; next attempt in ${Math.max(0, record.retryAtMs - this.#nowMs)} ms`
    return `${what} failed on ${lane.worker} at attempt ${done.attempt} ${next}: ${record.code}: ${record.message}`
  }

  #returned(record: RecordOf<'TasksReturned'>): string | undefined {
    const lane = this.#lanes.get(record.lane)
    if (!lane) return undefined
    let left = record.keep
    const back: Told[] = []
    lane.runs = lane.runs.flatMap(run => {
      const kept = Math.min(left, run.count)
      left -= kept
      if (kept < run.count) back.push({ ...run, first: run.first + kept, count: run.count - kept })
      return kept > 0 ? [{ ...run, count: kept }] : []
    })
    if (lane.runs.length === 0) this.#lanes.delete(record.lane)
    const mine = back.filter(run => this.#concerns(run))
    return mine.length > 0 ? `${listed(mine.map(tasksText))} not started on ${lane.worker}: back in line` : undefined
  }

  #vacated(record: RecordOf<'LaneVacated'>): string | undefined {
    const lane = this.#lanes.get(record.lane)
    const mine = (lane?.runs ?? []).filter(run => this.#concerns(run))
    return mine.length > 0 ? `${listed(mine.map(tasksText))} no longer runs on ${lane!.worker}: its outcome is on the way` : undefined
  }

  #lost(record: RecordOf<'WorkerLost'>): string | undefined {
    const back: Told[] = []
    for (const [id, lane] of this.#lanes) {
      if (lane.worker !== record.worker) continue
      back.push(...lane.runs)
      this.#lanes.delete(id)
    }
    if (this.#isWorker(record.worker)) return `incarnation ${record.incarnation} lost: ${record.reason}`
    const mine = back.filter(run => this.#concerns(run))
    return mine.length > 0 ? `${listed(mine.map(tasksText))} back in line: worker ${record.worker} was lost (${record.reason})` : undefined
  }
}
