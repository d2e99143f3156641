// Owns what is known of events: triggers, who listens for what, and which events came.
// Must not move a workflow on: that is flows.
import { eventStepName, type TriggerSpec } from '../../protocol/index.ts'
import type { DelayedStep } from '../state.ts'

/** A trigger and where it stands. */
export interface TriggerState {
  readonly spec: TriggerSpec
  /** What is submitted for each event, encoded. */
  readonly submission: Uint8Array
  paused: boolean
  /** Runs since it was made, the last of them, and when that was. */
  started: number
  lastJob: string
  lastAtMs: number
}

/** An event that came, as long as its id is remembered. */
export interface SeenEvent {
  readonly atMs: number
  readonly started: number
  readonly woken: number
}

/** A step that has not got its event yet. */
export type Listener = DelayedStep

export interface Events {
  readonly byName: Map<string, TriggerState>
  /** Derived: triggers by what they listen for. */
  readonly byEvent: Map<string, Set<TriggerState>>
  /** By what they listen for, in the order in which they began to. */
  readonly listeners: Map<string, Set<Listener>>
  /** By event and id, the oldest first. */
  readonly seen: Map<string, SeenEvent>
}

export function createEvents(): Events {
  return { byName: new Map(), byEvent: new Map(), listeners: new Map(), seen: new Map() }
}

/** The name under which an event is remembered. */
export function seenName(event: string, id: string): string {
  return `${event}#${id}`
}

/** Adds to a set of those that listen for the same. */
export function listen<T>(by: Map<string, Set<T>>, name: string, one: T): void {
  const set = by.get(name)
  if (set) set.add(one)
  else by.set(name, new Set([one]))
}

export function unlisten<T>(by: Map<string, Set<T>>, name: string, one: T): void {
  const set = by.get(name)
  set?.delete(one)
  if (set?.size === 0) by.delete(name)
}

/** Those that listen for an event: for all of its name, then for its key. */
export function heardBy<T>(by: Map<string, Set<T>>, event: string, key: string): T[] {
  const all = [...(by.get(event) ?? [])]
  return key === '' ? all : [...all, ...(by.get(eventStepName(event, key)) ?? [])]
}
