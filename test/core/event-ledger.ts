// A naive second opinion on events: it keeps triggers in a list and ids that came, and works out anew who must be started by an event.
// Who waits for it is known by the models of the workflows.
import assert from 'node:assert/strict'
import type { RecordOf } from '../../src/protocol/index.ts'

interface LedgerTrigger {
  name: string
  event: string
  key: string
  paused: boolean
}

export class EventLedger {
  readonly triggers: LedgerTrigger[] = []
  /** Every event that came, as `event id`, and those whose ids are remembered. */
  readonly came = new Map<string, { woken: number; started: number }>()
  readonly #remembered: string[] = []
  /** Runs that were submitted, each with the payload of an event that is about to come. */
  #sharing: string[] = []
  readonly #runs = new Set<string>()

  set({ spec }: RecordOf<'TriggerSet'>): void {
    const before = this.triggers.findIndex(one => one.name === spec.trigger)
    const trigger = { name: spec.trigger, event: spec.event, key: spec.key, paused: this.triggers[before]?.paused ?? false }
    if (before < 0) this.triggers.push(trigger)
    else this.triggers[before] = trigger
  }

  paused(record: RecordOf<'TriggerPaused'>): void {
    const trigger = this.triggers.find(one => one.name === record.trigger)!
    assert.notEqual(trigger.paused, record.paused)
    trigger.paused = record.paused
  }

  deleted(record: RecordOf<'TriggerDeleted'>): void {
    const at = this.triggers.findIndex(one => one.name === record.trigger)
    assert(at >= 0)
    this.triggers.splice(at, 1)
  }

  /** The inputs of this job are bytes that others have too. */
  shared(job: string): void {
    this.#sharing.push(job)
  }

  /** Any other fact than the runs of an event: nobody shares anything now. */
  apart(): void {
    assert.deepEqual(this.#sharing, [], 'jobs share their inputs, and no event started them')
  }

  /** `waiting`: steps that wait for it, those of the runs that it starts among them; `known`: whether a job is there. */
  emitted(record: RecordOf<'EventEmitted'>, waiting: number, known: (job: string) => boolean): void {
    const { event, key, id, started, payload, forgotten } = record
    const name = `${event} ${id}`
    for (const old of this.#remembered.splice(0, forgotten)) this.came.delete(old)
    assert(!this.came.has(name), `${name} counts twice`)
    this.#remembered.push(name)
    for (const trigger of this.triggers) {
      const meant = trigger.event === event && (trigger.key === '' || trigger.key === key) && !trigger.paused
      const run = `${trigger.name}@${id}`
      if (!meant) assert(!started.includes(trigger.name), `${trigger.name} was started by ${name}, which is not for it`)
      else if (started.includes(trigger.name)) assert(known(run) && !this.#runs.has(run), `${run} was started twice, or never submitted`)
      else assert(known(run), `${name} did not start ${trigger.name}`)
    }
    for (const trigger of started) this.#runs.add(`${trigger}@${id}`)
    for (const job of this.#sharing)
      assert(
        started.some(trigger => `${trigger}@${id}` === job),
        `${job} has the input of ${name}`,
      )
    this.#sharing = []
    assert.equal(payload !== undefined, waiting > 0, `${name} has ${waiting} receivers`)
    this.came.set(name, { started: started.length, woken: waiting - started.length })
  }

  /** A run was forgotten: the same id may start it again. */
  forget(job: string): void {
    this.#runs.delete(job)
  }
}
