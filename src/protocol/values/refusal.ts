// Owns the marks of a value that cannot be encoded. Must not know its path: the encoder does.
import { CoxswainError } from '../errors.ts'

/** Thrown where a value proves to be larger than asked for. */
export const tooLarge = new Error('the value is larger than asked for')

/** Marks what is wrong; the path is added where it is known. */
export function refused(what: string): CoxswainError {
  return new CoxswainError('VALUE_CANNOT_TRAVEL', what, { id: '' })
}

/** The name of the class whose prototype this is, empty if it has none. */
export function className(prototype: object): string {
  const made: unknown = (prototype as { constructor?: unknown }).constructor
  return typeof made === 'function' ? made.name : ''
}
