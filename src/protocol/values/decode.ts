// Owns the way from bytes to a user's value: any bytes give a value or VALUE_MALFORMED, in time and memory linear in their length.
// Must not trust a claimed length, and must not let a key reach an object's prototype.
import { limits } from '../limits.ts'
import { Cursor } from './cursor.ts'
import { alignmentBytes, binaryKinds, errorClasses, errorFieldNames, errorFields, tags } from './tags.ts'

/** Binary parts up to this size are copied, so that a few bytes do not keep a whole frame alive; larger ones are views of it. */
const copyBytesMax = 16 << 10

/** Decodes one value from its bytes. */
export class Decoder extends Cursor {
  #depth = 0
  readonly #objects: unknown[] = []
  readonly #fill: ((hole: number) => unknown) | undefined

  /** With `fill` it is a template: what comes into its holes. */
  constructor(bytes: Uint8Array, from: number, end: number, fill?: (hole: number) => unknown) {
    super(bytes, from, end)
    this.#fill = fill
  }

  /** The value; throws VALUE_MALFORMED unless the bytes are exactly one. */
  decode(): unknown {
    const value = this.#value()
    if (this.position !== this.end) throw this.malformed('there are bytes behind the value')
    return value
  }

  #value(): unknown {
    const tag = this.byte()
    if (tag < 0x80) return tag
    if (tag < tags.smallArray) return this.#fields({}, tag - tags.smallObject)
    if (tag < tags.null) return this.#array(tag - tags.smallArray)
    switch (tag) {
      case tags.null:
        return null
      case tags.undefined:
        return undefined
      case tags.false:
        return false
      case tags.true:
        return true
      case tags.positive:
        return this.varint()
      case tags.negative:
        return -1 - this.varint()
      case tags.float64:
        return this.float64()
      case tags.text:
        return this.text()
      default:
        return this.#rare(tag)
    }
  }

  #rare(tag: number): unknown {
    switch (tag) {
      case tags.text16:
        return this.text16()
      case tags.array:
        return this.#array(this.count(1))
      case tags.object:
        return this.#fields({}, this.count(2))
      case tags.bareObject:
        return this.#fields(Object.create(null) as object, this.count(2))
      case tags.oddObject:
        return this.#oddFields(this.byte() === 0 ? {} : (Object.create(null) as object), this.count(2))
      case tags.map:
        return this.#map(this.count(2))
      case tags.set:
        return this.#set(this.count(1))
      case tags.date:
        return this.#keep(new Date(this.float64()))
      case tags.bigintPositive:
        return this.bigint()
      case tags.bigintNegative:
        return -this.bigint()
      case tags.binary:
        return this.#binary()
      case tags.error:
        return this.#error()
      case tags.reference:
        return this.#reference()
      case tags.hole:
        return this.#filled()
      default:
        throw this.malformed(`${tag} is no kind of value`)
    }
  }

  /** Gives an object its number. */
  #keep<T extends object>(object: T): T {
    this.#objects.push(object)
    return object
  }

  #enter(): void {
    if (++this.#depth > limits.valueDepthMax) throw this.malformed('it is nested too deeply')
  }

  #filled(): unknown {
    const hole = this.varint()
    if (!this.#fill) throw this.malformed('it is a template')
    return this.#fill(hole)
  }

  #reference(): unknown {
    const position = this.varint()
    if (position >= this.#objects.length) throw this.malformed('a reference points to nothing')
    return this.#objects[position]
  }

  #array(count: number): unknown[] {
    const array: unknown[] = []
    this.#objects.push(array)
    this.#enter()
    for (let i = 0; i < count; i++) array.push(this.#value())
    this.#depth--
    return array
  }

  #fields(object: object, count: number): object {
    this.#objects.push(object)
    this.#enter()
    for (let i = 0; i < count; i++) {
      const key = this.key()
      setField(object, key, this.#value())
    }
    this.#depth--
    return object
  }

  #oddFields(object: object, count: number): object {
    this.#keep(object)
    this.#enter()
    for (let i = 0; i < count; i++) {
      const key = this.#string()
      setField(object, key, this.#value())
    }
    this.#depth--
    return object
  }

  #string(): string {
    const text = this.#value()
    if (typeof text !== 'string') throw this.malformed('a key is no text')
    return text
  }

  #map(count: number): Map<unknown, unknown> {
    const map = this.#keep(new Map<unknown, unknown>())
    this.#enter()
    for (let i = 0; i < count; i++) {
      const key = this.#value()
      map.set(key, this.#value())
    }
    this.#depth--
    return map
  }

  #set(count: number): Set<unknown> {
    const set = this.#keep(new Set<unknown>())
    this.#enter()
    for (let i = 0; i < count; i++) set.add(this.#value())
    this.#depth--
    return set
  }

  #binary(): object {
    const kind = binaryKinds[this.byte()]
    if (!kind) throw this.malformed('it has an unknown kind of bytes')
    const length = this.varint()
    if (kind.elementBytes > 1) {
      if (length % kind.elementBytes !== 0) throw this.malformed(`a ${kind.name} has a broken length`)
      while ((this.position - this.start) % alignmentBytes !== 0) {
        if (this.byte() !== 0) throw this.malformed('the padding is not empty')
      }
    }
    const from = this.take(length)
    const buffer = this.bytes.buffer as ArrayBuffer
    const offset = this.bytes.byteOffset + from
    const inPlace =
      kind.name === 'ArrayBuffer' ? offset === 0 && length === buffer.byteLength : length > copyBytesMax && offset % kind.elementBytes === 0
    if (inPlace) return this.#keep(kind.make(buffer, offset, length))
    if (kind.name === 'Buffer') return this.#keep(Buffer.from(this.bytes.subarray(from, from + length)))
    return this.#keep(kind.make(buffer.slice(offset, offset + length), 0, length))
  }

  #error(): object {
    const errorClass = errorClasses[this.byte()]
    const present = this.byte()
    if (!errorClass || present >= 32) throw this.malformed('it has an unknown kind of error')
    const error = this.#keep(Reflect.construct(Error, [], errorClass) as object)
    this.#enter()
    // What was made here is replaced by what was sent, or is not there at all.
    defineField(error, 'stack', undefined, false)
    for (const field of errorFieldNames) {
      if (present & errorFields[field]) defineField(error, field, this.#value(), false)
    }
    const count = this.count(2)
    for (let i = 0; i < count; i++) {
      const key = this.#string()
      if (!Object.hasOwn(errorFields, key)) defineField(error, key, this.#value(), true)
      else throw this.malformed('a field of an error is there twice')
    }
    this.#depth--
    return error
  }
}

/** A field by assignment is fast; the one key that assignment would give to the prototype is defined instead. */
function setField(object: object, key: string, value: unknown): void {
  if (key !== '__proto__') (object as Record<string, unknown>)[key] = value
  else defineField(object, key, value, true)
}

function defineField(object: object, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(object, key, { value, writable: true, configurable: true, enumerable })
}
