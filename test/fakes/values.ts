// Owns chunks of values as tests, the simulator and the checks of traces write them. Must not know what they are for.
import { ChunkWriter, itemInline, writeValue } from '../../src/protocol/index.ts'

/** Values as a chunk of inline items. */
export function chunkOf(values: readonly unknown[]): Buffer {
  const chunk = new ChunkWriter()
  for (const value of values) {
    const writer = chunk.beginItem()
    writer.byte(itemInline)
    writeValue(writer, value)
    chunk.endItem()
  }
  return chunk.finish()
}
