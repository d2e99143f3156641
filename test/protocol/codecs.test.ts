// Shows that every message and record there is comes back from its bytes as it went in, and that bytes that are none give a typed error.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  type Codec,
  CoxswainError,
  decodeMessage,
  decodeRecords,
  encodeMessage,
  encodeRecords,
  type JournalRecord,
  record,
} from '../../src/protocol/index.ts'
import { allCodecs, arbitraryOf, samplesOf } from './samples.ts'

const codecs = allCodecs()
/** Frames of the whole suite that are damaged and read. */
const mutantsAtLeast = 100_000
/** What reading a damaged frame may at most allocate beyond the frame: claims must be checked before memory is taken. */
const heapGrowthBytesMax = 64 << 20

/** The value in the bytes, or the code of the expected error; anything else is a failure of the test. */
function readOrRefuse(codec: Codec<unknown>, frame: Uint8Array): string {
  try {
    decodeMessage(codec, frame)
    return 'value'
  } catch (error) {
    if (error instanceof CoxswainError && error.code === 'FRAME_MALFORMED') return error.code
    throw error
  }
}

/** Numbers that follow from a seed (mulberry32): the same mutants each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Huge lengths and counts as varints, to be put where a length may stand. */
const claims = [
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
  [0x80, 0x80, 0x80, 0x80, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
].map(bytes => Buffer.from(bytes))

/** One of the ways in which bytes go wrong. */
function damage(frame: Buffer, next: (below: number) => number): Buffer {
  const at = next(frame.length + 1)
  switch (next(5)) {
    case 0: {
      const flipped = Buffer.from(frame)
      for (let flips = 1 + next(3); flips > 0 && flipped.length > 0; flips--) flipped[next(flipped.length)]! ^= 1 << next(8)
      return flipped
    }
    case 1:
      return frame.subarray(0, at)
    case 2:
      return Buffer.concat([frame.subarray(0, at), claims[next(claims.length)]!, frame.subarray(at)])
    case 3:
      return Buffer.concat([frame.subarray(0, at), claims[next(claims.length)]!, frame.subarray(Math.min(frame.length, at + 1))])
    default:
      return Buffer.concat([frame.subarray(0, at), frame.subarray(Math.min(frame.length, at + 1 + next(8)))])
  }
}

describe('codecs', () => {
  it('are all found', () => {
    const names = codecs.map(([name]) => name)
    for (const name of ['hello', 'welcome', 'clientToLeader', 'leaderToClient', 'workerToLeader', 'leaderToWorker', 'record', 'jobPlan'])
      assert.ok(names.includes(name), name)
  })

  for (const [name, codec] of codecs) {
    it(`${name}: decode after encode gives the same`, () => {
      fc.assert(
        fc.property(arbitraryOf(codec.shape), value => {
          const frame = encodeMessage(codec, value)
          const back = decodeMessage(codec, frame)
          assert.deepEqual(back, value)
          assert.deepEqual(encodeMessage(codec, back), frame)
        }),
        { numRuns: codec.shape.kind === 'union' ? 300 : 50, seed: 20261123 },
      )
    })
  }

  it('every case of every union is among the samples and comes back', () => {
    for (const [name, codec] of codecs) {
      for (const [path, sample] of samplesOf(name, codec))
        assert.deepEqual(decodeMessage(codec, encodeMessage(codec, sample)), sample, path)
    }
  })

  it('refuse damaged frames with FRAME_MALFORMED and nothing else', () => {
    const frames = codecs.flatMap(([name, codec]) =>
      samplesOf(name, codec).map(([path, sample]) => ({ path, codec, frame: encodeMessage(codec, sample) })),
    )
    const each = Math.ceil(mutantsAtLeast / frames.length)
    const next = numbers(20261123)
    const outcomes = new Map<string, number>()
    const before = process.memoryUsage()
    let peakBytes = 0
    for (const { path, codec, frame } of frames) {
      for (let mutant = 0; mutant < each; mutant++) {
        const damaged = damage(frame, next)
        try {
          const outcome = readOrRefuse(codec, damaged)
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        } catch (error) {
          throw new Error(`${path}, bytes ${damaged.toString('hex')}`, { cause: error })
        }
      }
      const { arrayBuffers, external } = process.memoryUsage()
      peakBytes = Math.max(peakBytes, arrayBuffers + external - before.arrayBuffers - before.external)
    }
    assert.ok((outcomes.get('value') ?? 0) + (outcomes.get('FRAME_MALFORMED') ?? 0) >= mutantsAtLeast)
    assert.ok((outcomes.get('FRAME_MALFORMED') ?? 0) > mutantsAtLeast / 3, 'the mutants are too tame')
    assert.ok(peakBytes < heapGrowthBytesMax, `buffers grew by ${peakBytes} bytes`)
  })

  it('refuse random bytes with FRAME_MALFORMED and nothing else', () => {
    fc.assert(
      fc.property(fc.constantFrom(...codecs), fc.uint8Array({ maxLength: 200 }), ([, codec], frame) => {
        readOrRefuse(codec, frame)
      }),
      { numRuns: 5000, seed: 20261123 },
    )
  })

  it('refuse a frame with bytes behind its end', () => {
    for (const [name, codec] of codecs) {
      const frame = encodeMessage(codec, samplesOf(name, codec)[0]![1])
      assert.throws(() => decodeMessage(codec, Buffer.concat([frame, Buffer.from([0])])), { code: 'FRAME_MALFORMED' }, name)
    }
  })
})

describe('records of one append', () => {
  const arbitrary = fc.array(arbitraryOf(record.shape) as fc.Arbitrary<JournalRecord>, { maxLength: 5 })

  it('come back in order', () => {
    fc.assert(
      fc.property(arbitrary, records => {
        assert.deepEqual(decodeRecords(encodeRecords(records), records.length), records)
      }),
      { numRuns: 200, seed: 20261123 },
    )
  })

  it('are refused where there are more or fewer than the count says', () => {
    const records: JournalRecord[] = [
      { kind: 'TimePassed', nowMs: 1 },
      { kind: 'TimePassed', nowMs: 2 },
    ]
    const bytes = encodeRecords(records)
    assert.throws(() => decodeRecords(bytes, 1), { code: 'FRAME_MALFORMED' })
    assert.throws(() => decodeRecords(bytes, 3), { code: 'FRAME_MALFORMED' })
  })
})
