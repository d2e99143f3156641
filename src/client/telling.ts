// Owns telling the cluster something that it hands on to workflows: signals and events.
// Must not know who gets it.
import { ChunkWriter, CoxswainError, eventIdFlaw, eventKeyFlaw, eventNameFlaw, limits } from '../protocol/index.ts'
import { addInline } from './items.ts'
import type { Parts } from './parts.ts'
import type { Submitter } from './submitter.ts'

/** What came of an event. */
export interface Emitted {
  /** How many triggers started a run. */
  started: number
  /** How many steps of workflows got it that waited for it, or will. */
  woken: number
}

/** Options of `cluster.emit`. */
export interface EmitOptions {
  /** What it is about, such as an order: who waits for an event of this key gets it, as does who waits for one of any. */
  key?: string
  /** Events of this name and id count once, however often they are sent. Made by the SDK if missing. */
  id?: string
}

/** A payload as a chunk of one value. Throws VALUE_CANNOT_TRAVEL. */
function payloadItem(payload: unknown, what: string, id: string): Buffer {
  const chunk = new ChunkWriter()
  if (addInline(chunk, payload)) return chunk.finish()
  throw new CoxswainError(
    'VALUE_CANNOT_TRAVEL',
    `The payload of ${what} is larger than ${limits.inlineBytesMax} bytes: send where it can be found.`,
    { id },
  )
}

/** The payload of a signal. Throws VALUE_CANNOT_TRAVEL, or INVALID_ARGUMENT for a name that no step can wait for. */
export function signalItem(name: string, payload: unknown): Buffer {
  if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > limits.nameBytesMax)
    throw new CoxswainError('INVALID_ARGUMENT', `A signal's name is a text of 1 to ${limits.nameBytesMax} bytes.`, { id: 'name' })
  return payloadItem(payload, `signal ${name}`, name)
}

/** Sends a signal to a workflow. */
export async function signal(parts: Parts, job: string, name: string, payload: unknown, id: string | undefined): Promise<void> {
  const items = signalItem(name, payload)
  await parts.session.request({ kind: 'signal', job, name, signal: id ?? parts.platform.random.uuid(), items })
}

/** Sends an event, again and again while the leader is full. */
export async function emit(
  parts: Parts,
  submitter: Submitter,
  event: string,
  payload: unknown,
  { key, id = parts.platform.random.uuid() }: EmitOptions,
): Promise<Emitted> {
  const flaw = eventNameFlaw(event) ?? (key === undefined ? undefined : eventKeyFlaw(key)) ?? eventIdFlaw(id)
  if (flaw !== undefined) throw new CoxswainError('INVALID_ARGUMENT', `An event cannot be sent: ${flaw}.`, { id: String(event) })
  const items = payloadItem(payload, `event ${event}`, event)
  const reply = await submitter.withPrograms([], () => parts.session.request({ kind: 'emit', event, key: key ?? '', id, items }))
  return reply.kind === 'emitted' ? { started: reply.started, woken: reply.woken } : { started: 0, woken: 0 }
}
