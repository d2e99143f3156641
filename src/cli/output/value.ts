// Owns how any value that can travel is written as JSON for people and programs, and read back. docs/cli.md publishes the convention.
// Must not lose anything: what JSON has no word for becomes an object with one key that begins with `$`.
import { CoxswainError } from '../../protocol/index.ts'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

function numberJson(value: number): Json {
  return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: Object.is(value, -0) ? '-0' : String(value) }
}

function bytesJson(value: ArrayBuffer | ArrayBufferView): Json {
  if (Buffer.isBuffer(value)) return { $buffer: value.toString('base64') }
  const view = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  const base64 = Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('base64')
  return { $bytes: [value.constructor.name, base64] }
}

function errorJson(error: Error, inner: (value: unknown) => Json): Json {
  const own = Object.entries(error).filter(([key]) => key !== 'name' && key !== 'message')
  const cause = error.cause === undefined ? {} : { cause: inner(error.cause) }
  return {
    $error: { name: error.name, message: error.message, ...cause, ...Object.fromEntries(own.map(([key, value]) => [key, inner(value)])) },
  }
}

function objectJson(value: object, inner: (value: unknown, step: string) => Json): Json {
  if (Array.isArray(value)) return Array.from(value, (item, at) => inner(item, `[${at}]`))
  if (value instanceof Map) return { $map: [...value].map(([key, item], at) => [inner(key, `.key(${at})`), inner(item, `.value(${at})`)]) }
  if (value instanceof Set) return { $set: [...value].map((item, at) => inner(item, `.item(${at})`)) }
  if (value instanceof Date) return { $date: Number.isNaN(value.getTime()) ? null : value.toISOString() }
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return bytesJson(value)
  if (value instanceof Error) return errorJson(value, item => inner(item, '.error'))
  const entries = Object.entries(value).map(([key, item]) => [key, inner(item, `.${key}`)] as const)
  const plain = Object.fromEntries(entries) as { [key: string]: Json }
  // An object of the user's own that looks like one of ours is wrapped, so that reading back is exact.
  return entries.length === 1 && entries[0]![0].startsWith('$') ? { $object: plain } : plain
}

/** A value as JSON. A part that contains itself becomes `{"$ref": path}` at the inner place. */
export function valueToJson(value: unknown): Json {
  const open = new Map<object, string>()
  const convert = (item: unknown, path: string): Json => {
    if (item === null || typeof item === 'string' || typeof item === 'boolean') return item
    if (item === undefined) return { $undefined: true }
    if (typeof item === 'number') return numberJson(item)
    if (typeof item === 'bigint') return { $bigint: String(item) }
    if (typeof item !== 'object') return { $text: String(item) }
    const above = open.get(item)
    if (above !== undefined) return { $ref: above }
    open.set(item, path)
    const json = objectJson(item, (inner, step) => convert(inner, path + step))
    open.delete(item)
    return json
  }
  return convert(value, '$')
}

const arrayKinds: Record<string, (bytes: ArrayBuffer) => unknown> = {
  ArrayBuffer: bytes => bytes,
  DataView: bytes => new DataView(bytes),
  Uint8Array: bytes => new Uint8Array(bytes),
  Uint8ClampedArray: bytes => new Uint8ClampedArray(bytes),
  Int8Array: bytes => new Int8Array(bytes),
  Uint16Array: bytes => new Uint16Array(bytes),
  Int16Array: bytes => new Int16Array(bytes),
  Uint32Array: bytes => new Uint32Array(bytes),
  Int32Array: bytes => new Int32Array(bytes),
  BigUint64Array: bytes => new BigUint64Array(bytes),
  BigInt64Array: bytes => new BigInt64Array(bytes),
  Float32Array: bytes => new Float32Array(bytes),
  Float64Array: bytes => new Float64Array(bytes),
}

const revivers: Record<string, (body: Json) => unknown> = {
  $undefined: () => undefined,
  $number: body => Number(body),
  $bigint: body => BigInt(body as string),
  $date: body => new Date(body === null ? Number.NaN : (body as string)),
  $buffer: body => Buffer.from(body as string, 'base64'),
  $bytes: body => {
    const [kind, base64] = body as [string, string]
    return arrayKinds[kind]!(new Uint8Array(Buffer.from(base64, 'base64')).buffer)
  },
  $map: body => new Map((body as [Json, Json][]).map(([key, item]) => [valueFromJson(key), valueFromJson(item)])),
  $set: body => new Set((body as Json[]).map(valueFromJson)),
  $object: body => plainFromJson(body as { [key: string]: Json }),
}

function plainFromJson(json: { [key: string]: Json }): unknown {
  return Object.fromEntries(Object.entries(json).map(([key, item]) => [key, valueFromJson(item)]))
}

/** The value that JSON in the convention of `valueToJson` stands for. */
export function valueFromJson(json: Json): unknown {
  if (Array.isArray(json)) return json.map(valueFromJson)
  if (typeof json !== 'object' || json === null) return json
  const keys = Object.keys(json)
  const reviver = keys.length === 1 && Object.hasOwn(revivers, keys[0]!) ? revivers[keys[0]!] : undefined
  if (!reviver) return plainFromJson(json)
  try {
    return reviver(json[keys[0]!]!)
  } catch (error) {
    throw new CoxswainError('USAGE', `${JSON.stringify(json).slice(0, 100)} is not a value: ${(error as Error).message}`)
  }
}

/** A value in JSON text. */
export function valueText(value: unknown, indent = 0): string {
  return JSON.stringify(valueToJson(value), undefined, indent)
}

/** The value in a JSON text; throws USAGE where it is not JSON. */
export function parseValue(text: string, whence: string): unknown {
  let json: Json
  try {
    json = JSON.parse(text) as Json
  } catch (error) {
    throw new CoxswainError('USAGE', `${whence} is not JSON: ${(error as Error).message}`)
  }
  return valueFromJson(json)
}
