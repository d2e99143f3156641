// Holds the simulator's own reader of the journal to the product's: equal on every kind of record, and both see what was changed.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hashOf, kindsKnown, readRecords, Unreadable } from '../../simulator/checkers/reader.ts'
import { encodeManifest, payloadChecksum, rowHash } from '../../src/journal/row.ts'
import { decodeRecords, encodeRecords, type JournalRecord, record } from '../../src/protocol/index.ts'
import { arbitraryOf, samplesOf } from '../protocol/samples.ts'

const samples = samplesOf('record', record).map(([, sample]) => sample as JournalRecord)
const bytes = encodeRecords(samples)

/** What a reader makes of bytes; undefined where it refuses them. */
function outcome(read: () => JournalRecord[]): JournalRecord[] | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof Unreadable || (error as { code?: string }).code === 'FRAME_MALFORMED') return undefined
    throw error
  }
}

describe('the second reader', () => {
  it('knows every kind of record, and reads it as the product does', () => {
    assert.deepEqual([...kindsKnown].sort(), samples.map(one => one.kind).sort())
    assert.deepEqual(readRecords(bytes, samples.length), decodeRecords(bytes, samples.length))
  })

  it('reads the golden bytes of each record', () => {
    const golden = JSON.parse(readFileSync(new URL('../protocol/golden.json', import.meta.url), 'utf8')) as {
      bytes: Record<string, string>
    }
    for (const one of samples) assert.deepEqual(readRecords(Buffer.from(golden.bytes[`record.${one.kind}`]!, 'hex'), 1), [one])
  })

  it('reads any records as the product does', () => {
    const any = fc.array(arbitraryOf(record.shape) as fc.Arbitrary<JournalRecord>, { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(any, records => {
        const encoded = encodeRecords(records)
        assert.deepEqual(readRecords(encoded, records.length), decodeRecords(encoded, records.length))
      }),
      { seed: 4, numRuns: 300 },
    )
  })

  it('makes of each changed bit and each cut end what the product makes of it', () => {
    let refused = 0
    for (const one of samples) {
      const whole = encodeRecords([one])
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const changed = Buffer.from(whole)
        changed[bit >> 3]! ^= 1 << (bit & 7)
        const own = outcome(() => readRecords(changed, 1))
        if (own === undefined) refused++
        // Limits on sizes are the product's alone; no sample comes near them but by a changed bit of a length, which then claims too much.
        assert.deepEqual(
          own,
          outcome(() => decodeRecords(changed, 1)),
          `${one.kind}, bit ${bit}`,
        )
        assert.notDeepEqual(own, [one], `${one.kind}, bit ${bit}`)
      }
      for (let end = 0; end < whole.length; end++) assert.throws(() => readRecords(whole.subarray(0, end), 1), Unreadable)
      assert.throws(() => readRecords(Buffer.concat([whole, Buffer.of(0)]), 1), Unreadable)
    }
    assert.ok(refused > 0)
  })

  it('refuses numbers in more bytes than they need, and too large ones', () => {
    assert.deepEqual(readRecords(Buffer.from('02ffffffffffffff0f', 'hex'), 1), [{ kind: 'TimePassed', nowMs: Number.MAX_SAFE_INTEGER }])
    for (const hex of ['028000', '02ffffffffffffff1f', '02ffffffffffffffff01']) {
      assert.throws(() => readRecords(Buffer.from(hex, 'hex'), 1), Unreadable)
      assert.equal(
        outcome(() => decodeRecords(Buffer.from(hex, 'hex'), 1)),
        undefined,
      )
    }
  })
})

describe('the hash of a row', () => {
  const row = {
    ...{ firstIndex: 2 ** 33 + 7, count: samples.length, epoch: 3, records: bytes, previousHash: Buffer.alloc(32, 5) },
    payloads: new Map<number, Uint8Array>([
      [2 ** 32 + 1, Buffer.from('some')],
      [9, Buffer.from('other')],
    ]),
  }

  it('is what the product computes', () => {
    const manifest = encodeManifest(
      [...row.payloads].map(([payload, content]) => ({ payload, bytes: content.length, checksum: payloadChecksum(content) })),
    )
    assert.deepEqual(hashOf(row), Buffer.from(rowHash({ ...row, manifest })))
  })

  it('changes with every bit and every number', () => {
    const hash = hashOf(row)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      assert.notDeepEqual(hashOf({ ...row, records: changed }), hash)
    }
    const others = [
      { firstIndex: 8 },
      { count: 1 },
      { epoch: 4 },
      { previousHash: Buffer.alloc(32) },
      { payloads: new Map([...row.payloads].reverse()) },
      { payloads: new Map([[9, Buffer.from('other')]]) },
    ]
    for (const change of others) assert.notDeepEqual(hashOf({ ...row, ...change }), hash)
  })
})
