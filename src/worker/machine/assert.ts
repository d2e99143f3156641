// Owns the end of a machine whose assumptions are broken. Must not be used for expected errors.

/** Throws unless the condition holds: what follows would act on a state that cannot be. */
export function assertInvariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`broken assumption in the worker's machine: ${what}`)
}
