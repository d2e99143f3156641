// Owns a store of objects in memory, which fails when a test says so. Must not keep anything over a test.

import { readFileSync } from 'node:fs'
import type { ObjectStore } from '../../src/platform/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'

const pieceBytes = 64 << 10

export class MemoryObjects implements ObjectStore {
  readonly content = new Map<string, Buffer>()
  /** Where reading began, each time. */
  readonly reads: number[] = []
  /** So many of the next requests fail. */
  failures = 0
  puts = 0
  /** Puts at the same time, at most. */
  most = 0
  /** Each put waits for this. */
  gate: Promise<void> = Promise.resolve()
  #underway = 0

  #try(): void {
    if (this.failures-- > 0) throw new CoxswainError('OBJECT_STORE_FAILED', 'the store is away')
  }

  async put(name: string, content: Uint8Array | { path: string; bytes: number }): Promise<boolean> {
    this.most = Math.max(this.most, ++this.#underway)
    try {
      await this.gate
      this.#try()
      this.puts++
      if (this.content.has(name)) return false
      this.content.set(name, 'path' in content ? readFileSync(content.path) : Buffer.from(content))
      return true
    } finally {
      this.#underway--
    }
  }

  async get(name: string, from = 0): Promise<{ bytes: number; pieces: AsyncIterable<Uint8Array> } | undefined> {
    this.#try()
    const found = this.content.get(name)
    if (!found) return undefined
    this.reads.push(from)
    async function* pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
      for (let at = from; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
    }
    return { bytes: found.length, pieces: pieces(found) }
  }

  async size(name: string): Promise<number | undefined> {
    this.#try()
    return this.content.get(name)?.length
  }

  async remove(name: string): Promise<void> {
    this.#try()
    this.content.delete(name)
  }

  async list(prefix: string): Promise<string[]> {
    return [...this.content.keys()].filter(name => name.startsWith(prefix)).sort()
  }

  close(): void {}
}
