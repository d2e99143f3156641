// Shows that messages of etcd go to bytes and come back exactly, and that bytes which are none are refused by a typed error and cost no memory.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { KeyValue } from '../../src/journal/etcd/api.ts'
import { GrpcError, MessageCutter, statusIn } from '../../src/journal/etcd/grpc-messages.ts'
import { decodeStatus, decodeToken, decodeWatch, encodeWatch } from '../../src/journal/etcd/member-messages.ts'
import { decodeLeaseTtl, decodeRange, decodeTransaction, encodeLeaseGrant, encodeTransaction } from '../../src/journal/etcd/messages.ts'
import { ProtobufError, ProtobufReader, ProtobufWriter } from '../../src/journal/etcd/protobuf.ts'
import { bare, rangeAnswer, tokenAnswer, transactionAnswer, watchAnswer } from './etcd-answers.ts'

const rows = fc.array(
  fc.record({
    key: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).map(key => `/c/${key}`),
    value: fc.uint8Array({ maxLength: 300 }),
    createRevision: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    modRevision: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    lease: fc.oneof(fc.constant(''), fc.bigInt({ min: 1n, max: (1n << 63n) - 1n }).map(String)),
  }),
  { maxLength: 5 },
)
const request = { compare: [], success: [{ put: { key: 'a', value: Buffer.from('b') } }, { put: { key: 'c', value: Buffer.from('d') } }] }

describe('primitive fields', () => {
  it('come back as they were written, however long', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), fc.string(), (number, long, text) => {
        const bytes = bare(writer => {
          writer.text(300, text)
          writer.decimal(17, String(long))
          writer.member(1, number)
        })
        const reader = new ProtobufReader(bytes)
        assert.equal(reader.field(), 1)
        assert.equal(reader.number(), number)
        if (long !== 0n) {
          assert.equal(reader.field(), 17)
          assert.equal(reader.decimal('signed'), String(long))
        }
        const wellFormed = Buffer.from(text).toString()
        if (wellFormed !== '') {
          assert.equal(reader.field(), 300)
          assert.equal(reader.text(), wellFormed)
        }
        assert.equal(reader.field(), 0)
      }),
    )
  })

  it('are the bytes of the format: of a lease as of a document of protocol buffers', () => {
    // LeaseGrantRequest { TTL: 150, ID: -1 }, worked out by hand.
    assert.equal(encodeLeaseGrant('-1', 150).toString('hex'), `${'000000000e'}${'089601'}${'10ffffffffffffffffff01'}`)
    const put = { put: { key: 'k', value: Buffer.from('v'), lease: '5' } }
    const compare = { key: 'k', target: 'mod', result: 'equal', revision: 0 } as const
    // Compare: target MOD, key, mod_revision 0 (there, because it is the member of a union); then the put.
    const wanted = `0a08${'1002'}${'1a022f6b'}${'3000'}${'120c'}${'120a'}${'0a022f6b'}${'120176'}${'1805'}`
      .replace('120a', '1209')
      .replace('120c', '120b')
    assert.equal(
      encodeTransaction('/', { compare: [compare], success: [put] })
        .subarray(5)
        .toString('hex'),
      wanted,
    )
  })

  it('that no number holds exactly are refused, not rounded', () => {
    for (const digits of ['9007199254740992', '-9007199254740992', '9223372036854775807']) {
      const reader = new ProtobufReader(bare(writer => writer.decimal(1, digits)))
      reader.field()
      assert.throws(() => reader.number(), ProtobufError)
    }
    const negative = new ProtobufReader(bare(writer => writer.decimal(1, '-3')))
    negative.field()
    assert.equal(negative.number(), -3)
    assert.throws(() => new ProtobufWriter().number(1, 2 ** 53), RangeError)
    assert.throws(() => new ProtobufWriter().number(1, -1), RangeError)
    assert.throws(() => new ProtobufWriter().number(1, 0.5), RangeError)
  })
})

describe('answers', () => {
  it('of ranges come back, keys without the prefix', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), fc.boolean(), (kept, revision, more) => {
        const answer = decodeRange('/c/', rangeAnswer(revision, kept, more))
        const wanted = kept.map(
          (row): KeyValue => ({ ...row, key: Buffer.from(row.key).toString().slice(3), value: Buffer.from(row.value) }),
        )
        assert.deepEqual(answer, { revision, rows: wanted, more, count: kept.length })
      }),
    )
  })

  it('of transactions must answer as many operations as were asked for', () => {
    assert.deepEqual(decodeTransaction('/', request, transactionAnswer(9, true, 2)), {
      revision: 9,
      succeeded: true,
      answers: [undefined, undefined],
    })
    assert.deepEqual(decodeTransaction('/', request, transactionAnswer(9, false, 0)), { revision: 9, succeeded: false, answers: [] })
    for (const [succeeded, puts] of [
      [true, 1],
      [true, 3],
      [false, 1],
      [true, 100_000],
    ] as const)
      assert.throws(() => decodeTransaction('/', request, transactionAnswer(9, succeeded, puts)), ProtobufError)
  })

  it('with keys of somebody else are refused', () => {
    const row = { key: '/other/x', value: Buffer.alloc(0), createRevision: 1, modRevision: 1, lease: '' }
    assert.throws(() => decodeRange('/c/', rangeAnswer(1, [row])), /not below \/c\//)
    assert.throws(() => decodeRange('/c/', rangeAnswer(1, [{ ...row, key: '/c/x', modRevision: 0 }])), /without a revision/)
  })

  it('of a watch tell kind, key and revision of each event', () => {
    const events = [
      { type: 'put', key: '/c/a', value: 'x', revision: 5 },
      { type: 'delete', key: '/c/b', revision: 6 },
    ] as const
    const message = decodeWatch('/c/', watchAnswer({ revision: 8, fragment: true, events }))
    assert.deepEqual(message, {
      ...{ revision: 8, created: false, cancelled: false, compactRevision: 0, cancelReason: '', fragment: true },
      events: [
        { type: 'put', key: 'a', value: Buffer.from('x'), modRevision: 5 },
        { type: 'delete', key: 'b', value: Buffer.alloc(0), modRevision: 6 },
      ],
    })
    assert.throws(
      () =>
        decodeWatch(
          '/c/',
          bare(writer => writer.message(11, () => writer.number(1, 1))),
        ),
      ProtobufError,
    )
  })
})

describe('hostile bytes', () => {
  const decoders: ((bytes: Buffer) => unknown)[] = [
    bytes => decodeRange('', bytes),
    bytes => decodeTransaction('', request, bytes),
    bytes => decodeWatch('', bytes),
    bytes => decodeStatus(bytes),
    bytes => decodeToken(bytes),
    bytes => decodeLeaseTtl(bytes),
  ]
  function refusedOrRead(bytes: Buffer): void {
    for (const decode of decoders) {
      try {
        decode(bytes)
      } catch (error) {
        assert.ok(error instanceof ProtobufError, String(error))
      }
    }
  }

  it('of any kind give a typed error or an answer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => refusedOrRead(Buffer.from(bytes))),
      { numRuns: 2000 },
    )
  })

  it('that were good ones, changed or cut off, give a typed error or an answer', () => {
    const good = [
      rangeAnswer(5, [{ key: 'abc', value: Buffer.alloc(40), createRevision: 3, modRevision: 4, lease: '77' }]),
      transactionAnswer(5, true, 2),
      watchAnswer({ created: true, cancelReason: 'why', events: [{ type: 'put', key: 'k', revision: 5 }] }),
      tokenAnswer('token'),
    ]
    fc.assert(
      fc.property(fc.constantFrom(...good), fc.nat(), fc.nat(255), fc.nat(), (bytes, at, byte, cut) => {
        const changed = Buffer.from(bytes)
        changed[at % changed.length] = byte
        refusedOrRead(changed.subarray(0, changed.length - (cut % 4)))
      }),
      { numRuns: 3000 },
    )
  })

  for (const [name, hex] of [
    ['ends within a number', '08ff'],
    ['has a number of eleven bytes', '08ffffffffffffffffffff01'],
    ['has a number above 64 bits', '08ffffffffffffffffff7f'],
    ['claims more bytes than there are', '0affffffff0f00'],
    ['has the field 0', '0000'],
    ['has a group', '0b0c'],
    ['has text that is not UTF-8', '1202c328'],
  ] as const) {
    it(`where the message ${name} are refused`, () => {
      assert.throws(() => decodeToken(Buffer.from(hex, 'hex')), ProtobufError)
    })
  }
})

describe('messages in a stream', () => {
  it('are the same however the network cuts them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 20 })),
        (sent, cuts) => {
          const heads = sent.map(message => Buffer.from([0, 0, 0, 0, message.length]))
          const bytes = Buffer.concat(sent.flatMap((message, at) => [heads[at]!, message]))
          const cutter = new MessageCutter(100)
          const got: Buffer[] = []
          for (let at = 0; at < bytes.length; ) {
            const end = at + cuts.next().value!
            got.push(...cutter.push(bytes.subarray(at, end)))
            at = end
          }
          assert.deepEqual(
            got.map(message => [...message]),
            sent.map(message => [...message]),
          )
          assert.equal(cutter.within, false)
        },
      ),
    )
  })

  it('that are compressed, or announce more than the limit, are refused at their head', () => {
    for (const head of [Buffer.from([1, 0, 0, 0, 1]), Buffer.from([0, 0, 0, 0, 101]), Buffer.from([0, 255, 255, 255, 255])])
      assert.throws(() => new MessageCutter(100).push(head), GrpcError)
  })

  it('end in a status whose words are unescaped where they can be', () => {
    assert.deepEqual(statusIn({ 'grpc-status': '14', 'grpc-message': 'no%20leader' }), { status: 14, message: 'no leader' })
    assert.deepEqual(statusIn({ 'grpc-status': '8', 'grpc-message': '100%' }), { status: 8, message: '100%' })
    assert.deepEqual(statusIn({ 'grpc-status': 'x' }), { status: 2, message: '' })
    assert.equal(statusIn({}), undefined)
  })

  it('ask for a watch in pieces, with word of progress, from a revision on', () => {
    // WatchCreateRequest: key, range_end, start_revision 300, progress_notify, fragment.
    assert.equal(encodeWatch('/', { key: 'a', end: 'b', from: 300 }).subarray(5).toString('hex'), '0a0f0a022f6112022f6218ac0220014001')
  })
})
