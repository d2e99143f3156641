// Owns the questions that can be asked about a cluster. Must not change anything there.
import type {
  JobsQuery,
  JobView,
  LockView,
  ScheduleView,
  SecretView,
  StatusView,
  StoryLine,
  TriggerView,
  Views,
  WhyView,
  WorkerView,
} from '../protocol/index.ts'
import type { Parts } from './parts.ts'

/** What can be asked about a cluster. Nothing that an answer tells of can be lost any more. */
export class Questions {
  readonly #parts: Parts

  /** @internal Made by `connect`. */
  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The schedules, in the order of their names; at most 1,000, behind `after`. */
  schedules(query: { after?: string; limit?: number } = {}): Promise<ScheduleView[]> {
    return this.#ask('schedules', query)
  }

  /** The locks that are held, who holds them and who waits; with `prefix` those whose names begin with it. */
  locks(prefix?: string): Promise<LockView[]> {
    return this.#ask('locks', prefix === undefined ? {} : { prefix })
  }

  /** The secrets that there are, never what is in them. */
  secrets(): Promise<SecretView[]> {
    return this.#ask('secrets', {})
  }

  /** Jobs, newest first. */
  jobs(query: JobsQuery = {}): Promise<JobView[]> {
    return this.#ask('jobs', query)
  }

  /** The workers that are there. */
  workers(): Promise<WorkerView[]> {
    return this.#ask('workers', {})
  }

  /** The cluster's state: leader, candidates, workers, load, journal. */
  status(): Promise<StatusView> {
    return this.#ask('status', {})
  }

  /** All that the journal still knows about a job, task or worker, oldest first. */
  story(id: string, limit?: number): Promise<{ lines: StoryLine[]; complete: boolean }> {
    return this.#ask('story', limit === undefined ? { id } : { id, limit })
  }

  /** Why a job or task waits: the rules that hold it, with their numbers. */
  why(id: string): Promise<WhyView[]> {
    return this.#ask('why', { id })
  }

  /** The triggers, in the order of their names; at most 1,000, behind `after`. */
  triggers(query: { after?: string; limit?: number } = {}): Promise<TriggerView[]> {
    return this.#ask('triggers', query)
  }

  async #ask<View extends keyof Views>(view: View, argument: Views[View]['argument']): Promise<Views[View]['answer']> {
    const reply = await this.#parts.session.request({ kind: 'ask', view, argument: JSON.stringify(argument) })
    return JSON.parse(reply.kind === 'view' ? reply.body : 'null') as Views[View]['answer']
  }
}
