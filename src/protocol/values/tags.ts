// Owns the bytes that tell the kinds of values apart, and the tables of binary and error classes. Append-only: never renumber.
// Must not encode or decode.
import { CoxswainError, OverloadedError, TaskFailedError } from '../errors.ts'

/** First byte of each value. 0 to 127 are these integers themselves. */
export const tags = {
  /** 128 to 143: an object with 0 to 15 fields. */
  smallObject: 0x80,
  /** 144 to 159: an array of 0 to 15 items. */
  smallArray: 0x90,
  null: 0xa0,
  undefined: 0xa1,
  false: 0xa2,
  true: 0xa3,
  /** An integer from 128 to 2^31 - 1. */
  positive: 0xa4,
  /** -1 - n, down to -2^31. */
  negative: 0xa5,
  float64: 0xa6,
  text: 0xa7,
  /** Text with lone surrogates, which UTF-8 cannot hold: UTF-16, low byte first. */
  text16: 0xa8,
  array: 0xa9,
  object: 0xaa,
  /** An object without a prototype. */
  bareObject: 0xab,
  /** An object whose keys are values, because one of them is no proper text. */
  oddObject: 0xac,
  map: 0xad,
  set: 0xae,
  date: 0xaf,
  bigintPositive: 0xb0,
  bigintNegative: 0xb1,
  binary: 0xb2,
  error: 0xb3,
  /** An object that was there before, by its number: objects are numbered in the order in which they begin. */
  reference: 0xb4,
  /** Only in a template: what another step gives comes here, by its number. */
  hole: 0xb5,
} as const

/** Fields or items up to this count have it in their tag. */
export const smallCountMax = 15

/** Large binary parts start at a multiple of this, counted from the value's first byte, so that they can be used in place. */
export const alignmentBytes = 8

/** How a binary value is made from bytes in place. */
export interface BinaryKind {
  name: string
  elementBytes: number
  make(buffer: ArrayBuffer, byteOffset: number, byteLength: number): object
}

type ViewConstructor = new (buffer: ArrayBuffer, byteOffset: number, length: number) => object

function typedArray(name: string, elementBytes: number): BinaryKind {
  // All of them are globals of every JavaScript that this runs on.
  const View = (globalThis as unknown as Record<string, ViewConstructor>)[name]!
  return { name, elementBytes, make: (buffer, byteOffset, byteLength) => new View(buffer, byteOffset, byteLength / elementBytes) }
}

/** All binary kinds; the position is what stands in the bytes. */
export const binaryKinds: readonly BinaryKind[] = [
  // An ArrayBuffer has no offset: the decoder hands over one that holds exactly these bytes.
  { name: 'ArrayBuffer', elementBytes: 1, make: buffer => buffer },
  { name: 'Buffer', elementBytes: 1, make: (buffer, byteOffset, byteLength) => Buffer.from(buffer, byteOffset, byteLength) },
  typedArray('DataView', 1),
  typedArray('Uint8Array', 1),
  typedArray('Uint8ClampedArray', 1),
  typedArray('Int8Array', 1),
  typedArray('Uint16Array', 2),
  typedArray('Int16Array', 2),
  typedArray('Uint32Array', 4),
  typedArray('Int32Array', 4),
  typedArray('Float32Array', 4),
  typedArray('Float64Array', 8),
  typedArray('BigInt64Array', 8),
  typedArray('BigUint64Array', 8),
  typedArray('Float16Array', 2),
]

/** Position in `binaryKinds` by name. */
export const binaryKindByName: ReadonlyMap<string, number> = new Map(binaryKinds.map((kind, position) => [kind.name, position]))

/** Error classes that come back as such; the position is what stands in the bytes. Any other error comes back as its nearest ancestor here. */
export const errorClasses: readonly ErrorConstructor[] = [
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  AggregateError,
  CoxswainError,
  OverloadedError,
  TaskFailedError,
] as unknown as readonly ErrorConstructor[]

/** Bits that say which of an error's own fields follow, in this order. */
export const errorFields = { name: 1, message: 2, stack: 4, cause: 8, errors: 16 } as const
/** The same fields in the order of the bytes. */
export const errorFieldNames = Object.keys(errorFields) as (keyof typeof errorFields)[]
