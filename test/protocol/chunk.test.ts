// Shows that chunks come back item by item, that a part of a chunk is a chunk, and that malformed ones are refused.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Chunk, ChunkWriter, chunkCount, itemInline, readItem, Writer, writeBlockItem } from '../../src/protocol/index.ts'

const items = fc.array(
  fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
  { maxLength: 50 },
)

function chunkOf(list: readonly Uint8Array[]): Buffer {
  const writer = new ChunkWriter()
  for (const item of list) writer.add(item)
  return writer.finish()
}

function itemsOf(bytes: Uint8Array): Buffer[] {
  const chunk = new Chunk(bytes)
  return Array.from({ length: chunk.count }, (_, position) => Buffer.from(chunk.item(position)))
}

describe('chunk', () => {
  it('gives back its items', () => {
    fc.assert(
      fc.property(items, list => {
        const bytes = chunkOf(list)
        assert.equal(chunkCount(bytes), list.length)
        assert.deepEqual(itemsOf(bytes), list)
      }),
      { numRuns: 300, seed: 1 },
    )
  })

  it('a slice is the chunk of its items', () => {
    fc.assert(
      fc.property(items, fc.nat(60), fc.nat(60), (list, a, b) => {
        const from = Math.min(a, list.length)
        const count = Math.min(b, list.length - from)
        const slice = new Chunk(chunkOf(list)).slice(from, count)
        assert.deepEqual(slice, chunkOf(list.slice(from, from + count)))
        assert.deepEqual(itemsOf(slice), list.slice(from, from + count))
      }),
      { numRuns: 300, seed: 1 },
    )
  })

  it('the whole of a chunk is handed on without a copy', () => {
    const bytes = chunkOf([Buffer.from('a'), Buffer.from('b')])
    assert.equal(new Chunk(bytes).slice(0, 2).buffer, bytes.buffer)
  })

  it('a writer is empty after finish, and an item can be taken back', () => {
    const writer = new ChunkWriter()
    writer.add(Buffer.from('one'))
    writer.beginItem().raw(Buffer.from('half-writ'))
    writer.dropItem()
    const item = writer.beginItem()
    item.byte(itemInline)
    item.raw(Buffer.from('two'))
    writer.endItem()
    assert.equal(writer.count, 2)
    assert.deepEqual(itemsOf(writer.finish()).map(String), ['one', '\0two'])
    assert.deepEqual([writer.count, writer.bytes], [0, 0])
    assert.deepEqual(itemsOf(writer.finish()), [])
  })

  it('counts its bytes as it grows', () => {
    fc.assert(
      fc.property(items, list => {
        const writer = new ChunkWriter()
        for (const item of list) writer.add(item)
        const head = new Writer()
        head.varint(list.length)
        assert.equal(writer.bytes + head.length, chunkOf(list).length)
      }),
      { numRuns: 100, seed: 1 },
    )
  })

  for (const [what, bytes] of [
    ['no bytes', []],
    ['a count beyond the bytes', [200, 1]],
    ['a huge count', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['an item beyond the end', [1, 5, 65]],
    ['a length of 2^53 - 1', [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 65]],
    ['bytes behind the last item', [1, 1, 65, 66]],
    ['an empty chunk with a byte behind it', [0, 0]],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => new Chunk(Buffer.from(bytes)), { code: 'FRAME_MALFORMED' })
    })
  }

  it('refuses damaged bytes with a typed error, or reads them as another chunk', () => {
    fc.assert(
      fc.property(items, fc.nat(), fc.nat(255), (list, position, value) => {
        const bytes = chunkOf(list)
        bytes[position % bytes.length] = value
        try {
          const chunk = new Chunk(bytes)
          const total = Array.from({ length: chunk.count }, (_, at) => chunk.item(at).length).reduce((sum, length) => sum + length, 0)
          assert.ok(total <= bytes.length)
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'FRAME_MALFORMED')
        }
      }),
      { numRuns: 2000, seed: 1 },
    )
  })
})

describe('item', () => {
  it('is inline', () => {
    assert.deepEqual(readItem(Buffer.from([itemInline, 1, 2, 3])), { inline: Buffer.from([1, 2, 3]) })
  })

  it('names a block', () => {
    const writer = new Writer()
    const reference = { block: 'ab'.repeat(32), bytes: 5_000_000_000, holder: 'worker-1' }
    writeBlockItem(writer, reference)
    assert.deepEqual(readItem(writer.finish()), reference)
  })

  it('is refused where it is neither, or has bytes too many or too few', () => {
    const writer = new Writer()
    writeBlockItem(writer, { block: 'ab'.repeat(32), bytes: 1, holder: 'w' })
    const block = writer.finish()
    for (const bytes of [Buffer.from([]), Buffer.from([2, 0]), block.subarray(0, -1), Buffer.concat([block, block])])
      assert.throws(() => readItem(bytes), { code: 'FRAME_MALFORMED' })
  })
})
