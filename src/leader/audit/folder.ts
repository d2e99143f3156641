// Owns the files of the audit log: numbered, each up to a size, the oldest removed. Lines are only ever added to the last.
// Must not know what a line says.
import { join } from 'node:path'
import type { Files } from '../../platform/index.ts'
import { hashOf, noLine } from './chain.ts'

/** How large the log may grow. */
export interface AuditLimits {
  fileBytesMax: number
  filesMax: number
}

const defaultAuditLimits: AuditLimits = { fileBytesMax: 8 << 20, filesMax: 32 }

const namePattern = /^audit-(\d{8})\.jsonl$/

/** Names of the files of a folder, the oldest first. */
export async function auditFiles(files: Files, folder: string): Promise<string[]> {
  return (await files.list(folder)).filter(name => namePattern.test(name))
}

/** The number in a file's name. */
export function numberOf(name: string): number {
  return Number(namePattern.exec(name)?.[1] ?? 0)
}

function nameOf(number: number): string {
  return `audit-${String(number).padStart(8, '0')}.jsonl`
}

/** The folder that one candidate writes. */
export class AuditFolder {
  readonly #files: Files
  readonly #path: string
  readonly #limits: AuditLimits
  /** The file that is written; 0 until it is opened. */
  #number = 0
  #bytes = 0
  /** The hash of the last line. */
  last = noLine

  constructor(files: Files, path: string, limits: Partial<AuditLimits>) {
    this.#files = files
    this.#path = path
    this.#limits = { ...defaultAuditLimits, ...limits }
  }

  /** Finds the end of what was written before. A last line that is not whole stays as it is, and a new file begins. */
  async open(): Promise<void> {
    await this.#files.makeFolder(this.#path)
    const names = await auditFiles(this.#files, this.#path)
    const number = names.length === 0 ? 1 : numberOf(names.at(-1)!)
    for (let at = names.length - 1; at >= 0 && this.last === noLine; at--) {
      const text = (await this.#files.read(join(this.#path, names[at]!))).toString()
      const whole = text.slice(0, text.lastIndexOf('\n') + 1)
      if (at === names.length - 1) this.#bytes = whole.length === text.length ? Buffer.byteLength(text) : this.#limits.fileBytesMax
      const line = whole.slice(0, -1).split('\n').at(-1)!
      if (whole !== '') this.last = hashOf(line)
    }
    this.#number = number
  }

  get isNew(): boolean {
    return this.#number === 0
  }

  /** Adds lines, whose last one has this hash. When it rejects nothing counts as written, and what comes next goes to a new file. */
  async add(lines: string, last: string): Promise<void> {
    if (this.#bytes >= this.#limits.fileBytesMax) await this.#next()
    try {
      await this.#files.append(join(this.#path, nameOf(this.#number)), Buffer.from(lines))
    } catch (error) {
      this.#bytes = this.#limits.fileBytesMax
      throw error
    }
    this.#bytes += Buffer.byteLength(lines)
    this.last = last
  }

  async #next(): Promise<void> {
    this.#number++
    this.#bytes = 0
    const names = await auditFiles(this.#files, this.#path)
    for (const name of names.slice(0, Math.max(0, names.length + 1 - this.#limits.filesMax)))
      await this.#files.remove(join(this.#path, name))
  }
}
