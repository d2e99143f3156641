// Owns what the journal alone must show, read by a reader of its own: S1, S2, S5, S19 on its rows, S4, S9 to S12 and S14 by a naive ledger, S9's values by the oracle,
// S3 for steps of workflows, S20 on dropped payloads, and when each fact became durable, for those who check acknowledgements.
// Must not trust the leader's own state, nor its way of applying records.
import { Chunk, decodeValue, type JournalRecord, readItem, readTemplate } from '../../src/protocol/index.ts'
import { Ledger } from '../../test/core/ledger.ts'
import type { ExecutionEvent, History } from '../history.ts'
import type { DurableRow } from '../world/cluster-store.ts'
import { type Fate, resultOf } from '../world/fates.ts'
import { committedSpace } from '../world/steps.ts'
import { toldOf } from './executions.ts'
import { createFacts } from './facts.ts'
import { hashOf, readRecords } from './reader.ts'

function inline(item: Uint8Array): unknown {
  const read = readItem(item)
  return 'inline' in read ? decodeValue(read.inline) : undefined
}

export class JournalChecker {
  readonly facts = createFacts()
  readonly #history: History
  readonly #ledger = new Ledger()
  readonly #keys = new Map<string, string>()
  /** By payload: the runs that an event starts share what they get. */
  readonly #inputs = new Map<number, { job: string; stage: number; first: number; count: number }[]>()
  /** How many stages each workflow has by now. */
  readonly #flows = new Map<string, number>()
  #last: DurableRow | undefined
  /** What tasks wrote with their results in this row, and whose results of that kind are in it. */
  #committed: string[] = []
  #commits: string[] = []

  readonly #told: ReadonlySet<string>

  constructor(history: History) {
    this.#history = history
    this.#told = toldOf(history)
  }

  check(): void {
    const kinds = new Map<string, number>()
    this.#rows(kinds)
    for (const [kind, count] of kinds) this.#history.probe(`record ${kind}`, count)
    if (this.facts.clusters.size > 1) this.#history.violate('S19', `${this.facts.clusters.size} clusters in one journal`, 0)
  }

  /** Each row, until one cannot be believed. */
  #rows(kinds: Map<string, number>): void {
    const started = this.#history.executions.filter(one => one.what === 'started')
    let looked = 0
    for (const row of this.#history.rows) {
      for (; started[looked] && started[looked]!.atMs < row.atMs; looked++) this.#began(started[looked]!)
      this.#chain(row)
      let records: JournalRecord[]
      try {
        records = readRecords(row.records, row.count)
      } catch (error) {
        this.#history.violate('S5', `row ${row.firstIndex} cannot be read: ${String(error)}`, row.atMs)
        return
      }
      if (this.#last && row.epoch > this.#last.epoch && records[0]?.kind !== 'LeaderClaimed')
        this.#history.violate('S1', `epoch ${row.epoch} begins with ${records[0]?.kind}`, row.atMs)
      this.#last = row
      for (const record of records) {
        kinds.set(record.kind, (kinds.get(record.kind) ?? 0) + 1)
        try {
          this.#look(record, row)
          this.#ledger.next(record)
          if (record.kind === 'EventEmitted') for (const job of this.#ledger.heard) this.facts.resultEpochs.set(`${job}/`, row.epoch)
        } catch (error) {
          const text = String((error as Error).message)
          this.#history.violate(/^(S\d+)/.exec(text)?.[1] ?? 'S11', `${record.kind} at row ${row.firstIndex}: ${text}`, row.atMs)
          return
        }
      }
      this.#dropped(row)
      this.#together(row)
      for (const [grant, token] of this.#ledger.locks.tokens)
        if (!this.facts.granted.has(grant)) this.facts.granted.set(grant, { token, atMs: row.atMs })
    }
  }

  /** What a step of a workflow needs was durable before it began. Its time may have run out while the order to begin was on its way. */
  #began({ atMs, execution: { job, stage, index } }: ExecutionEvent): void {
    const known = this.#ledger.jobs.get(job)
    // Steps that need no others may begin before they are durable themselves.
    if (!known?.flow || !known.stages[stage]) return
    try {
      known.flow.begins(stage, index)
    } catch (error) {
      this.#history.violate('S3', `${job}/${stage}/${index} began too early: ${String((error as Error).message)}`, atMs)
    }
  }

  /** What a task commits is written with its result, once. */
  #together(row: DurableRow): void {
    const [written, ended] = [this.#committed.sort().join(', '), this.#commits.sort().join(', ')]
    if (written !== ended)
      this.#history.violate('S9', `row ${row.firstIndex} writes for ${written}, and has the results of ${ended}`, row.atMs)
    this.#committed = []
    this.#commits = []
  }

  #chain(row: DurableRow): void {
    const last = this.#last
    if (!hashOf(row).equals(row.hash)) this.#history.violate('S5', `row ${row.firstIndex} does not have the hash of its content`, row.atMs)
    if (!last) {
      if (row.firstIndex !== 1 || row.previousHash.some(byte => byte !== 0))
        this.#history.violate('S5', `the journal begins with row ${row.firstIndex}, behind another one`, row.atMs)
      return
    }
    if (row.epoch < last.epoch) this.#history.violate('S2', `a row of epoch ${row.epoch} behind one of ${last.epoch}`, row.atMs)
    if (row.firstIndex !== last.firstIndex + last.count)
      this.#history.violate('S5', `row ${row.firstIndex} behind one that ends at ${last.firstIndex + last.count - 1}`, row.atMs)
    if (!Buffer.from(row.previousHash).equals(last.hash)) this.#history.violate('S5', `row ${row.firstIndex} breaks the chain`, row.atMs)
  }

  #look(record: JournalRecord, row: DurableRow): void {
    const { facts } = this
    switch (record.kind) {
      case 'LeaderClaimed':
        facts.clusters.add(record.cluster)
        return
      case 'FlowSubmitted':
        facts.submittedMs.set(record.plan.job, row.atMs)
        this.#flowStages(record.plan.job, record.plan.stages.length)
        return
      case 'StagesAdded':
        return this.#flowStages(record.job, record.stages.length)
      case 'SignalReceived':
        facts.resultEpochs.set(`${record.job}/`, row.epoch)
        return
      case 'EventEmitted':
        return this.#emitted(record, row)
      case 'TaskSpread':
      case 'TaskExpanded':
        return this.#advanced(record.lane, 1, row)
      case 'JobSubmitted':
        facts.submittedMs.set(record.plan.job, row.atMs)
        for (const [index, { edges }] of record.plan.stages.entries())
          facts.producers.set(
            `${record.plan.job}/${index}`,
            edges.map(edge => `${record.plan.job}/${edge.producer}`),
          )
        return
      case 'JobCancelled':
        facts.cancelledMs.set(record.job, row.atMs)
        return
      case 'JobFinished':
        facts.finishedMs.set(record.job, { atMs: row.atMs, state: record.state })
        return
      case 'WorkerLost':
        facts.workersLost++
        return
      case 'TasksAdded':
        return this.#added(record, row)
      case 'TasksAssigned':
        facts.lanes.add(record.lane)
        if (record.adopted) this.#history.probe('adopted')
        return
      case 'TaskFailed':
        return this.#failed(record.lane, record.code, row)
      case 'TasksSkipped':
        return this.#skipped(record, row)
      case 'EntriesWritten':
        for (const { space, key } of record.writes) if (space === committedSpace) this.#committed.push(key)
        return
      case 'TasksFinished':
        if (
          this.#ledger.lanes
            .get(record.lane)
            ?.queue.slice(0, record.count)
            .some(task => task.stopping)
        )
          this.#history.probe('counted though it was to stop')
        this.#finished(record, row)
    }
  }

  /** Each step of a workflow waits for some of the others: for the latest of any of them, as far as N1 is concerned. */
  #flowStages(job: string, count: number): void {
    const known = this.#flows.get(job) ?? 0
    this.#flows.set(job, known + count)
    for (let stage = known; stage < known + count; stage++) this.facts.producers.set(`${job}/${stage}`, [`${job}/`])
  }

  /** The next tasks of a lane have results. */
  #advanced(lane: number, count: number, row: DurableRow): void {
    for (const { job, stage } of this.#ledger.lanes.get(lane)?.queue.slice(0, count) ?? []) {
      this.facts.resultEpochs.set(`${job}/${stage}`, row.epoch)
      this.facts.resultEpochs.set(`${job}/`, row.epoch)
    }
  }

  #failed(lane: number, code: string, row: DurableRow): void {
    const task = this.#ledger.lanes.get(lane)?.queue[0]
    if (!task) return
    this.facts.failedEpochs.set(`${task.key}#${task.attempt}`, row.epoch)
    if (code === 'TASK_POISONED' || code === 'TASK_CRASHED') this.facts.poisoned.add(task.job)
  }

  #added({ job, stage, first, count, payload }: Extract<JournalRecord, { kind: 'TasksAdded' }>, row: DurableRow): void {
    this.#inputs.set(payload, [...(this.#inputs.get(payload) ?? []), { job, stage, first, count }])
    const bytes = row.payloads.get(payload)
    if (!bytes) return this.#history.violate('S9', `payload ${payload} is named and not there`, row.atMs)
    const chunk = new Chunk(bytes)
    for (let i = 0; i < count; i++) this.facts.addedEpochs.set(`${job}/${stage}/${first + i}`, row.epoch)
    for (let i = 0; i < count; i++) {
      const item = chunk.item(i)
      // What a run of a trigger is to do comes with its event.
      if (!readTemplate(item)) this.#keys.set(`${job}/${stage}/${first + i}`, (inline(item) as Fate).key)
    }
  }

  #emitted({ id, payload, started }: Extract<JournalRecord, { kind: 'EventEmitted' }>, row: DurableRow): void {
    if (payload === undefined) return
    const bytes = row.payloads.get(payload)
    if (!bytes) return this.#history.violate('S9', `payload ${payload} is named and not there`, row.atMs)
    for (const trigger of started) this.#keys.set(`${trigger}@${id}/0/0`, (inline(new Chunk(bytes).item(0)) as Fate).key)
  }

  #finished(record: Extract<JournalRecord, { kind: 'TasksFinished' }>, row: DurableRow): void {
    const bytes = row.payloads.get(record.payload)
    const tasks = this.#ledger.lanes.get(record.lane)?.queue.slice(0, record.count) ?? []
    if (!bytes) return this.#history.violate('S9', `payload ${record.payload} is named and not there`, row.atMs)
    const chunk = new Chunk(bytes)
    this.#advanced(record.lane, record.count, row)
    for (const [position, { key: task }] of tasks.entries()) {
      // A task of a workflow that has no input of its own is named by what it is.
      const key = this.#keys.get(task) ?? task
      const value = inline(chunk.item(position))
      if (value !== resultOf(key)) this.#history.violate('S9', `task ${task} (${key}) has the result ${String(value)}`, row.atMs)
      this.facts.resultMs.set(key, row.atMs)
      if (this.#history.fates.get(key)?.commits) this.#commits.push(key)
    }
  }

  /** What a compensation goes by counts if it succeeded, though it was told to stop: what it did is to be taken back. */
  #skipped({ lane, count }: Extract<JournalRecord, { kind: 'TasksSkipped' }>, row: DurableRow): void {
    for (const { key, job, stage, index, attempt } of this.#ledger.lanes.get(lane)?.queue.slice(0, count) ?? []) {
      const { state, flow } = this.#ledger.jobs.get(job)!
      if (state === 'running' && flow?.counts(stage, index) && this.#told.has(`${lane} ${key}#${attempt}`))
        this.#history.violate('S11', `${key} succeeded and counts as cancelled: what it did is not taken back`, row.atMs)
    }
  }

  /** Inputs may go only when no task needs them. */
  #dropped(row: DurableRow): void {
    for (const payload of row.drops) {
      for (const input of this.#inputs.get(payload) ?? []) {
        const job = this.#ledger.jobs.get(input.job)
        const needed = job?.stages[input.stage]?.tasks
          .slice(input.first, input.first + input.count)
          .filter(task => ['waiting', 'delayed', 'running'].includes(task.status))
          .some(task => task.status !== 'waiting' || (job.flow?.wanted(task.stage, task.index) ?? true))
        if (needed) this.#history.violate('S20', `inputs ${payload} of ${input.job} were dropped while they are needed`, row.atMs)
      }
    }
  }

  /** Jobs that the journal knows and that have no end. */
  get open(): string[] {
    return [...this.#ledger.jobs.entries()].filter(([, job]) => !job.over).map(([id]) => id)
  }

  /** Lanes that are open. */
  get lanes(): number {
    return this.#ledger.lanes.size
  }
}
