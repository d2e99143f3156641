// Shows that nothing that is decoded changes what objects are: names such as __proto__ and constructor arrive as names, or are refused.
import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import fc from 'fast-check'
import { CoxswainError, decodeMessage, decodeValue, encodeMessage, encodeValue } from '../../src/protocol/index.ts'
import { allCodecs, samplesOf } from './samples.ts'

const hostile = ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', '__defineGetter__', 'then', 'toJSON']

/** An object that holds this name itself, as JSON makes it. */
function withOwn(name: string, value: unknown): object {
  return Object.defineProperty({}, name, { value, enumerable: true, configurable: true, writable: true })
}

/** Everything that hangs on all objects. */
function ancestry(): string {
  return JSON.stringify([Object.prototype, Array.prototype, Map.prototype].map(one => Reflect.ownKeys(one).map(String)))
}

const clean = ancestry()
afterEach(() => {
  assert.equal(ancestry(), clean)
  assert.equal(Reflect.get({}, 'admin'), undefined)
})

const named = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>(true, 1, 'text', null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc
      .array(fc.tuple(fc.oneof(fc.constantFrom(...hostile, 'admin'), fc.string()), tie('value')), { maxLength: 4 })
      .map(fields => fields.reduce((object, [name, value]) => Object.assign(withOwn(name, value), withoutHeirs(object)), {} as object)),
  ),
})).value

/** The same fields, each defined anew, so that none of them sets a prototype. */
function withoutHeirs(object: object): object {
  return Object.hasOwn(object, '__proto__') ? {} : object
}

/** No object within has a prototype that is not one of the language's own. */
function plain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return true
  if (Array.isArray(value)) return value.every(plain)
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    (prototype === Object.prototype || prototype === null) &&
    Object.values(Object.getOwnPropertyDescriptors(value)).every(one => plain(one.value))
  )
}

describe('names that objects have a meaning for', () => {
  test('come back in values as fields of their own, on plain objects', () => {
    for (const name of hostile) {
      for (const value of [{ admin: true }, [1], 'text', null]) {
        const back = decodeValue(Buffer.concat(encodeValue({ rows: [withOwn(name, value)] }))) as { rows: object[] }
        const [row] = back.rows
        assert.ok(row && Object.hasOwn(row, name), name)
        assert.deepEqual(Object.getOwnPropertyDescriptor(row, name)?.value, value)
        assert.ok(plain(back), name)
      }
    }
  })

  test('any values built of them come back plain', () => {
    fc.assert(
      fc.property(named, value => {
        assert.ok(plain(decodeValue(Buffer.concat(encodeValue(value)))))
      }),
      { numRuns: 1000, seed: 20261127 },
    )
  })

  test('are texts like others in every text of every message and record', () => {
    for (const [name, codec] of allCodecs()) {
      for (const [path, sample] of samplesOf(name, codec)) {
        for (const word of hostile) {
          const renamed: unknown = JSON.parse(JSON.stringify(sample), (_key, value: unknown) =>
            typeof value === 'string' && value.startsWith('text ') ? word : value,
          )
          let frame: Uint8Array
          try {
            frame = encodeMessage(codec, revived(renamed, sample))
          } catch (error) {
            assert.ok(error instanceof CoxswainError, path)
            continue
          }
          assert.ok(plain(decodeMessage(codec, frame)), path)
        }
      }
    }
  })
})

/** What JSON cannot hold, bytes, is taken from the sample. */
function revived(value: unknown, sample: unknown): unknown {
  if (sample instanceof Uint8Array) return sample
  if (Array.isArray(sample)) return sample.map((item, index) => revived((value as unknown[])[index], item))
  if (typeof sample !== 'object' || sample === null) return sample === undefined ? undefined : value
  return Object.fromEntries(Object.entries(sample).map(([key, item]) => [key, revived((value as Record<string, unknown>)[key], item)]))
}
