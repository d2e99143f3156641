// Owns reading one file of the demo as text, or saying why it is none.
// Must not fail: every problem has a kind.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { fileBytesMax, type SkipKind } from './walk.ts'

const sniffBytes = 8192
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** A file's text and size, or why it is skipped. */
export type ReadText = { text: string; bytes: number } | { skipped: SkipKind }

function kindOf(error: unknown): SkipKind {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR' ? 'vanished' : 'unreadable'
}

function decode(bytes: Buffer): string | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return bytes.subarray(2, bytes.length & ~1).toString('utf16le')
  if (bytes.subarray(0, sniffBytes).includes(0)) return undefined
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

/** Reads a file that was a regular one when it was found; it may have changed since. */
export function readText(path: string): ReadText {
  let file: number
  try {
    // Without waiting and without following a link: something else may be in its place by now.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (error) {
    return { skipped: kindOf(error) }
  }
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) return { skipped: 'special' }
    if (stat.size > fileBytesMax) return { skipped: 'huge' }
    const bytes = Buffer.allocUnsafe(stat.size)
    let length = 0
    while (length < bytes.length) {
      const read = readSync(file, bytes, length, bytes.length - length, length)
      if (read === 0) break
      length += read
      // What begins like no text needs no further reading.
      if (length < bytes.length && bytes[0] !== 0xff && bytes.subarray(0, Math.min(length, sniffBytes)).includes(0))
        return { skipped: 'binary' }
    }
    const text = decode(bytes.subarray(0, length))
    return text === undefined ? { skipped: 'binary' } : { text, bytes: length }
  } catch (error) {
    return { skipped: kindOf(error) }
  } finally {
    closeSync(file)
  }
}
