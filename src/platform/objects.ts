// Owns what a shell asks of a store of named bytes that outlives machines, such as S3. node/ has the real one.
// Must not hold behaviour.

/** Named bytes that are written whole and never changed. Names are relative to the store's own prefix. Every method rejects with a CoxswainError. */
export interface ObjectStore {
  /** Stores the bytes, or the file of this path; there it is wholly, or not at all. A name that is there already is left as it is: `false`. */
  put(name: string, content: Uint8Array | { path: string; bytes: number }): Promise<boolean>
  /** The bytes from `from` on, in pieces, and how many there are altogether; undefined if there is no such name. */
  get(name: string, from?: number): Promise<{ bytes: number; pieces: AsyncIterable<Uint8Array> } | undefined>
  /** The size of what goes by this name, or undefined. */
  size(name: string): Promise<number | undefined>
  /** Removes it; harmless if it is not there. */
  remove(name: string): Promise<void>
  /** Names that begin with `prefix`, in order, at most 1,000, behind `after`. */
  list(prefix: string, after?: string): Promise<string[]>
  close(): void
}
