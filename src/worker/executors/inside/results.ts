// Owns what a result is besides a value: a workflow that was built, a list of inputs for others.
// Must not store or send anything.
import { inspect } from 'node:util'
import { CoxswainError } from '../../../protocol/index.ts'
import type { Expansion } from './outbox.ts'

/** Under this key a workflow as a step gives what it was built into, as plain data: the program has its own copy of all classes. */
const expansionMark: symbol = Symbol.for('coxswain.expansion')

/** What a workflow as a step was built into, or undefined for any other value. */
export function expansionOf(value: unknown): Expansion | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, expansionMark)) return undefined
  return (value as Record<symbol, Expansion>)[expansionMark]
}

/** The value if it is a list. Throws VALUE_CANNOT_TRAVEL, which makes the task's result invalid. */
export function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  const text = inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY }).slice(0, 100)
  throw new CoxswainError(
    'VALUE_CANNOT_TRAVEL',
    `The result is what flow.map takes its inputs from, so it must be an array; it is ${text}.`,
  )
}
