// Owns what happened in a run, as an onlooker wrote it down: calls of clients, executions of user code, leaderships, what was expected.
// Must not judge it: checkers do.

import type { DurableRow } from './world/cluster-store.ts'
import type { Execution } from './world/executor.ts'
import type { Fate } from './world/fates.ts'

/** A call of a client. Without `endedMs` nobody knows what became of it. */
export interface Call {
  node: string
  operation: 'submit' | 'cancel' | 'compensate' | 'rerun' | 'status' | 'result' | 'run' | 'map'
  job: string
  /** What the content of the job is, for submits; what the call's task is, for runs. */
  key: string
  startedMs: number
  endedMs?: number
  /** The call was answered well. */
  value?: unknown
  /** The code it was answered with otherwise. */
  code?: string
}

/** A job that a client asked for in so many words, and how it must end if nobody cancels it. */
export interface Expected {
  job: string
  fates: Fate[]
  ends: 'succeeded' | 'failed'
  mayBeCancelled: boolean
}

export interface ExecutionEvent {
  atMs: number
  what: 'started' | 'ended'
  execution: Execution
}

export interface Leadership {
  atMs: number
  node: string
  epoch: number
  cluster: string
}

/** What a client did with entries that all share; what it read is written in before the call ends. */
export type SharedInput =
  | { kind: 'read'; key: string; value: string | undefined }
  | { kind: 'write'; key: string; value: string | undefined }
  | { kind: 'exchange'; key: string; from: string | undefined; value: string }
  | { kind: 'swap'; key: string; other: string; first: string | undefined; second: string | undefined }

/** A call about shared entries that may have taken effect. */
export interface SharedCall {
  input: SharedInput
  startedMs: number
  endedMs?: number
}

/** A lock or permit that a client was granted, as the client saw it. */
export interface GrantSeen {
  lock: string
  id: string
  token: number
  /** Of a semaphore, of which it is a permit; 0 for a lock. */
  permits: number
  mode: 'write' | 'read' | 'permit'
  askedMs: number
  grantedMs: number
  /** Something was written under it between these, and the cluster said so. */
  writes: { fromMs: number; toMs: number }[]
  /** It was given back between these, and the cluster said so. */
  released?: { fromMs: number; toMs: number }
}

/** At this time a client believed that it holds what it was granted. */
export interface Belief {
  grant: GrantSeen
  atMs: number
}

/** A rule that was broken. */
export interface Violation {
  rule: string
  text: string
  atMs: number
}

export class History {
  readonly calls: Call[] = []
  readonly shared: SharedCall[] = []
  readonly grants: GrantSeen[] = []
  readonly beliefs: Belief[] = []
  readonly executions: ExecutionEvent[] = []
  readonly leaderships: Leadership[] = []
  readonly expected = new Map<string, Expected>()
  /** Every task by its key. */
  readonly fates = new Map<string, Fate>()
  /** What tasks must get that have nothing of their own in their input, by `job/stage/index`. */
  readonly inputs = new Map<string, string[]>()
  /** Epochs as each worker's disk came to hold them. */
  readonly epochs: { atMs: number; worker: string; cluster: string; epoch: number }[] = []
  /** Orders that reached a worker which knew of a newer leader. */
  readonly staleOrders: { atMs: number; worker: string; lane: number; epoch: number }[] = []
  rows: readonly DurableRow[] = []
  readonly violations: Violation[] = []
  /** How often something rare happened. */
  readonly probes = new Map<string, number>()

  probe(name: string, count = 1): void {
    this.probes.set(name, (this.probes.get(name) ?? 0) + count)
  }

  violate(rule: string, text: string, atMs: number): void {
    this.violations.push({ rule, text, atMs })
  }
}
