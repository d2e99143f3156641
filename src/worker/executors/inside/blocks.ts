// Owns values that are too large to travel in a message: writing results as blocks, reading inputs from blocks.
// Must not name a block before its bytes are on disk.
import { createHash } from 'node:crypto'
import { closeSync, fdatasyncSync, fsyncSync, openSync, readSync, renameSync, rmSync, statSync, utimesSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type BlockReference, CoxswainError, encodeValue, limits } from '../../../protocol/index.ts'
import type { Link } from './link.ts'

/** How deep and how far a value is looked through for something large, before it is encoded. */
const lookDepth = 3
const lookFieldsMax = 64

/** True if the value holds binary data or text so large that it is bound to become a block. */
export function looksLarge(value: unknown, depth = lookDepth): boolean {
  if (typeof value === 'string') return value.length > limits.inlineBytesMax
  if (typeof value !== 'object' || value === null) return false
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength > limits.inlineBytesMax
  if (depth === 0) return false
  if (Array.isArray(value))
    return value.length > limits.inlineBytesMax || value.slice(0, lookFieldsMax).some(one => looksLarge(one, depth - 1))
  if (value instanceof Map || value instanceof Set) return value.size > limits.inlineBytesMax
  let looked = 0
  for (const key in value) {
    if (looked++ >= lookFieldsMax) break
    const field = Object.getOwnPropertyDescriptor(value, key)?.value
    if (field !== undefined && looksLarge(field, depth - 1)) return true
  }
  return false
}

/** Hashed and written at a time, so that it is still in the processor's cache when it is written. */
const pieceBytesMax = 1 << 20

let serial = 0

/** Writes a value as a block into the folder, synced; its hash and size. Throws VALUE_CANNOT_TRAVEL, or the system's error. */
export function storeBlock(folder: string, value: unknown): { block: string; bytes: number } {
  const pieces = encodeValue(value, 'result')
  const temporary = join(folder, `${process.pid}.${serial++}.tmp`)
  let block: string
  let bytes = 0
  try {
    const file = openSync(temporary, 'wx', 0o600)
    try {
      const hash = createHash('sha256')
      for (const piece of pieces) {
        for (let from = 0; from < piece.length; from += pieceBytesMax) {
          const part = piece.subarray(from, from + pieceBytesMax)
          hash.update(part)
          writeAll(file, part)
        }
        bytes += piece.length
      }
      block = hash.digest('hex')
      const there = join(folder, block)
      if (statSync(there, { throwIfNoEntry: false })?.size === bytes && renewed(there)) {
        rmSync(temporary)
        return { block, bytes }
      }
      fdatasyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, join(folder, block))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  syncFolder(folder)
  return { block, bytes }
}

/** Marks a block as stored just now, so that nobody deletes it; false if someone did. */
function renewed(path: string): boolean {
  const now = new Date()
  try {
    utimesSync(path, now, now)
    return true
  } catch {
    return false
  }
}

function writeAll(file: number, piece: Uint8Array): void {
  for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at, piece.length - at)
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** Bytes asked of the disk at a time: a single read is limited to 2 GiB. */
const readBytesMax = 1 << 28

function readWhole(path: string, size: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(size)
  const file = openSync(path, 'r')
  try {
    let at = 0
    while (at < size) {
      const got = readSync(file, bytes, at, Math.min(readBytesMax, size - at), at)
      if (got === 0) break
      at += got
    }
    return bytes.subarray(0, at)
  } finally {
    closeSync(file)
  }
}

type Answer = { path: string } | { code: string; message: string }

/** The blocks of inputs: those in the worker's folder, and those the agent is asked for. */
export class InputBlocks {
  readonly #folder: string
  readonly #link: Link
  readonly #asked = new Map<string, { promise: Promise<Answer>; resolve(answer: Answer): void }>()

  constructor(folder: string, link: Link) {
    this.#folder = folder
    this.#link = link
  }

  /** Asks the agent to have the block here soon, unless it is. */
  want(reference: BlockReference): void {
    if (statSync(join(this.#folder, reference.block), { throwIfNoEntry: false })?.size !== reference.bytes) void this.#ask(reference)
  }

  #ask(reference: BlockReference): Promise<Answer> {
    const known = this.#asked.get(reference.block)
    if (known) return known.promise
    const question = Promise.withResolvers<Answer>()
    this.#asked.set(reference.block, question)
    this.#link.send({ kind: 'needBlock', block: reference.block, bytes: reference.bytes, holder: reference.holder })
    return question.promise
  }

  /** The agent's answer. */
  answered(block: string, answer: Answer): void {
    this.#asked.get(block)?.resolve(answer)
    this.#asked.delete(block)
  }

  /** The block's bytes, checked against its hash. Throws BLOCK_LOST or BLOCK_CORRUPT. */
  async read(reference: BlockReference): Promise<Buffer> {
    const own = join(this.#folder, reference.block)
    let path = own
    if (statSync(own, { throwIfNoEntry: false })?.size !== reference.bytes) {
      const answer = await this.#ask(reference)
      if ('code' in answer)
        throw new CoxswainError(answer.code === 'BLOCK_CORRUPT' ? 'BLOCK_CORRUPT' : 'BLOCK_LOST', answer.message, { id: reference.block })
      path = answer.path
    }
    let bytes: Buffer
    try {
      bytes = readWhole(path, reference.bytes)
    } catch (error) {
      throw new CoxswainError('BLOCK_LOST', `Block ${reference.block} cannot be read: ${(error as Error).message}`, {
        id: reference.block,
        cause: error,
      })
    }
    if (createHash('sha256').update(bytes).digest('hex') === reference.block) return bytes
    // A copy of what another worker holds may be fetched again; the only one is left for people to look at.
    if (path !== own) rmSync(path, { force: true })
    throw new CoxswainError('BLOCK_CORRUPT', `Block ${reference.block} does not have its hash.`, { id: reference.block })
  }
}
