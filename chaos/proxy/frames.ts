// Owns the cutting of a WebSocket connection's bytes, one direction of it, into its HTTP head and its frames (RFC 6455, 5.2).
// Must not change a byte, and must not hold more than one unfinished frame.

/** A piece of a direction that is passed on or not as a whole. */
export interface Piece {
  kind: 'head' | 'frame'
  bytes: Buffer
  /** Of a frame: 1 text, 2 binary, 8 close, 9 ping, 10 pong. Of the head: -1. */
  opcode: number
  /** Where the payload begins. */
  payloadStart: number
}

const headEnd = Buffer.from('\r\n\r\n')
const maskBit = 0x80
const opcodeBits = 0x0f
const lengthBits = 0x7f
const shortLength = 126
const longLength = 127
const maskBytes = 4

/** Length of a frame and where its payload begins; undefined while its header is not all there. */
function frameAt(bytes: Buffer): { length: number; payloadStart: number } | undefined {
  if (bytes.length < 2) return undefined
  const said = bytes[1]! & lengthBits
  const extra = said === shortLength ? 2 : said === longLength ? 8 : 0
  const payloadStart = 2 + extra + ((bytes[1]! & maskBit) !== 0 ? maskBytes : 0)
  if (bytes.length < payloadStart) return undefined
  const payload = extra === 0 ? said : extra === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
  return { length: payloadStart + payload, payloadStart }
}

/** Cuts one direction of one connection. */
export class Cutter {
  #rest: Buffer = Buffer.alloc(0)
  #headSeen = false

  /** The pieces that are whole with these bytes. */
  take(bytes: Buffer): Piece[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const pieces: Piece[] = []
    for (let piece = this.#next(); piece; piece = this.#next()) {
      pieces.push(piece)
      this.#rest = this.#rest.subarray(piece.bytes.length)
    }
    return pieces
  }

  /** Bytes that are not yet a whole piece. */
  get unfinished(): Buffer {
    return this.#rest
  }

  #next(): Piece | undefined {
    if (!this.#headSeen) {
      const end = this.#rest.indexOf(headEnd)
      if (end < 0) return undefined
      this.#headSeen = true
      return { kind: 'head', bytes: this.#rest.subarray(0, end + headEnd.length), opcode: -1, payloadStart: end + headEnd.length }
    }
    const frame = frameAt(this.#rest)
    if (!frame || this.#rest.length < frame.length) return undefined
    return {
      kind: 'frame',
      bytes: this.#rest.subarray(0, frame.length),
      opcode: this.#rest[0]! & opcodeBits,
      payloadStart: frame.payloadStart,
    }
  }
}

/** A copy of a frame with one bit of its payload changed; a mask changes nothing in that. The frame itself if it has no payload. */
export function flipped(piece: Piece, bit: number): Buffer {
  const bits = (piece.bytes.length - piece.payloadStart) * 8
  if (bits === 0) return piece.bytes
  const copy = Buffer.from(piece.bytes)
  const at = bit % bits
  copy[piece.payloadStart + (at >> 3)]! ^= 1 << (at & 7)
  return copy
}
