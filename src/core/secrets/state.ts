// Owns what is known of secrets: names, sealed bytes, and which tasks may have them. Must not know what is in them.

/** A secret as it is kept: its bytes are sealed, and only candidates can open them. */
export interface Secret {
  readonly name: string
  readonly sealed: Uint8Array
  /** Of jobs or tasks whose names begin with one of these; an empty list: of all. */
  readonly tasks: readonly string[]
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

/** True if tasks of this name, in a job of this one, may have the secret. */
export function mayHave({ tasks }: Secret, job: string, task: string): boolean {
  return tasks.length === 0 || tasks.some(prefix => job.startsWith(prefix) || task.startsWith(prefix))
}
