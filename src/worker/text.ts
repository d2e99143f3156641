// Owns cutting text to a number of bytes. Must not know what the text is for.

/** The text, cut at a character's border so that it takes at most so many bytes in UTF-8. */
export function clipText(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text.isWellFormed() ? text : text.toWellFormed()
  const bytes = Buffer.from(text, 'utf8').subarray(0, bytesMax)
  let end = bytes.length
  // Step back over the continuation bytes of a character that was cut, and its first byte.
  while (end > 0 && (bytes[end - 1]! & 0xc0) === 0x80) end--
  if (end > 0 && bytes[end - 1]! >= 0xc0) {
    const size = bytes[end - 1]! >= 0xf0 ? 4 : bytes[end - 1]! >= 0xe0 ? 3 : 2
    end = end - 1 + size <= bytes.length ? end - 1 + size : end - 1
  }
  return bytes.toString('utf8', 0, end)
}
