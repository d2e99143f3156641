// Owns the lock on a folder: one process at a time may write its journal.
// Must not wait for it: it is held for a leader's life.
import { DatabaseSync } from 'node:sqlite'
import { fault, isBusy } from './faults.ts'
import { lockPath } from './files.ts'

/** The lock that the leader's process holds on the folder. The kernel frees it when the process dies. */
export class FolderLock {
  readonly #database: DatabaseSync
  #held = false

  constructor(folder: string) {
    try {
      // Nobody waits for it: it is held for a leader's life.
      this.#database = new DatabaseSync(lockPath(folder), { timeout: 0 })
    } catch (error) {
      throw fault(error, 'STATE_FOLDER_UNUSABLE', `The lock in ${folder} does not open`)
    }
  }

  get held(): boolean {
    return this.#held
  }

  /** Takes the lock; false if another process has it. */
  take(): boolean {
    if (this.#held) return true
    try {
      // IMMEDIATE takes one lock at once. EXCLUSIVE takes several, one after the other: two processes could stop each other, and none would get it.
      this.#database.exec('PRAGMA journal_mode = MEMORY; BEGIN IMMEDIATE')
      return (this.#held = true)
    } catch (error) {
      if (isBusy(error)) return false
      throw fault(error, 'STATE_FOLDER_UNUSABLE', 'The lock of the journal does not open')
    }
  }

  release(): void {
    if (!this.#held) return
    this.#held = false
    this.#database.exec('ROLLBACK')
  }

  close(): void {
    this.#held = false
    this.#database.close()
  }
}
