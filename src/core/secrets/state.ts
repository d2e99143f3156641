// Owns what is known of secrets: names, sealed bytes, and which jobs may have them. Must not know what is in them.

/** A secret as it is kept: its bytes are sealed, and only candidates can open them. */
export interface Secret {
  readonly name: string
  readonly sealed: Uint8Array
  /** For jobs whose names begin with one of these; an empty list: for all. */
  readonly jobs: readonly string[]
  readonly setAtMs: number
  /** How often it was set. */
  readonly version: number
}

/** All secrets, by name. */
export interface Secrets {
  readonly byName: Map<string, Secret>
}

export function createSecrets(): Secrets {
  return { byName: new Map() }
}

/** True if tasks of a job of this name may have the secret. What a task is named says nothing: whoever submits a job names its tasks. */
export function mayHave({ jobs }: Secret, job: string): boolean {
  return jobs.length === 0 || jobs.some(prefix => job.startsWith(prefix))
}
