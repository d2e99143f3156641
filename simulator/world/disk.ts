// Owns the disk of one node: what is synced survives the end of its process; of what is not, all or a part is lost with it.
// Must not be reached by another node.
import type { Files } from '../../src/platform/index.ts'
import type { Boot, Kernel } from '../kernel/kernel.ts'

const operationMs = 0.1
const syncMs = 0.8

function noSuchFile(path: string): Error {
  return Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: 'ENOENT' })
}

interface Write {
  boot: Boot
  path: string
  bytes: Buffer
}

export class Disk {
  readonly #kernel: Kernel
  readonly #files = new Map<string, Buffer>()
  /** Synced writes under way. */
  readonly #writes = new Set<Write>()
  /** Files with bytes at their end that nobody synced: who wrote them, and where they begin. */
  readonly #unsynced = new Map<string, { boot: Boot; from: number }>()
  /** Files that were left in part, and writes that came about, although their processes died. */
  torn = 0
  late = 0
  /** While true, writes fail as on a full disk. */
  full = false
  /** Told of each synced write that is under way, and for how long. */
  writing: ((boot: Boot, leftMs: number) => void) | undefined
  /** Told of each file that was written whole. */
  written: ((path: string, bytes: Buffer) => void) | undefined

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  /** What a process on this node sees. */
  files(boot: Boot): Files {
    this.#settle()
    return {
      read: path => this.#later(boot, operationMs, () => Buffer.from(this.#have(path))),
      writeSynced: (path, pieces) => {
        const write = { boot, path, bytes: Buffer.concat(pieces) }
        this.#writes.add(write)
        return this.#later(boot, syncMs, () => {
          this.#writes.delete(write)
          this.#write(path, write.bytes)
        })
      },
      append: (path, bytes) => {
        const copy = Buffer.from(bytes)
        return this.#later(boot, operationMs, () => {
          const before = this.#files.get(path) ?? Buffer.alloc(0)
          const from = this.#unsynced.get(path)?.from ?? before.length
          this.#write(path, Buffer.concat([before, copy]))
          this.#unsynced.set(path, { boot, from })
        })
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
    this.#unsynced.delete(path)
    this.written?.(path, bytes)
  }

  /** What the death of a process left: a write was done, or not, or in part in a file beside; of an unsynced end any part is there. */
  #settle(): void {
    const stream = this.#kernel.stream('torn')
    const part = (length: number): number => stream.whole(0, Math.max(0, length - 1))
    for (const write of [...this.#writes].filter(one => !one.boot.alive)) {
      this.#writes.delete(write)
      const toss = stream.number()
      if (this.full || toss < 0.3) continue
      if (toss < 0.6) {
        this.#write(write.path, write.bytes)
        this.late++
      } else this.#files.set(`${write.path}.${this.torn++}.tmp`, write.bytes.subarray(0, part(write.bytes.length)))
    }
    for (const [path, { from }] of [...this.#unsynced].filter(([, one]) => !one.boot.alive)) {
      const bytes = this.#files.get(path)
      this.#unsynced.delete(path)
      if (!bytes) continue
      this.#files.set(path, bytes.subarray(0, from + part(bytes.length - from)))
      this.torn++
    }
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
    if (meanMs === syncMs) this.writing?.(boot, delayMs)
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
