// Owns what a worker remembers over its lives: its cluster and the highest epoch it has seen.
// Must not let an epoch be obeyed before it is on disk.
import { join } from 'node:path'
import type { Files } from '../platform/index.ts'
import { CoxswainError } from '../protocol/index.ts'

const fileName = 'epoch.json'

export class EpochMemory {
  readonly #path: string
  readonly #files: Files
  #cluster = ''
  #epoch = 0

  constructor(folder: string, files: Files) {
    this.#path = join(folder, fileName)
    this.#files = files
  }

  /** Empty until it has been welcomed once. */
  get cluster(): string {
    return this.#cluster
  }

  get epoch(): number {
    return this.#epoch
  }

  /** Reads it back. Rejects with STATE_FOLDER_UNUSABLE if it cannot be read: an old leader could be obeyed. */
  async open(): Promise<void> {
    if ((await this.#files.size(this.#path)) === undefined) return
    const text = (await this.#files.read(this.#path)).toString()
    try {
      const { cluster, epoch } = JSON.parse(text)
      if (typeof cluster !== 'string' || !Number.isSafeInteger(epoch) || epoch < 0) throw new Error('it has other fields')
      this.#cluster = cluster
      this.#epoch = epoch
    } catch (error) {
      throw new CoxswainError('STATE_FOLDER_UNUSABLE', `${this.#path} is damaged: ${(error as Error).message}`, { id: this.#path })
    }
  }

  /** Remembers a higher epoch; resolves when that is on disk. */
  async raise(cluster: string, epoch: number): Promise<void> {
    if (epoch === this.#epoch && cluster === this.#cluster) return
    await this.#files.writeSynced(this.#path, [Buffer.from(`${JSON.stringify({ cluster, epoch })}\n`)])
    this.#cluster = cluster
    this.#epoch = epoch
  }
}
