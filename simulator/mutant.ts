// Owns what a planted bug is. Must not know any.

/** One planted bug. */
export interface Mutant {
  name: string
  /** What is wrong then. */
  about: string
  changes: { file: string; find: string; replace: string }[]
}

/** A bug of a single change. */
export const one = (name: string, about: string, file: string, find: string, replace: string): Mutant => ({
  name,
  about,
  changes: [{ file, find, replace }],
})
