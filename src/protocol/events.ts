// Owns what events and triggers are, as plain data: names, keys, what a receiver gets.
// Must not know who receives an event.
import { ChunkWriter } from './chunk.ts'
import { bytes, type Infer, list, string, struct } from './codec.ts'
import { beginTemplate } from './compose.ts'
import { limits } from './limits.ts'
import { hashField, nameField } from './plan.ts'
import { TemplateEncoder } from './values.ts'

/** What a trigger starts at which events. */
export const triggerSpec = struct({
  trigger: nameField,
  /** Hash of all that was asked. */
  contentHash: hashField,
  event: nameField,
  /** Empty: events of every key, and those without one. */
  key: nameField,
  /** Of what is run. */
  name: nameField,
  programs: list(hashField, 100),
})
export type TriggerSpec = Infer<typeof triggerSpec>

/** What a run is made of: a stored submission, whose job id and inputs are filled in. */
export const triggerSubmission = bytes(limits.triggerBytesMax)

/** The key of an event; empty where it has none. */
export const eventKey = string(limits.eventKeyBytesMax)

const namePattern = /^[\p{L}\p{N}][\p{L}\p{N}._:/@+-]*$/u
const idPattern = /^[\p{L}\p{N}._:@+-]+$/u

/** What is wrong with the name of an event, or undefined. */
export function eventNameFlaw(event: unknown): string | undefined {
  if (typeof event === 'string' && namePattern.test(event) && Buffer.byteLength(event) <= limits.eventNameBytesMax) return undefined
  return `${JSON.stringify(event)} is no name of an event: letters, digits and . _ : / @ + - only, at most ${limits.eventNameBytesMax} bytes`
}

/** What is wrong with the key of an event, or undefined. */
export function eventKeyFlaw(key: unknown): string | undefined {
  if (typeof key === 'string' && key !== '' && Buffer.byteLength(key) <= limits.eventKeyBytesMax) return undefined
  return `${JSON.stringify(key)} is no key of an event: it is a text of 1 to ${limits.eventKeyBytesMax} bytes`
}

/** What is wrong with the id of an event, or undefined. It becomes part of the names of jobs. */
export function eventIdFlaw(id: unknown): string | undefined {
  if (typeof id === 'string' && idPattern.test(id) && Buffer.byteLength(id) <= limits.eventIdBytesMax) return undefined
  return `${JSON.stringify(id)} is no id of an event: letters, digits and . _ : @ + - only, at most ${limits.eventIdBytesMax} bytes`
}

/** What steps and triggers listen for, as the name of a step: an event, with a key only those of this key. No event's name has a `#`. */
export function eventStepName(event: string, key: string): string {
  return key === '' ? event : `${event}#${key}`
}

/** What is wrong with the name of a step that waits for an event, or undefined. */
export function eventStepFlaw(name: string): string | undefined {
  const at = name.indexOf('#')
  return at < 0 ? eventNameFlaw(name) : (eventNameFlaw(name.slice(0, at)) ?? eventKeyFlaw(name.slice(at + 1)))
}

/** The input of what an event starts, as a chunk of one template: the payload is its hole, and stays where it is. */
export function eventInput(event: string, key: string, id: string): Buffer {
  const payload = {}
  const chunk = new ChunkWriter()
  const body = chunk.beginItem()
  beginTemplate(body, false)
  const template = new TemplateEncoder(part => (part === payload ? 0 : undefined))
  template.write(body, { event, ...(key !== '' && { key }), id, payload }, limits.inlineBytesMax)
  chunk.endItem()
  return chunk.finish()
}
