// Owns the trace of a run: what each process saw, as JSON lines with CLOCK_MONOTONIC times, and the merging of all of them.
// Must not judge: check.ts does.
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Call } from '../../simulator/history.ts'

/** What was seen. The journal itself is not in here: it is read with the product's own reader, and is the truth about order. */
export type Seen =
  | { ev: 'cl.inv'; call: number; op: Call['operation']; job: string; key: string }
  /** `seqSeen`: the journal's last index, read behind the answer by another process than the leader. */
  | { ev: 'cl.ok'; call: number; value?: unknown; seqSeen?: number }
  | { ev: 'cl.fail'; call: number; code: string }
  /** A job that was asked for, the keys of its tasks, and how it has to end. */
  | { ev: 'expect'; job: string; keys: string[]; ends: 'succeeded' | 'failed'; mayBeCancelled: boolean }
  | { ev: 't.start' | 't.end'; task: string; att: number; token: number; key: string; pid: number }
  /** A row that was seen in the journal while the cluster ran. */
  | { ev: 'j.append'; epoch: number; seq: number; count: number; hash: string }
  /** The file in which the leader says where it is. */
  | { ev: 'lead.seen'; epoch: number; pid: number }
  /** The epoch on a worker's disk. */
  | { ev: 'w.epoch'; epoch: number }
  /** `proof`: how it is known that the fault happened. */
  | { ev: 'fault'; class: string; target: string; proof: string }

/** One line of a trace. */
export type TraceEvent = { t: number; node: string } & Seen

/** Milliseconds of CLOCK_MONOTONIC, which all processes of a machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** The trace that one process writes. */
export class Trace {
  readonly #path: string
  readonly #node: string

  constructor(folder: string, node: string) {
    this.#path = join(folder, `${node}.jsonl`)
    this.#node = node
  }

  /** Appends what was seen; at `t`, if that is not now. */
  write(seen: Seen, t = monotonicMs(), node = this.#node): void {
    appendFileSync(this.#path, `${JSON.stringify({ t, node, ...seen })}\n`)
  }
}

/** All traces of a folder in the order of time. A last line that a kill cut off is left out. */
export function mergedTraces(folder: string): TraceEvent[] {
  const events: TraceEvent[] = []
  for (const name of readdirSync(folder).filter(one => one.endsWith('.jsonl'))) {
    const text = readFileSync(join(folder, name), 'utf8')
    for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n')) if (line !== '') events.push(JSON.parse(line) as TraceEvent)
  }
  return events.sort((one, other) => one.t - other.t)
}
