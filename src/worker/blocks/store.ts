// Owns the folder of blocks on a worker's disk: what is there, what comes in, what is dropped.
// Must not give a file the name of a block before all its bytes are there, checked and synced.
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlockId, CoxswainError } from '../../protocol/index.ts'
import { type Digest, newDigest } from './digest.ts'

const blockName = /^[0-9a-f]{64}$/
/** Copies of blocks that other workers hold: so many bytes are kept, least recently used go first. */
const copiesBytesMax = 2 * 2 ** 30
/** A block stored or renewed within this is not deleted. The leader waits longer than that from the last fact that named it. */
const youngMs = 10_000
const folderMode = 0o700

/** True for the name of a block. */
export function isBlockId(name: string): boolean {
  return blockName.test(name)
}

let serial = 0

/** Bytes that are hashed and written at once: sockets give 16 or 64 KiB at a time, and each write costs much the same. */
const batchBytes = 1 << 20

/** A block on its way in. Two batches take turns: while one is hashed and written, the next one fills. */
export class IncomingBlock {
  readonly #file: FileHandle
  readonly #temporary: string
  readonly #path: string
  readonly #block: BlockId
  readonly #digest: Digest
  readonly #folder: string
  #batch: Uint8Array | undefined
  #spare: Uint8Array | undefined
  #filled = 0
  #writing: Promise<void> = Promise.resolve()
  bytes = 0

  constructor(file: FileHandle, temporary: string, folder: string, block: BlockId, bytesExpected: number) {
    this.#digest = newDigest(bytesExpected)
    this.#file = file
    this.#temporary = temporary
    this.#folder = folder
    this.#block = block
    this.#path = join(folder, block)
  }

  /** Takes bytes. To wait is needed only where a promise is returned: then as much as may wait for the disk does. */
  write(piece: Uint8Array): Promise<void> | undefined {
    this.bytes += piece.length
    let taken = 0
    let full: Promise<void> | undefined
    while (taken < piece.length) {
      if (full) return full.then(() => this.#rest(piece.subarray(taken)))
      this.#batch ??= this.#spare ?? this.#digest.allocate(batchBytes)
      this.#spare = undefined
      const count = Math.min(batchBytes - this.#filled, piece.length - taken)
      this.#batch.set(piece.subarray(taken, taken + count), this.#filled)
      this.#filled += count
      taken += count
      if (this.#filled === batchBytes) full = this.#flush()
    }
    return full
  }

  #rest(piece: Uint8Array): Promise<void> | undefined {
    this.bytes -= piece.length
    return this.write(piece)
  }

  /** Begins to hash and to write the batch, once the one before it is through. */
  async #flush(): Promise<void> {
    const batch = this.#batch
    if (!batch || this.#filled === 0) return
    const bytes = batch.subarray(0, this.#filled)
    this.#batch = undefined
    this.#filled = 0
    await this.#writing
    this.#writing = Promise.all([this.#toDisk(bytes), this.#digest.update(bytes)]).then(() => {
      this.#spare = batch
    })
    // What went wrong is told to whoever waits for the next one.
    this.#writing.catch(() => undefined)
  }

  async #toDisk(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) at += (await this.#file.write(bytes, at, bytes.length - at)).bytesWritten
  }

  /** Gives it its name, synced. Throws BLOCK_CORRUPT if the bytes are not those that the name says. */
  async commit(): Promise<string> {
    await this.#flush()
    await this.#writing
    if ((await this.#digest.complete()) !== this.#block) {
      await this.abort()
      throw new CoxswainError('BLOCK_CORRUPT', `The bytes that came for block ${this.#block} do not have its hash.`, { id: this.#block })
    }
    await this.#file.datasync()
    await this.#file.close()
    await rename(this.#temporary, this.#path)
    const folder = await open(this.#folder, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
    return this.#path
  }

  /** Leaves no trace of it. */
  async abort(): Promise<void> {
    await this.#writing.catch(() => undefined)
    this.#digest.giveUp()
    await this.#file.close().catch(() => undefined)
    await rm(this.#temporary, { force: true })
  }
}

export class BlockStore {
  /** Blocks this worker answers for, and copies of others' that it may lose at any time. */
  readonly folder: string
  readonly #copies: string
  readonly #copySizes = new Map<BlockId, number>()
  #copiesBytes = 0

  constructor(folder: string, copies: string) {
    this.folder = folder
    this.#copies = copies
  }

  /** Makes the folders and removes what a former life left unfinished. */
  async open(): Promise<void> {
    await rm(this.#copies, { recursive: true, force: true })
    for (const folder of [this.folder, this.#copies]) await mkdir(folder, { recursive: true, mode: folderMode })
    for (const name of await readdir(this.folder)) if (name.endsWith('.tmp')) await rm(join(this.folder, name), { force: true })
  }

  /** Where an own block is, if it is here. */
  pathOf(block: BlockId): string {
    return join(this.folder, block)
  }

  /** Where an own block is, and its size; undefined if it is not here. */
  async find(block: BlockId): Promise<{ path: string; bytes: number } | undefined> {
    return this.#stat(join(this.folder, block))
  }

  /** Where a copy of another worker's block is. */
  async findCopy(block: BlockId): Promise<{ path: string; bytes: number } | undefined> {
    const known = this.#copySizes.get(block)
    if (known === undefined) return undefined
    // Used last: dropped last.
    this.#copySizes.delete(block)
    this.#copySizes.set(block, known)
    return this.#stat(join(this.#copies, block))
  }

  async #stat(path: string): Promise<{ path: string; bytes: number } | undefined> {
    try {
      const found = await stat(path)
      return found.isFile() ? { path, bytes: found.size } : undefined
    } catch {
      return undefined
    }
  }

  /** Begins to take in an own block, or a copy, of about so many bytes. */
  async receive(block: BlockId, copy: boolean, bytesExpected: number): Promise<IncomingBlock> {
    const folder = copy ? this.#copies : this.folder
    const temporary = join(folder, `${block}.${process.pid}.in${serial++}.tmp`)
    return new IncomingBlock(await open(temporary, 'wx', 0o600), temporary, folder, block, bytesExpected)
  }

  /** A copy is here now; older ones go where there are too many bytes of them. */
  async copied(block: BlockId, bytes: number): Promise<void> {
    this.#copiesBytes += bytes - (this.#copySizes.get(block) ?? 0)
    this.#copySizes.set(block, bytes)
    for (const [oldest, size] of this.#copySizes) {
      if (this.#copiesBytes <= copiesBytesMax || oldest === block) break
      this.#copySizes.delete(oldest)
      this.#copiesBytes -= size
      await rm(join(this.#copies, oldest), { force: true })
    }
  }

  async #young(block: BlockId): Promise<boolean> {
    try {
      const ageMs = Date.now() - (await stat(join(this.folder, block))).mtimeMs
      return ageMs < youngMs && ageMs > -youngMs
    } catch {
      return false
    }
  }

  /** The same bytes are to be stored again: as good as new from now on. False if they are not here. */
  async renew(block: BlockId): Promise<{ path: string; bytes: number } | undefined> {
    const now = new Date()
    try {
      await utimes(join(this.folder, block), now, now)
    } catch {
      return undefined
    }
    return this.find(block)
  }

  /** Removes own blocks and copies of them, but for those stored or renewed just now: the fact that names them is under way. */
  async drop(blocks: readonly BlockId[]): Promise<void> {
    for (const block of blocks) {
      if (!isBlockId(block) || (await this.#young(block))) continue
      await rm(join(this.folder, block), { force: true })
      const copy = this.#copySizes.get(block)
      if (copy === undefined) continue
      this.#copySizes.delete(block)
      this.#copiesBytes -= copy
      await rm(join(this.#copies, block), { force: true })
    }
  }
}
