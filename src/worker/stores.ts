// Owns what a worker keeps on disk, as a whole: blocks, programs, logs, the highest epoch, executors' temporary folders.
// Must not be shared between workers.
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Platform } from '../platform/index.ts'
import { CoxswainError, type ProgramId } from '../protocol/index.ts'
import { BlockStore } from './blocks/store.ts'
import { LogStore } from './logs/store.ts'
import { EpochMemory } from './memory.ts'
import { Programs } from './programs.ts'

/** Files of compiled code, beyond which all of them go: they are made again when needed. */
const compiledFilesMax = 2_000

export class Stores {
  readonly folder: string
  /** Folders of executors, each removed after its end. */
  readonly temporary: string
  /** Compiled code of executors and programs: they start in a quarter of the time. It may be shared between workers. */
  readonly compiled: string
  readonly epochs: EpochMemory
  readonly programs: Programs
  readonly blocks: BlockStore
  readonly logs: LogStore

  constructor(
    { folder, compiled }: { folder: string; compiled?: string | undefined },
    platform: Platform,
    askProgram: (program: ProgramId) => Promise<Uint8Array | undefined>,
  ) {
    this.folder = folder
    this.temporary = join(folder, 'executors')
    this.compiled = compiled ?? join(folder, 'compiled')
    this.epochs = new EpochMemory(folder, platform.files)
    this.programs = new Programs(join(folder, 'programs'), platform, askProgram)
    this.blocks = new BlockStore(join(folder, 'blocks'), join(folder, 'copies'))
    this.logs = new LogStore(join(folder, 'logs'), platform.clock)
  }

  /** Makes the folders and removes what a former life left unfinished. Rejects with STATE_FOLDER_UNUSABLE. */
  async open(): Promise<void> {
    try {
      await mkdir(this.folder, { recursive: true, mode: 0o700 })
      await rm(this.temporary, { recursive: true, force: true })
      await mkdir(this.temporary, { mode: 0o700 })
      await this.epochs.open()
      await this.programs.open()
      await this.blocks.open()
      await this.logs.open()
      await this.#boundCompiled()
    } catch (error) {
      if (error instanceof CoxswainError) throw error
      throw new CoxswainError('STATE_FOLDER_UNUSABLE', `${this.folder} cannot be used: ${(error as Error).message}`, {
        id: this.folder,
        cause: error,
      })
    }
  }

  async #boundCompiled(): Promise<void> {
    try {
      await mkdir(this.compiled, { recursive: true, mode: 0o700 })
      const files = await readdir(this.compiled, { recursive: true })
      if (files.length > compiledFilesMax) await rm(this.compiled, { recursive: true, force: true })
    } catch {
      // Another worker removes it at this moment, or nothing can be kept there: executors only start more slowly.
    }
  }
}
