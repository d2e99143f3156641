// Owns the files that large payloads are in: writing, syncing, what is live in each, and which may go.
// Must not decide what is dropped; rows of the table `payload` are the truth, these files only hold their bytes.
import { closeSync, fdatasyncSync, openSync, readSync, statSync, writevSync } from 'node:fs'
import type { PayloadId } from '../../protocol/index.ts'
import { corruptPayload, payloadChecksum } from '../row.ts'
import { removeFile, segmentNumbers, segmentPath, syncFolder } from './files.ts'

/** A segment takes no more payloads above this size (one append may pass it). */
export const segmentBytesMax = 64 << 20

/** Payloads of an append that are together smaller than this go into SQLite, larger ones into a segment. */
export const segmentThresholdBytes = 256 << 10

/**
 * `compact` rewrites the live payloads of a segment of which less than this part is live. So after it, the segments take at most
 * (1 / this) × the live bytes, and one segment that is being filled.
 */
export const segmentLivePart = 1 / 8

/** Where a payload's bytes are. */
export interface Place {
  segment: number
  position: number
}

interface Segment {
  /** Size of the file. */
  bytes: number
  liveBytes: number
  livePayloads: number
}

/** Bytes of a payload in a segment, checked; undefined where the segment is gone. */
export function readFromSegment(folder: string, payload: PayloadId, place: Place, size: number, checksum: number): Uint8Array | undefined {
  let descriptor: number
  try {
    descriptor = openSync(segmentPath(folder, place.segment), 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const bytes = Buffer.allocUnsafeSlow(size)
    let got = 0
    while (got < size) {
      const read = readSync(descriptor, bytes, got, size - got, place.position + got)
      if (read === 0) throw corruptPayload(payload, `ends after ${got} of ${size} bytes in segment ${place.segment}`)
      got += read
    }
    if (payloadChecksum(bytes) !== checksum) throw corruptPayload(payload, `does not match its checksum in segment ${place.segment}`)
    return bytes
  } finally {
    closeSync(descriptor)
  }
}

/** The segments of a folder, for the one thread that writes them. */
export class Segments {
  readonly #folder: string
  readonly #kept = new Map<number, Segment>()
  #current: { number: number; descriptor: number } | undefined
  #next = 1
  #dirty = false

  constructor(folder: string) {
    this.#folder = folder
  }

  /**
   * Takes stock at the begin of a leadership: `live` is what the table names, per segment. Writing always begins in a new segment, behind no torn tail.
   * Files that no row names are of appends that were never acknowledged; they are removed and counted.
   */
  load(live: readonly { segment: number; bytes: number; payloads: number }[]): number {
    this.close()
    this.#kept.clear()
    this.#next = 1
    for (const { segment, bytes, payloads } of live) {
      const size = statSync(segmentPath(this.#folder, segment), { throwIfNoEntry: false })?.size ?? 0
      this.#kept.set(segment, { bytes: size, liveBytes: bytes, livePayloads: payloads })
      this.#next = Math.max(this.#next, segment + 1)
    }
    let removed = 0
    for (const number of segmentNumbers(this.#folder)) {
      this.#next = Math.max(this.#next, number + 1)
      if (!this.#kept.has(number) && removeFile(segmentPath(this.#folder, number))) removed++
    }
    return removed
  }

  /** Writes payloads one behind the other; they are durable after `sync`. */
  write(pieces: readonly Uint8Array[]): Place[] {
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
    const { number, descriptor } = this.#roomFor(bytes)
    const segment = this.#kept.get(number)!
    const places: Place[] = []
    let position = segment.bytes
    for (const piece of pieces) {
      places.push({ segment: number, position })
      position += piece.length
    }
    this.#dirty = true
    writeAll(descriptor, pieces, segment.bytes)
    segment.bytes = position
    segment.liveBytes += bytes
    segment.livePayloads += pieces.length
    return places
  }

  /** Makes everything written durable. An error here is final: a second sync would lie. */
  sync(): void {
    if (!this.#dirty || this.#current === undefined) return
    fdatasyncSync(this.#current.descriptor)
    this.#dirty = false
  }

  /** A payload is not named any more. */
  dropped(number: number, bytes: number): void {
    const segment = this.#kept.get(number)
    if (segment === undefined) return
    segment.liveBytes -= bytes
    segment.livePayloads--
  }

  /** Removes the files in which nothing is live. Only after the drops are durable. */
  removeEmpty(): void {
    for (const [number, segment] of this.#kept) {
      if (segment.livePayloads > 0 || number === this.#current?.number) continue
      removeFile(segmentPath(this.#folder, number))
      this.#kept.delete(number)
    }
  }

  /** Segments of which so little is live that it is better moved. */
  sparse(): number[] {
    return [...this.#kept]
      .filter(
        ([number, { bytes, liveBytes, livePayloads }]) =>
          number !== this.#current?.number && livePayloads > 0 && liveBytes < bytes * segmentLivePart,
      )
      .map(([number]) => number)
  }

  close(): void {
    if (this.#current !== undefined) closeSync(this.#current.descriptor)
    this.#current = undefined
    this.#dirty = false
  }

  #roomFor(bytes: number): { number: number; descriptor: number } {
    if (this.#current !== undefined) {
      const size = this.#kept.get(this.#current.number)!.bytes
      if (size === 0 || size + bytes <= segmentBytesMax) return this.#current
      this.sync()
      this.close()
    }
    const number = this.#next++
    const descriptor = openSync(segmentPath(this.#folder, number), 'wx', 0o600)
    this.#current = { number, descriptor }
    this.#kept.set(number, { bytes: 0, liveBytes: 0, livePayloads: 0 })
    syncFolder(this.#folder)
    return this.#current
  }
}

/** Pieces that one system call takes. */
const piecesMax = 512

function writeAll(descriptor: number, pieces: readonly Uint8Array[], position: number): void {
  let at = position
  for (let first = 0; first < pieces.length; first += piecesMax) {
    let rest = pieces.slice(first, first + piecesMax).filter(piece => piece.length > 0)
    while (rest.length > 0) {
      let written = writevSync(descriptor, rest, at)
      at += written
      while (rest.length > 0 && written >= rest[0]!.length) written -= rest.shift()!.length
      if (written > 0) rest = [rest[0]!.subarray(written), ...rest.slice(1)]
    }
  }
}
