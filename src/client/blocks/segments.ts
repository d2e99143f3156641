// Owns the choice when a large value's bytes are copied before they are sent. Must not send them.

/** Up to this size they are copied, so that their owner may change them as soon as the call has returned. */
export const copyBytesMax = 32 << 20

/** The size of all segments together. */
export function segmentsBytes(segments: readonly Uint8Array[]): number {
  return segments.reduce((sum, segment) => sum + segment.length, 0)
}

/** The segments, copied unless they are so large that memory counts more. */
export function copiedSegments(segments: readonly Uint8Array[]): readonly Uint8Array[] {
  return segmentsBytes(segments) > copyBytesMax ? segments : [Buffer.concat(segments)]
}
