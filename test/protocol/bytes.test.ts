// Shows that primitive fields come back, that every limit is checked before memory is taken, and how ids are put together.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  CoxswainError,
  checkJobId,
  laneEpoch,
  laneId,
  laneText,
  list,
  Reader,
  string,
  taskText,
  union,
  varint,
  Writer,
} from '../../src/protocol/index.ts'

function written(write: (writer: Writer) => void): Buffer {
  const writer = new Writer(1)
  write(writer)
  return writer.finish()
}

describe('integers', () => {
  it('come back, in as few bytes as they need', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), value => {
        const bytes = written(writer => writer.varint(value))
        assert.equal(new Reader(bytes).varint(), value)
        assert.equal(bytes.length, Math.max(1, Math.ceil(value.toString(2).length / 7)))
      }),
      { numRuns: 1000, seed: 1 },
    )
  })

  for (const [what, bytes] of [
    ['2^53', [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]],
    ['nine groups', [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]],
    ['a group of zeros at its end', [0x81, 0x00]],
    ['an end that is missing', [0x80]],
  ] as const) {
    it(`refuse ${what}`, () => {
      assert.throws(() => new Reader(Buffer.from(bytes)).varint(), { code: 'FRAME_MALFORMED' })
    })
  }
})

describe('text', () => {
  it('comes back whatever it is made of', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), text => {
        const bytes = written(writer => writer.string(text))
        const reader = new Reader(bytes)
        assert.equal(reader.string(1000), text)
        reader.finish()
      }),
      { numRuns: 500, seed: 1 },
    )
  })

  it('is refused beyond its limit, beyond the end, and where it is not UTF-8', () => {
    const bytes = written(writer => writer.string('four'))
    assert.throws(() => new Reader(bytes).string(3), { code: 'FRAME_MALFORMED', message: /4 bytes where 3 are allowed/ })
    assert.throws(() => new Reader(bytes.subarray(0, 3)).string(10), { code: 'FRAME_MALFORMED' })
    assert.throws(() => new Reader(Buffer.from([2, 0xc3, 0x28])).string(10), { code: 'FRAME_MALFORMED', message: /UTF-8/ })
  })
})

describe('limits', () => {
  it('hold a claimed list against the bytes that are there', () => {
    const claim = written(writer => writer.varint(60_000))
    assert.throws(() => list(varint).read(new Reader(claim)), { code: 'FRAME_MALFORMED', message: /claims a list of 60000/ })
    const three = written(writer => list(varint).write(writer, [1, 2, 3]))
    assert.throws(() => list(varint, 2).read(new Reader(three)), { code: 'FRAME_MALFORMED' })
  })

  it('hold a string of a message to its own length', () => {
    assert.throws(() => string(2).read(new Reader(written(writer => writer.string('abc')))), { code: 'FRAME_MALFORMED' })
  })

  it('no two cases of a union have one number', () => {
    assert.throws(() => union({ a: [1, varint], b: [1, varint] }), /tag 1 is used twice/)
  })
})

describe('a writer', () => {
  it('gives memory above its bound back, and forgets what was written', () => {
    const writer = new Writer(16)
    writer.raw(Buffer.alloc(4096, 1))
    writer.reset(1024)
    assert.equal(writer.length, 0)
    writer.byte(7)
    assert.deepEqual(writer.finish(), Buffer.from([7]))
  })

  it('finish copies, view does not', () => {
    const writer = new Writer(16)
    writer.byte(1)
    const [copy, view] = [writer.finish(), writer.view()]
    writer.truncate(0)
    writer.byte(2)
    assert.deepEqual([copy[0], view[0]], [1, 2])
  })
})

describe('ids', () => {
  it('lanes of two epochs never meet', () => {
    assert.equal(laneEpoch(laneId(7, 2 ** 32 - 1)), 7)
    assert.ok(laneId(7, 2 ** 32 - 1) < laneId(8, 0))
    assert.equal(laneText(laneId(3, 41)), '3.41')
  })

  it('tasks are named by job and index, with the stage where there are several', () => {
    assert.equal(taskText('nightly', 0, 5), 'nightly/5')
    assert.equal(taskText('nightly', 2, 5, 3), 'nightly/2/5')
  })

  it('a job id is letters and digits of any script and a few signs', () => {
    for (const id of ['a', 'nightly-2026-11-23', '作业:1', 'user@host_1.x+y', 'é'.repeat(100)]) assert.equal(checkJobId(id), id)
    for (const id of ['', '-a', 'a b', 'a/b', 'a\n', '../x', 'é'.repeat(101), 5 as never]) {
      assert.throws(
        () => checkJobId(id),
        (error: unknown) => error instanceof CoxswainError && error.code === 'INVALID_ARGUMENT',
        JSON.stringify(id),
      )
    }
  })
})
