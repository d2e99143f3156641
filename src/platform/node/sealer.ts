// Owns encryption at rest: AES-256-GCM under keys derived anew by each process, with nonces that are counted, never drawn.
// Must not show a key: neither in an error nor in a property.
import { createCipheriv, createDecipheriv, createHash, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import { CoxswainError, isSealed, type Sealer, sealedMark, sealedParts } from '../../protocol/index.ts'

/** Bytes of a key. */
const keyBytes = 32
const cipherName = 'aes-256-gcm'
const nonceBytes = 12
const instanceBytes = 16
const keyLabel = 'coxswain key id'
const dataLabel = 'coxswain data key'
/** Pieces sealed under one derived key; then comes another. Far below what counted nonces could bear: the bound of random ones, for the margin. */
const piecesPerDataKeyMax = 2 ** 32
/** Derived keys that are kept to open with; each start of a leader made one. */
const dataKeysMax = 1024
/** A cipher takes less than 2 GiB at a time. */
const pieceBytesMax = 1 << 28

const keyAt = sealedParts.mark
const saltAt = keyAt + sealedParts.key
const counterAt = saltAt + sealedParts.salt
const headBytes = counterAt + sealedParts.counter

/** Several keys: the first seals, all open. */
export interface Keyring extends Sealer {
  /** The keys' ids in their order, 16 hex digits each. An id tells nothing about its key. */
  readonly keys: readonly string[]
}

function derive(key: KeyObject | Uint8Array, salt: Uint8Array, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, label, keyBytes))
}

/** The id of a key: of what is derived from it, so that it cannot be gone back from. */
function keyId(key: Uint8Array): string {
  const derived = derive(key, Buffer.alloc(0), keyLabel)
  return createHash('sha256').update(derived).digest().subarray(0, sealedParts.key).toString('hex')
}

/** Under which derived key is sealed now, and how often it was. */
interface DataKey {
  key: KeyObject
  /** Of each piece, up to the counter. */
  headStart: Buffer
  pieces: number
}

class NodeKeyring implements Keyring {
  readonly instance = randomBytes(instanceBytes).toString('hex')
  readonly #keys = new Map<string, KeyObject>()
  readonly #first: { id: string; key: KeyObject }
  readonly #piecesMax: number
  /** By key id and salt, as they stand in a head. */
  readonly #dataKeys = new Map<string, KeyObject>()
  #sealing: DataKey | undefined

  constructor(keys: readonly Uint8Array[], piecesMax: number) {
    this.#piecesMax = piecesMax
    for (const key of keys) {
      if (key.length !== keyBytes) throw unusable(`A key has ${keyBytes} bytes; one of these has ${key.length}`)
      if (key.every(byte => byte === key[0])) throw unusable('A key that is one byte over and over is no key')
      const id = keyId(key)
      if (this.#keys.has(id)) throw unusable(`The key ${id} is there twice`)
      this.#keys.set(id, createSecretKey(key))
    }
    const [first] = this.#keys
    if (first === undefined) throw unusable('There is no key')
    this.#first = { id: first[0], key: first[1] }
  }

  get keys(): readonly string[] {
    return [...this.#keys.keys()]
  }

  seal(bytes: Uint8Array, about: string): Uint8Array {
    const { key, headStart, counter } = this.#next()
    const head = Buffer.allocUnsafe(headBytes)
    head.set(headStart)
    head.writeBigUInt64BE(BigInt(counter), counterAt)
    const cipher = createCipheriv(cipherName, key, nonceOf(head), { authTagLength: sealedParts.tag })
    cipher.setAAD(head).setAAD(Buffer.from(about))
    const parts = [head, ...inPieces(bytes, piece => cipher.update(piece)), cipher.final()]
    return Buffer.concat([...parts, cipher.getAuthTag()])
  }

  open(sealed: Uint8Array, about: string): Uint8Array | undefined {
    if (!isSealed(sealed)) return undefined
    const whole = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
    const head = whole.subarray(0, headBytes)
    const tagAt = whole.length - sealedParts.tag
    const decipher = createDecipheriv(cipherName, this.#dataKey(head), nonceOf(head), { authTagLength: sealedParts.tag })
    decipher.setAAD(head).setAAD(Buffer.from(about)).setAuthTag(whole.subarray(tagAt))
    const parts = inPieces(whole.subarray(headBytes, tagAt), piece => decipher.update(piece))
    try {
      decipher.final()
    } catch {
      // The tag does not hold: nothing of what came out is anyone's to see.
      return undefined
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** A derived key, and a number that it was never used with. */
  #next(): { key: KeyObject; headStart: Buffer; counter: number } {
    if (this.#sealing === undefined || this.#sealing.pieces >= this.#piecesMax) {
      const { id, key } = this.#first
      const salt = randomBytes(sealedParts.salt)
      const headStart = Buffer.concat([sealedMark, Buffer.from(id, 'hex'), salt])
      this.#sealing = { key: createSecretKey(derive(key, salt, dataLabel)), headStart, pieces: 0 }
    }
    const { key, headStart } = this.#sealing
    return { key, headStart, counter: this.#sealing.pieces++ }
  }

  /** The derived key that a head names. Throws ENCRYPTION_KEY_WRONG. */
  #dataKey(head: Buffer): KeyObject {
    const name = head.toString('latin1', keyAt, counterAt)
    const known = this.#dataKeys.get(name)
    if (known !== undefined) return known
    const id = head.toString('hex', keyAt, saltAt)
    const key = this.#keys.get(id)
    if (key === undefined)
      throw new CoxswainError('ENCRYPTION_KEY_WRONG', `This was sealed under the key ${id}; here are ${this.keys.join(', ')}.`, { id })
    const made = createSecretKey(derive(key, head.subarray(saltAt, counterAt), dataLabel))
    this.#dataKeys.set(name, made)
    const [oldest] = this.#dataKeys.keys()
    if (this.#dataKeys.size > dataKeysMax) this.#dataKeys.delete(oldest!)
    return made
  }
}

/** The counter as it stands in a head, behind zeros. */
function nonceOf(head: Buffer): Buffer {
  const nonce = Buffer.alloc(nonceBytes)
  head.copy(nonce, nonceBytes - sealedParts.counter, counterAt)
  return nonce
}

function inPieces(bytes: Uint8Array, work: (piece: Uint8Array) => Buffer): Buffer[] {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length || at === 0; at += pieceBytesMax) parts.push(work(bytes.subarray(at, at + pieceBytesMax)))
  return parts
}

/** The error of keys that cannot be used. */
export function unusable(what: string, id?: string): CoxswainError {
  return new CoxswainError('ENCRYPTION_KEY_UNUSABLE', `${what}.`, id === undefined ? {} : { id })
}

/** A keyring of keys of 256 bits. Throws ENCRYPTION_KEY_UNUSABLE. `piecesMax`: how many pieces are sealed under one derived key. */
export function createKeyring(keys: readonly Uint8Array[], piecesMax: number = piecesPerDataKeyMax): Keyring {
  return new NodeKeyring(keys, piecesMax)
}
