// Owns the messages about lanes to workers: an assignment on its way, and what is acknowledged.
// Must not send them, and must not decide when they may go.
import type { RunInputs, Stage } from '../core/index.ts'
import { encodeMessage, leaderToWorker, type RecordOf } from '../protocol/index.ts'
import { cachedInputs } from './compose.ts'
import type { WorkerLink } from './links.ts'
import type { Payloads } from './payloads.ts'

/** An assignment that is to be sent. */
export interface PendingAssign {
  link: WorkerLink
  epoch: number
  record: RecordOf<'TasksAssigned'>
  plan: Stage['plan'] | undefined
  /** Of each run. */
  inputs: RunInputs[]
  /** The message, made while its facts were on their way to the disk. */
  frame?: Uint8Array | undefined
}

/** The message of an assignment. */
export function assignment({ link, epoch, record, plan }: PendingAssign, inputs: Uint8Array[]): Uint8Array {
  const { lane, incarnation, runs } = record
  return link.frame({ kind: 'assign', epoch, incarnation, lane, plan, runs, inputs })
}

/** The same, if all inputs are in memory. */
export function readyAssignment(payloads: Payloads, pending: PendingAssign): Uint8Array | undefined {
  const inputs = cachedInputs(payloads, pending.inputs)
  return inputs && assignment(pending, inputs)
}

/** Lane → number of the task up to which outcomes are durable, as a message. */
export function acknowledgement(lanes: ReadonlyMap<number, number>): Uint8Array {
  return encodeMessage(leaderToWorker, { kind: 'acknowledge', lanes: [...lanes].map(([lane, count]) => ({ lane, count })) })
}
