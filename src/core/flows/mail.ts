// Owns the signals of a workflow: those that came and nobody took, steps that wait for one, and which came already.
// Must not know what a signal leads to.
import type { PayloadId } from '../../protocol/index.ts'
import { SparseMap, SparseSet } from '../sparse.ts'

/** A signal that came, as long as no step took it. */
export interface Signal {
  payload: PayloadId
  bytes: number
}

/** The signals of one workflow. */
export class Mail {
  /** By name, oldest first: signals that no step waited for yet, and steps that wait. */
  readonly kept = new SparseMap<string, Signal[]>()
  readonly listeners = new SparseMap<string, Set<number>>()
  /** Ids of signals that came: each counts once. */
  readonly seen = new SparseSet<string>()

  /** The step waits for this signal from now on. */
  listen(name: string, step: number): void {
    this.listeners.set(name, (this.listeners.get(name) ?? new Set()).add(step))
  }

  unlisten(name: string, step: number): void {
    const waiting = this.listeners.get(name)
    waiting?.delete(step)
    if (waiting?.size === 0) this.listeners.delete(name)
  }

  /** The step that waits for this signal the longest. */
  firstListener(name: string): number | undefined {
    return this.listeners.get(name)?.values().next().value
  }

  keep(name: string, signal: Signal): void {
    this.kept.set(name, [...(this.kept.get(name) ?? []), signal])
  }

  /** The oldest signal of this name that nobody took. */
  take(name: string): Signal | undefined {
    const signals = this.kept.get(name)
    const signal = signals?.shift()
    if (signals?.length === 0) this.kept.delete(name)
    return signal
  }
}
