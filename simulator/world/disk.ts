// Owns the disk of one node: what is synced survives the end of its process, what is not is lost with it.
// Must not be reached by another node.
import type { Files } from '../../src/platform/index.ts'
import type { Boot, Kernel } from '../kernel/kernel.ts'

const operationMs = 0.1
const syncMs = 0.8

function noSuchFile(path: string): Error {
  return Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: 'ENOENT' })
}

export class Disk {
  readonly #kernel: Kernel
  readonly #files = new Map<string, Buffer>()
  /** While true, writes fail as on a full disk. */
  full = false
  /** Told of each file that was written whole. */
  written: ((path: string, bytes: Buffer) => void) | undefined

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  /** What a process on this node sees. */
  files(boot: Boot): Files {
    return {
      read: path => this.#later(boot, operationMs, () => Buffer.from(this.#have(path))),
      writeSynced: (path, pieces) => {
        const bytes = Buffer.concat(pieces)
        return this.#later(boot, syncMs, () => this.#write(path, bytes))
      },
      append: (path, bytes) => {
        const copy = Buffer.from(bytes)
        return this.#later(boot, operationMs, () => this.#write(path, Buffer.concat([this.#files.get(path) ?? Buffer.alloc(0), copy])))
      },
      size: path => this.#later(boot, operationMs, () => this.#files.get(path)?.length),
      list: folder => this.#later(boot, operationMs, () => this.#list(folder)),
      remove: path =>
        this.#later(boot, operationMs, () => {
          for (const name of [...this.#files.keys()]) if (name === path || name.startsWith(`${path}/`)) this.#files.delete(name)
        }),
      makeFolder: () => this.#later(boot, operationMs, () => undefined),
    }
  }

  #have(path: string): Buffer {
    const found = this.#files.get(path)
    if (!found) throw noSuchFile(path)
    return found
  }

  #write(path: string, bytes: Buffer): void {
    if (this.full) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    this.#files.set(path, bytes)
    this.written?.(path, bytes)
  }

  #list(folder: string): string[] {
    return [...this.#files.keys()]
      .filter(path => path.startsWith(`${folder}/`))
      .map(path => path.slice(folder.length + 1))
      .filter(name => !name.includes('/'))
      .sort()
  }

  #later<T>(boot: Boot, meanMs: number, operate: () => T): Promise<T> {
    const delayMs = meanMs + this.#kernel.stream(`disk ${boot.node.name}`).exponential(meanMs)
    return new Promise((resolve, reject) => {
      this.#kernel.at(boot, delayMs, 'io', () => {
        try {
          resolve(operate())
        } catch (error) {
          reject(error)
        }
      })
    })
  }
}
