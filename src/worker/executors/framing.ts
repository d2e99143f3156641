// Owns how frames are told apart on a byte stream: a length of four bytes, lowest first, before each.
// Must not know what frames mean.
import { type Codec, CoxswainError, limits, Writer } from '../../protocol/index.ts'

const headBytes = 4
const frameBytesMax = limits.frameBytesMax

/** A message with its length before it, ready to be written. */
export function encodeFrame<T>(codec: Codec<T>, message: T, expectedBytes = 256): Buffer {
  const writer = new Writer(headBytes + expectedBytes)
  writer.raw(emptyHead)
  codec.write(writer, message)
  const frame = writer.view()
  frame.writeUInt32LE(frame.length - headBytes, 0)
  return frame
}

const emptyHead = new Uint8Array(headBytes)

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  #pieces: Buffer[] = []
  #bytes = 0
  #wanted = headBytes

  /** Takes in bytes and hands over each frame that is complete now. Throws FRAME_TOO_LARGE. */
  push(data: Buffer, handle: (frame: Buffer) => void): void {
    this.#pieces.push(data)
    this.#bytes += data.length
    if (this.#bytes < this.#wanted) return
    const whole = this.#pieces.length === 1 ? data : Buffer.concat(this.#pieces, this.#bytes)
    let position = 0
    this.#wanted = headBytes
    while (whole.length - position >= headBytes) {
      const length = whole.readUInt32LE(position)
      if (length > frameBytesMax)
        throw new CoxswainError('FRAME_TOO_LARGE', `A frame of ${length} bytes where ${frameBytesMax} are allowed.`)
      if (whole.length - position - headBytes < length) {
        this.#wanted = headBytes + length
        break
      }
      position += headBytes + length
      handle(whole.subarray(position - length, position))
    }
    this.#pieces = position === whole.length ? [] : [whole.subarray(position)]
    this.#bytes = whole.length - position
  }
}
