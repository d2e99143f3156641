// Shows that sealed pieces have the form of docs/encryption.md, that no nonce comes twice, and that nothing changed or moved opens.
import assert from 'node:assert/strict'
import { randomBytes, webcrypto } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createKeyring } from '../../src/platform/node/sealer.ts'
import { CoxswainError, isSealed, sealedOverheadBytes, sealedParts, sealedUnder } from '../../src/protocol/index.ts'

const firstKey = Uint8Array.from({ length: 32 }, (_, at) => at)
/** Sealed under the first key by the first release that could, about `payload x 7`. */
const early =
  '00636f7873656101ac658cf92f5bf53c1ab22b7eeea3553e7623029cf57fc9e09787f5e723fa4fc12a4ad659154146dd0000000000000001f049c065e8bd127ffa2270bea5633513bfc367d31e3db932c8019d8db2bdd73c0d3dfdffe81b'

/** Opens a piece by another implementation than ours, from nothing but the description of its form. */
async function openByDescription(key: Uint8Array, sealed: Buffer, about: string): Promise<Buffer> {
  const hkdf = await webcrypto.subtle.importKey('raw', Buffer.from(key), 'HKDF', false, ['deriveKey'])
  const derivation = { name: 'HKDF', hash: 'SHA-256', salt: Buffer.from(sealed.subarray(16, 48)), info: Buffer.from('coxswain data key') }
  const dataKey = await webcrypto.subtle.deriveKey(derivation, hkdf, { name: 'AES-GCM', length: 256 }, false, ['decrypt'])
  const iv = Buffer.concat([Buffer.alloc(4), sealed.subarray(48, 56)])
  const additionalData = Buffer.concat([sealed.subarray(0, 56), Buffer.from(about)])
  return Buffer.from(await webcrypto.subtle.decrypt({ name: 'AES-GCM', iv, additionalData }, dataKey, Buffer.from(sealed.subarray(56))))
}

const saltAndCounter = (sealed: Uint8Array): { salt: string; counter: number } => ({
  salt: Buffer.from(sealed.subarray(16, 48)).toString('hex'),
  counter: Number(Buffer.from(sealed).readBigUInt64BE(48)),
})

describe('a sealed piece', () => {
  it('has the form that is described, so that others can open it', async () => {
    const sealed = Buffer.from(createKeyring([firstKey]).seal(Buffer.from('some bytes'), 'about them'))
    assert.deepEqual(await openByDescription(firstKey, sealed, 'about them'), Buffer.from('some bytes'))
    assert.equal(sealed.length, 'some bytes'.length + sealedOverheadBytes)
    assert.equal(
      Object.values<number>(sealedParts).reduce((a, b) => a + b),
      sealedOverheadBytes,
    )
  })

  it('of the first release is still opened', () => {
    const opened = createKeyring([randomBytes(32), firstKey]).open(Buffer.from(early, 'hex'), 'payload x 7')
    assert.deepEqual(Buffer.from(opened!).toString(), 'a piece of release 0.1')
    assert.equal(sealedUnder(Buffer.from(early, 'hex')), createKeyring([firstKey]).keys[0])
  })

  it('opens to what was sealed, of every size, and only about the same thing', () => {
    const ring = createKeyring([randomBytes(32)])
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), fc.string(), fc.string(), (bytes, about, other) => {
        const sealed = ring.seal(bytes, about)
        assert.ok(isSealed(sealed))
        assert.deepEqual(Uint8Array.from(ring.open(sealed, about)!), bytes)
        if (Buffer.compare(Buffer.from(about), Buffer.from(other)) !== 0) assert.equal(ring.open(sealed, other), undefined)
      }),
    )
    const large = randomBytes(3 << 20)
    assert.equal(Buffer.compare(ring.open(ring.seal(large, 'x'), 'x')!, large), 0)
  })

  it('does not open when a bit of it is another, wherever, or when it is shorter or longer', () => {
    const ring = createKeyring([firstKey])
    const sealed = ring.seal(Buffer.from('exactly these bytes'), 'x')
    for (let at = 0; at < sealed.length; at++) {
      for (const bit of [1, 128]) {
        const changed = Uint8Array.from(sealed)
        changed[at]! ^= bit
        const open = (): Uint8Array | undefined => ring.open(changed, 'x')
        // Another id is the id of another key, as far as one can see.
        if (at >= 8 && at < 16) assert.throws(open, { code: 'ENCRYPTION_KEY_WRONG' })
        else assert.equal(open(), undefined, `byte ${at}`)
      }
      assert.equal(ring.open(sealed.subarray(0, at), 'x'), undefined)
    }
    assert.equal(ring.open(Buffer.concat([sealed, Buffer.alloc(1)]), 'x'), undefined)
  })

  it('is opened from the middle of other bytes, and does not hold on to what it was made of', () => {
    const ring = createKeyring([firstKey])
    const bytes = Buffer.from('will be overwritten')
    const sealed = ring.seal(bytes, 'x')
    bytes.fill(0)
    const around = Buffer.concat([Buffer.alloc(13, 7), sealed, Buffer.alloc(5, 7)])
    assert.equal(Buffer.from(ring.open(around.subarray(13, -5), 'x')!).toString(), 'will be overwritten')
  })
})

describe('nonces', () => {
  it('are counted under a key of their own, and none comes twice', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 60 }), (piecesMax, who) => {
        // Three processes with the same key.
        const rings = [0, 1, 2].map(() => createKeyring([firstKey], piecesMax))
        const pieces = who.map(one => saltAndCounter(rings[one]!.seal(Buffer.from('same'), 'same')))
        assert.equal(new Set(pieces.map(({ salt, counter }) => `${salt} ${counter}`)).size, pieces.length)
        for (const { counter } of pieces) assert.ok(counter < piecesMax)
        for (const one of rings.keys()) {
          const own = pieces.filter((_, at) => who[at] === one)
          assert.deepEqual(
            own.map(({ counter }) => counter),
            own.map((_, at) => at % piecesMax),
          )
          assert.equal(new Set(own.map(({ salt }) => salt)).size, Math.ceil(own.length / piecesMax))
        }
      }),
    )
  })
})

describe('a keyring', () => {
  it('seals under the first key, opens under all, and names the one that it does not have', () => {
    const [one, two, three] = [randomBytes(32), randomBytes(32), randomBytes(32)]
    const old = createKeyring([one]).seal(Buffer.from('old'), 'x')
    const ring = createKeyring([two, one])
    assert.equal(Buffer.from(ring.open(old, 'x')!).toString(), 'old')
    const fresh = ring.seal(Buffer.from('new'), 'x')
    assert.equal(sealedUnder(fresh), ring.keys[0])
    assert.throws(
      () => createKeyring([three]).open(fresh, 'x'),
      (error: unknown) => {
        assert.ok(error instanceof CoxswainError)
        assert.deepEqual([error.code, error.id], ['ENCRYPTION_KEY_WRONG', ring.keys[0]])
        return true
      },
    )
  })

  it('opens what many starts of a leader have sealed', () => {
    const pieces = Array.from({ length: 1100 }, (_, at) => createKeyring([firstKey]).seal(Buffer.from(String(at)), 'x'))
    const ring = createKeyring([firstKey])
    for (const round of [1, 2])
      for (const [at, piece] of pieces.entries()) assert.equal(Buffer.from(ring.open(piece, 'x')!).toString(), String(at), `round ${round}`)
  })

  it('refuses keys that are none, and shows none of any', () => {
    const bad: Uint8Array[][] = [[], [randomBytes(31)], [randomBytes(33)], [new Uint8Array(32)], [firstKey, firstKey]]
    for (const keys of bad) assert.throws(() => createKeyring(keys), { code: 'ENCRYPTION_KEY_UNUSABLE' })
    const ring = createKeyring([firstKey])
    const shown = `${JSON.stringify(ring)} ${Object.values(ring).join(' ')} ${ring.keys.join(' ')}`
    assert.ok(!shown.includes(Buffer.from(firstKey.subarray(0, 4)).toString('hex')))
    assert.match(ring.keys[0]!, /^[0-9a-f]{16}$/)
    assert.notEqual(ring.instance, createKeyring([firstKey]).instance)
  })
})
