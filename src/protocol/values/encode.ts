// Owns the way from a user's value to bytes, and the refusal of what cannot travel, with the path to it.
// Must not know where the bytes go. State lives in an Encoder, because a getter or proxy may encode another value meanwhile.
import { Writer } from '../bytes.ts'
import { CoxswainError } from '../errors.ts'
import { limits } from '../limits.ts'
import { EntryStep, KeyStep, MemberStep, pathText, type Step } from './path.ts'
import { className, refused, tooLarge } from './refusal.ts'
import { Seen } from './seen.ts'
import { alignmentBytes, binaryKindByName, binaryKinds, errorClasses, errorFieldNames, errorFields, smallCountMax, tags } from './tags.ts'

/** Binary parts from this size on become segments of their own, not copied. */
const segmentBytesMin = 32 << 10
/** An array longer than this is looked at for holes, so that `new Array(4e9)` is refused instead of filling the memory. */
const sparseLengthMin = 1 << 25

/** Encodes one value at a time. */
export class Encoder {
  #writer = new Writer(0)
  /** Where in the writer the value begins; negative when earlier bytes were cut off as segments. */
  #origin = 0
  #segments: Uint8Array[] | undefined
  #bytesMax = 0
  readonly #path: Step[] = []
  #depth = 0
  readonly #seen = new Seen()
  readonly #hole: ((value: object) => number | undefined) | undefined

  /** With `hole` it makes templates: it says which objects only stand for something. */
  constructor(hole?: (value: object) => number | undefined) {
    this.#hole = hole
  }

  /**
   * Appends a value to `writer`; with `segments`, what was written is moved there together with large binary parts.
   * False, with anything written, if it takes more than `bytesMax` bytes.
   */
  encode(writer: Writer, value: unknown, root: string, segments?: Uint8Array[], bytesMax = Number.POSITIVE_INFINITY): boolean {
    this.#writer = writer
    this.#origin = writer.length
    this.#segments = segments
    this.#bytesMax = bytesMax
    try {
      this.#value(value)
      return writer.length - this.#origin <= bytesMax
    } catch (error) {
      if (error === tooLarge) return false
      if (error instanceof CoxswainError && error.code === 'VALUE_CANNOT_TRAVEL' && error.id === '') {
        throw this.#refusal(error.message, root, error.cause)
      }
      throw this.#refusal(`could not be read: ${String((error as Error | undefined)?.message ?? error)}`, root, error)
    } finally {
      this.#clear()
    }
  }

  #clear(): void {
    this.#seen.clear()
    this.#segments = undefined
    this.#depth = 0
  }

  #refusal(what: string, root: string, cause: unknown): CoxswainError {
    const path = pathText(root, this.#path, this.#depth)
    return new CoxswainError('VALUE_CANNOT_TRAVEL', `${path} ${what}.`, { id: path, cause })
  }

  #value(value: unknown): void {
    switch (typeof value) {
      case 'number':
        this.#number(value)
        break
      case 'string':
        this.#text(value)
        break
      case 'object':
        if (value === null) this.#writer.byte(tags.null)
        else this.#object(value)
        break
      case 'boolean':
        this.#writer.byte(value ? tags.true : tags.false)
        break
      case 'undefined':
        this.#writer.byte(tags.undefined)
        break
      case 'bigint':
        this.#bigint(value)
        break
      case 'function':
        throw refused(/^class\b/.test(Function.prototype.toString.call(value)) ? 'is a class' : 'is a function')
      default:
        throw refused('is a symbol')
    }
  }

  #number(value: number): void {
    const writer = this.#writer
    const whole = value | 0
    if (whole !== value || (whole === 0 && Object.is(value, -0))) {
      writer.byte(tags.float64)
      writer.float64(value)
    } else if (whole >= 0) {
      if (whole >= 0x80) writer.byte(tags.positive)
      writer.varint(whole)
    } else {
      writer.byte(tags.negative)
      writer.varint(-1 - whole)
    }
  }

  #text(value: string): void {
    const writer = this.#writer
    if (value.length > this.#bytesMax) throw tooLarge
    if (value.isWellFormed()) {
      writer.byte(tags.text)
      writer.string(value)
    } else {
      writer.byte(tags.text16)
      writer.bytes(Buffer.from(value, 'utf16le'))
    }
  }

  #bigint(value: bigint): void {
    this.#writer.byte(value < 0n ? tags.bigintNegative : tags.bigintPositive)
    const hex = (value < 0n ? -value : value).toString(16)
    this.#writer.bytes(Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex'))
  }

  #object(value: object): void {
    const hole = this.#hole?.(value)
    if (hole !== undefined) return this.#tagged(tags.hole, hole)
    const known = this.#seen.number(value)
    if (known >= 0) return this.#tagged(tags.reference, known)
    if (this.#depth >= limits.valueDepthMax) throw refused(`is nested deeper than ${limits.valueDepthMax} levels`)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype) this.#fields(value, 0)
    else if (Array.isArray(value)) this.#array(value)
    else if (prototype === null) this.#fields(value, tags.bareObject)
    else this.#special(value, prototype as object)
  }

  #tagged(tag: number, number: number): void {
    this.#writer.byte(tag)
    this.#writer.varint(number)
  }

  #array(value: readonly unknown[]): void {
    const writer = this.#writer
    const length = value.length
    if (length <= smallCountMax) writer.byte(tags.smallArray + length)
    else {
      if (length > sparseLengthMin && !(0 in value && length >> 1 in value && length - 1 in value))
        throw refused(`is a sparse array of length ${length}`)
      this.#tagged(tags.array, length)
    }
    const path = this.#path
    const depth = this.#depth++
    for (let i = 0; i < length; i++) {
      path[depth] = i
      this.#value(value[i])
    }
    this.#depth = depth
  }

  /** The own enumerable fields; `tag` 0 means an ordinary object. */
  #fields(value: object, tag: number): void {
    const writer = this.#writer
    const keys = Object.keys(value)
    let odd = false
    for (const key of keys) if (!key.isWellFormed()) odd = true
    if (odd) {
      writer.byte(tags.oddObject)
      writer.byte(tag === 0 ? 0 : 1)
      writer.varint(keys.length)
    } else if (tag === 0 && keys.length <= smallCountMax) writer.byte(tags.smallObject + keys.length)
    else {
      writer.byte(tag === 0 ? tags.object : tag)
      writer.varint(keys.length)
    }
    const path = this.#path
    const depth = this.#depth++
    for (const key of keys) {
      path[depth] = key
      if (odd) this.#text(key)
      else writer.string(key)
      this.#value((value as Record<string, unknown>)[key])
    }
    this.#depth = depth
  }

  #special(value: object, prototype: object): void {
    const name = className(prototype)
    const brand = Object.prototype.toString.call(value).slice(8, -1)
    if (ArrayBuffer.isView(value)) this.#view(value)
    else if (value instanceof Error || brand === 'Error') this.#error(value as Error)
    else if (name === 'Map' && brand === 'Map') this.#map(value as Map<unknown, unknown>)
    else if (name === 'Set' && brand === 'Set') this.#set(value as Set<unknown>)
    else if (name === 'Date' && brand === 'Date') this.#date(value as Date)
    else if (name === 'ArrayBuffer' && brand === 'ArrayBuffer')
      this.#bytes('ArrayBuffer', value as ArrayBuffer, 0, (value as ArrayBuffer).byteLength)
    // An ordinary object of another realm, such as a test runner's sandbox.
    else if (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')) this.#fields(value, 0)
    else if (brand === 'Promise') throw refused('is a Promise: did you forget to `await` it')
    else throw refused(`is an instance of ${name || 'a class without a name'}`)
  }

  #date(value: Date): void {
    this.#writer.byte(tags.date)
    this.#writer.float64(Date.prototype.getTime.call(value))
  }

  #map(value: Map<unknown, unknown>): void {
    const writer = this.#writer
    const size = value.size
    writer.byte(tags.map)
    writer.varint(size)
    const depth = this.#depth++
    let count = 0
    for (const [key, item] of value) {
      this.#path[depth] = new KeyStep(count++)
      this.#value(key)
      this.#path[depth] = new EntryStep(key)
      this.#value(item)
    }
    this.#depth = depth
    if (count !== size) throw refused('changed while it was read')
  }

  #set(value: Set<unknown>): void {
    const writer = this.#writer
    const size = value.size
    writer.byte(tags.set)
    writer.varint(size)
    const depth = this.#depth++
    let count = 0
    for (const item of value) {
      this.#path[depth] = new MemberStep(count++)
      this.#value(item)
    }
    this.#depth = depth
    if (count !== size) throw refused('changed while it was read')
  }

  #error(value: Error): void {
    const writer = this.#writer
    let position = errorClasses.length - 1
    while (position > 0 && !(value instanceof errorClasses[position]!)) position--
    // Any object can be asked for a field by name.
    const own = value as unknown as Record<string, unknown>
    let present = 0
    for (const field of errorFieldNames) {
      if (field === 'name' ? own['name'] !== errorClasses[position]!.prototype.name : Object.hasOwn(value, field))
        present |= errorFields[field]
    }
    writer.byte(tags.error)
    writer.byte(position)
    writer.byte(present)
    const depth = this.#depth++
    for (const field of errorFieldNames) {
      if (!(present & errorFields[field])) continue
      this.#path[depth] = field
      this.#value(own[field])
    }
    const keys = Object.keys(value).filter(key => !Object.hasOwn(errorFields, key))
    writer.varint(keys.length)
    for (const key of keys) {
      this.#path[depth] = key
      this.#text(key)
      this.#value(own[key])
    }
    this.#depth = depth
  }

  #view(value: ArrayBufferView): void {
    // Every view but a Buffer names its class by this tag, also that of another realm.
    const name = Buffer.isBuffer(value) ? 'Buffer' : (value as unknown as { [Symbol.toStringTag]: string })[Symbol.toStringTag]
    if (!binaryKindByName.has(name)) throw refused(`is a ${name}`)
    this.#bytes(name, value.buffer, value.byteOffset, value.byteLength)
  }

  #bytes(name: string, buffer: ArrayBufferLike, byteOffset: number, byteLength: number): void {
    if (buffer instanceof ArrayBuffer && buffer.detached) throw refused('is a buffer that was transferred away')
    if (byteLength > this.#bytesMax) throw tooLarge
    const writer = this.#writer
    const kind = binaryKindByName.get(name)!
    writer.byte(tags.binary)
    writer.byte(kind)
    writer.varint(byteLength)
    if (binaryKinds[kind]!.elementBytes > 1) {
      while ((writer.length - this.#origin) % alignmentBytes !== 0) writer.byte(0)
    }
    const bytes = new Uint8Array(buffer, byteOffset, byteLength)
    if (this.#segments === undefined || byteLength < segmentBytesMin) {
      writer.raw(bytes)
      return
    }
    this.#segments.push(writer.finish(), bytes)
    this.#origin -= writer.length + byteLength
    writer.reset()
  }
}
