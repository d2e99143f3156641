// Owns the programs on a worker's disk: fetched once, checked by their hash, bounded in number.
// Must not hand out a file whose hash it has not checked in this life.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Platform } from '../platform/index.ts'
import { CoxswainError, type ProgramId } from '../protocol/index.ts'
import type { Failure } from './machine/index.ts'

/** Programs kept on disk; the least recently used go first. */
const programsMax = 64
/** How often a disk that refuses is tried, and the pause after the first time; it grows by as much each time. */
const diskTriesMax = 3
const diskPauseMs = 250

export class Programs {
  readonly #folder: string
  readonly #platform: Platform
  readonly #fetch: (program: ProgramId) => Promise<Uint8Array | undefined>
  /** Programs checked in this life, least recently used first. */
  readonly #checked = new Set<ProgramId>()

  /** `fetch` asks the leader; undefined: there is no such program. */
  constructor(folder: string, platform: Platform, fetch: (program: ProgramId) => Promise<Uint8Array | undefined>) {
    this.#folder = folder
    this.#platform = platform
    this.#fetch = fetch
  }

  async open(): Promise<void> {
    await this.#platform.files.makeFolder(this.#folder)
    for (const name of await this.#platform.files.list(this.#folder)) {
      if (name.endsWith('.tmp')) await this.#platform.files.remove(join(this.#folder, name))
    }
  }

  path(program: ProgramId): string {
    return join(this.#folder, `${program}.mjs`)
  }

  /**
   * Has the program on disk, or says why its tasks fail here. Where the disk refuses it is tried a few times: given up at once, this worker would
   * draw all tasks to itself, one after the other, and fail each.
   */
  async obtain(program: ProgramId): Promise<Failure | undefined> {
    for (let tries = 1; ; tries++) {
      try {
        await this.provide(program)
        return undefined
      } catch (error) {
        const message = (error as Error).message.slice(0, 1000)
        if (error instanceof CoxswainError) return { code: error.code, message, stack: '', retryable: error.code === 'PROGRAM_MISSING' }
        this.#platform.log('warn', 'program-not-kept', { program, tries, message })
        if (tries === diskTriesMax)
          return { code: 'WORKER_DISK_FAILED', message: `The worker cannot keep the program: ${message}`, stack: '', retryable: true }
        await new Promise<void>(resolve => this.#platform.clock.timer(diskPauseMs * tries, resolve))
      }
    }
  }

  /** Has the program on disk. Rejects with PROGRAM_MISSING or PROGRAM_LOAD_FAILED, and with what the disk says. */
  async provide(program: ProgramId): Promise<void> {
    const known = this.#checked.delete(program) || (await this.#onDisk(program))
    if (!known) {
      const bytes = await this.#fetch(program)
      if (!bytes) throw new CoxswainError('PROGRAM_MISSING', `The cluster does not know program ${program}.`, { id: program })
      if (hashOf(bytes) !== program) {
        throw new CoxswainError('PROGRAM_LOAD_FAILED', `The bytes that came for program ${program} do not have its hash.`, { id: program })
      }
      await this.#platform.files.writeSynced(this.path(program), [bytes])
    }
    this.#checked.add(program)
    await this.#shrink()
  }

  async #onDisk(program: ProgramId): Promise<boolean> {
    if ((await this.#platform.files.size(this.path(program))) === undefined) return false
    return hashOf(await this.#platform.files.read(this.path(program))) === program
  }

  async #shrink(): Promise<void> {
    const names = await this.#platform.files.list(this.#folder)
    if (names.length <= programsMax) return
    const inUse = new Set([...this.#checked].slice(-programsMax).map(program => `${program}.mjs`))
    for (const name of names) {
      if (inUse.has(name)) continue
      await this.#platform.files.remove(join(this.#folder, name))
    }
    for (const program of [...this.#checked].slice(0, -programsMax)) this.#checked.delete(program)
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
