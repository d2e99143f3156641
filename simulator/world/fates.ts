// Owns what simulated tasks do, as their input says: how long they take, how they end, and what they give.
// Must not depend on where or when a task runs: the oracle knows the result beforehand.

/** What a task does. */
export interface Fate {
  /** Names the call: its result is made of it. */
  key: string
  ms: number
  /** So many attempts fail before one ends well. */
  fails?: number
  /** It kills its executor each time. */
  poison?: boolean
  /** It ends its process by itself each time. */
  exits?: boolean
  /** It never ends by itself. */
  hangs?: boolean
  /** When it is told to stop it goes on. */
  deaf?: boolean
  /** With its result it writes an entry of its name. */
  commits?: boolean
  /** As a step of a workflow: the values that it must get from others, its result is a list of so many, it becomes a chain of so many steps. */
  expects?: string[]
  spread?: number
  expands?: number
  /** The last of those fails each time. */
  breaks?: boolean
}

/** What the task gives if it ends well. */
export function resultOf(key: string): string {
  return `result of ${key}`
}
