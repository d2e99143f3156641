// Owns the log files of a state folder: one per process, each bounded, the one before it kept.
// Must never fail: a full disk loses log lines, not the cluster.
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'

const logFileBytesMax = 8 << 20

/** One process's log. */
export class LogFile {
  readonly path: string
  readonly #bytesMax: number
  #file: number | undefined
  #bytes = 0

  constructor(path: string, bytesMax = logFileBytesMax) {
    this.path = path
    this.#bytesMax = bytesMax
    this.#open()
  }

  #open(): void {
    try {
      this.#file = openSync(this.path, 'a', 0o600)
      this.#bytes = fstatSync(this.#file).size
    } catch {
      this.#file = undefined
    }
  }

  /** Appends a line; it is lost if the disk does not take it. */
  line(text: string): void {
    const bytes = Buffer.from(`${text}\n`)
    if (this.#bytes > 0 && this.#bytes + bytes.length > this.#bytesMax) this.#rotate()
    if (this.#file === undefined) return
    try {
      this.#bytes += writeSync(this.#file, bytes)
    } catch {
      // Nobody could be told: this is where problems are told.
    }
  }

  #rotate(): void {
    this.close()
    try {
      renameSync(this.path, `${this.path}.1`)
    } catch {
      // Then it goes on growing in the same file, which is still better than losing the latest lines.
    }
    this.#open()
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}
