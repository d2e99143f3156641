// Owns the memory that the leader's thread shares with the writer's: a ring of slots, and slabs in which appends are encoded.
// Must not wait: the writer does.
import { deserialize, serialize } from 'node:v8'
import type { PayloadId } from '../../protocol/index.ts'
import type { HistoryChange } from '../history.ts'
import type { Append, PayloadWrite } from '../journal.ts'

/** Slots of the ring; a power of two, above all that may be under way. */
const slotsMax = 512

/** Free slabs up to this size together are kept for reuse. */
const slabBytesKept = 24 << 20

const slabBytesMin = 64 << 10

/** What a slot asks for: an append in a slab, or a call that comes as a message. */
export const slotKind = { append: 1, call: 2 } as const

/** How an append in a slot ended. `failed` and `answered`: a message says more. */
export const slotStatus = { waiting: 0, durable: 1, fenced: 2, failed: 3, answered: 4 } as const

/** Numbers at the begin of an encoded append: epoch, first index, count, bytes of records, payloads, drops, bytes of the history's change. */
const headNumbers = 7

/** A free slab is taken for something smaller only down to this part of it. */
const slabUsePart = 1 / 8

/** So long the answering thread stays awake for what it was roused for: longer than a short turn takes, and nothing beside one that takes long. */
const awakeMs = 0.2

const headWords = 3
const slotWords = 3

/** The ring: `head` counts what was asked, `done` what was answered; both wrap. The third word is 1 while the asking thread stands still. */
export class Ring {
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array

  constructor(memory = new SharedArrayBuffer((headWords + slotsMax * slotWords) * 4)) {
    this.memory = memory
    this.#words = new Int32Array(memory)
  }

  get head(): number {
    return Atomics.load(this.#words, 0)
  }

  get done(): number {
    return Atomics.load(this.#words, 1)
  }

  #at(slot: number): number {
    return headWords + (slot & (slotsMax - 1)) * slotWords
  }

  /** Asks; gives the slot's number. The other thread sees what was written before. */
  ask(kind: number, slab: number): number {
    const slot = this.head
    const at = this.#at(slot)
    this.#words[at] = kind
    this.#words[at + 1] = slab
    this.#words[at + 2] = slotStatus.waiting
    Atomics.store(this.#words, 0, (slot + 1) | 0)
    Atomics.notify(this.#words, 0)
    return slot
  }

  kind(slot: number): number {
    return this.#words[this.#at(slot)]!
  }

  slab(slot: number): number {
    return this.#words[this.#at(slot) + 1]!
  }

  status(slot: number): number {
    return Atomics.load(this.#words, this.#at(slot) + 2)
  }

  /** Sets how a slot ended; `publish` shows it. */
  settle(slot: number, status: number): void {
    Atomics.store(this.#words, this.#at(slot) + 2, status)
  }

  /** Shows what is answered. True: the asking thread stood still for it, and needs no message. */
  publish(done: number): boolean {
    Atomics.store(this.#words, 1, done)
    if (Atomics.exchange(this.#words, 2, 0) === 0) return false
    Atomics.notify(this.#words, 1)
    return true
  }

  /** Stands still until more than `seen` is answered, at most so long. What is answered meanwhile comes without a message: it must be looked at. */
  standStill(seen: number, msMax: number): void {
    Atomics.store(this.#words, 2, 1)
    Atomics.wait(this.#words, 1, seen, msMax)
    Atomics.store(this.#words, 2, 0)
  }

  /** Wakes the answering thread: something will be asked in a moment. */
  rouse(): void {
    Atomics.notify(this.#words, 0)
  }

  /** Waits until the head is another than `seen`. Roused, it stays awake for a moment, so that it need not be woken when the head moves. */
  wait(seen: number): void {
    Atomics.wait(this.#words, 0, seen)
    const untilMs = performance.now() + awakeMs
    while (this.head === seen && performance.now() < untilMs);
  }
}

const noBytes = new Uint8Array(0)
const encodedChanges = new WeakMap<HistoryChange, Uint8Array>()

/** A change of the history in bytes, made once: its size is asked for before they are written. */
function changeBytes(change: HistoryChange | undefined): Uint8Array {
  if (change === undefined) return noBytes
  const bytes = encodedChanges.get(change) ?? serialize(change)
  encodedChanges.set(change, bytes)
  return bytes
}

/** Bytes that an append takes in a slab. */
export function appendBytes({ records, payloads, drops, history }: Append): number {
  let bytes = (headNumbers + payloads.length * 2 + drops.length) * 8 + records.length + changeBytes(history).length
  for (const payload of payloads) bytes += payload.bytes.length
  return bytes
}

/** Writes an append into a slab: numbers first, then records, payloads and the history's change one behind the other. */
export function encodeAppend(slab: SharedArrayBuffer, { epoch, firstIndex, count, records, payloads, drops, history }: Append): void {
  const change = changeBytes(history)
  const numbers = new Float64Array(slab, 0, headNumbers + payloads.length * 2 + drops.length)
  numbers[0] = epoch
  numbers[1] = firstIndex
  numbers[2] = count
  numbers[3] = records.length
  numbers[4] = payloads.length
  numbers[5] = drops.length
  numbers[6] = change.length
  let at = headNumbers
  for (const { payload, bytes } of payloads) {
    numbers[at++] = payload
    numbers[at++] = bytes.length
  }
  for (const payload of drops) numbers[at++] = payload
  const room = new Uint8Array(slab, at * 8)
  room.set(records, 0)
  let offset = records.length
  for (const { bytes } of payloads) {
    room.set(bytes, offset)
    offset += bytes.length
  }
  room.set(change, offset)
}

/** An append out of a slab; its bytes are views that are good until the slot is answered. */
export function decodeAppend(slab: SharedArrayBuffer): Append {
  const head = new Float64Array(slab, 0, headNumbers)
  const recordsBytes = head[3]!
  const payloadCount = head[4]!
  const numbers = new Float64Array(slab, headNumbers * 8, payloadCount * 2 + head[5]!)
  let offset = (headNumbers + numbers.length) * 8
  const records = new Uint8Array(slab, offset, recordsBytes)
  offset += recordsBytes
  const payloads: PayloadWrite[] = []
  for (let i = 0; i < payloadCount; i++) {
    const bytes = numbers[i * 2 + 1]!
    payloads.push({ payload: numbers[i * 2]!, bytes: new Uint8Array(slab, offset, bytes) })
    offset += bytes
  }
  const drops: PayloadId[] = [...numbers.subarray(payloadCount * 2)]
  // Copied: what is made of shared memory cannot be read as this is.
  const change = head[6]! > 0 ? Buffer.from(new Uint8Array(slab, offset, head[6]!)) : undefined
  const history: HistoryChange | undefined = change && deserialize(change)
  return { epoch: head[0]!, firstIndex: head[1]!, count: head[2]!, records, payloads, drops, history }
}

/** The slabs as the leader's thread owns them. */
export class SlabPool {
  readonly #announce: (slab: number, memory: SharedArrayBuffer | undefined) => void
  readonly #memory = new Map<number, SharedArrayBuffer>()
  #free: number[] = []
  #freeBytes = 0
  #next = 0

  /** `announce` tells the other thread of a new slab, or with `undefined` that one is gone. */
  constructor(announce: (slab: number, memory: SharedArrayBuffer | undefined) => void) {
    this.#announce = announce
  }

  /** A slab of at least this size. */
  take(bytes: number): { slab: number; memory: SharedArrayBuffer } {
    let best = -1
    for (let i = 0; i < this.#free.length; i++) {
      const size = this.#memory.get(this.#free[i]!)!.byteLength
      if (size > slabBytesMin && bytes < size * slabUsePart) continue
      if (size >= bytes && (best < 0 || size < this.#memory.get(this.#free[best]!)!.byteLength)) best = i
    }
    if (best >= 0) {
      const slab = this.#free.splice(best, 1)[0]!
      const memory = this.#memory.get(slab)!
      this.#freeBytes -= memory.byteLength
      return { slab, memory }
    }
    const slab = this.#next++
    const memory = new SharedArrayBuffer(Math.max(slabBytesMin, 2 ** Math.ceil(Math.log2(bytes))))
    this.#memory.set(slab, memory)
    this.#announce(slab, memory)
    return { slab, memory }
  }

  /** Gives a slab back. */
  release(slab: number): void {
    this.#free.push(slab)
    this.#freeBytes += this.#memory.get(slab)!.byteLength
    while (this.#freeBytes > slabBytesKept) this.#forgetLargest()
  }

  #forgetLargest(): void {
    const bytes = (slab: number) => this.#memory.get(slab)!.byteLength
    const largest = this.#free.reduce((one, other) => (bytes(other) > bytes(one) ? other : one))
    this.#free = this.#free.filter(slab => slab !== largest)
    this.#freeBytes -= bytes(largest)
    this.#memory.delete(largest)
    this.#announce(largest, undefined)
  }
}
