// Owns the tests of the JSON convention for values that JSON has no word for.
// Must not start processes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseValue, valueText, valueToJson } from '../../src/cli/output/value.ts'
import { CoxswainError } from '../../src/protocol/index.ts'

function back(value: unknown): unknown {
  return parseValue(valueText(value), 'test')
}

test('plain JSON stays as it is', () => {
  const value = { a: [1, 'two', null, true, { b: -0.5 }], 数据: '值' }
  assert.deepEqual(valueToJson(value), value)
})

test('what JSON has no word for has one key that begins with $', () => {
  assert.deepEqual(valueToJson(new Map([['a', 1n]])), { $map: [['a', { $bigint: '1' }]] })
  assert.deepEqual(valueToJson(new Set([1, undefined])), { $set: [1, { $undefined: true }] })
  assert.deepEqual(valueToJson(new Date(0)), { $date: '1970-01-01T00:00:00.000Z' })
  assert.deepEqual(valueToJson(Buffer.from('hi')), { $buffer: 'aGk=' })
  assert.deepEqual(valueToJson(new Uint8Array([1, 2])), { $bytes: ['Uint8Array', 'AQI='] })
  assert.deepEqual(valueToJson([Number.NaN, Number.NEGATIVE_INFINITY, -0]), [
    { $number: 'NaN' },
    { $number: '-Infinity' },
    { $number: '-0' },
  ])
})

test('it reads back exactly', () => {
  const value = {
    map: new Map<unknown, unknown>([[{ key: 1 }, new Set(['x', 2n])]]),
    date: new Date('2026-11-23T10:00:00Z'),
    never: new Date(Number.NaN),
    bytes: new Float64Array([1.5, Number.NaN]),
    buffer: Buffer.from([0, 255]),
    odd: [Number.NaN, -0, Number.POSITIVE_INFINITY, undefined],
    lookalike: { $date: 'not a date' },
  }
  assert.deepEqual(back(value), value)
})

test('any JSON value and any nesting of lookalikes reads back', () => {
  const json = fc.jsonValue({ maxDepth: 4 })
  fc.assert(
    fc.property(json, value => assert.deepEqual(back(value), value)),
    { numRuns: 200 },
  )
  fc.assert(
    fc.property(fc.constantFrom('$map', '$date', '$object', '$ref', '$x'), json, (key, inner) => {
      const value = { [key]: [inner] }
      assert.deepEqual(back(value), value)
    }),
    { numRuns: 200 },
  )
})

test('a part that contains itself is referred to by its path', () => {
  const value: { name: string; self?: unknown; list: unknown[] } = { name: 'a', list: [] }
  value.list.push(value)
  assert.deepEqual(valueToJson(value), { name: 'a', list: [{ $ref: '$' }] })
  const shared = { n: 1 }
  assert.deepEqual(valueToJson([shared, shared]), [{ n: 1 }, { n: 1 }])
})

test('errors are shown with name, message and their own fields', () => {
  const error = Object.assign(new TypeError('no'), { code: 'E', inner: new Map([[1, 2]]) })
  assert.deepEqual(valueToJson(error), { $error: { name: 'TypeError', message: 'no', code: 'E', inner: { $map: [[1, 2]] } } })
})

test('what is no JSON is refused as usage', () => {
  assert.throws(
    () => parseValue('{nope', '--input'),
    (error: unknown) => error instanceof CoxswainError && error.code === 'USAGE' && error.message.startsWith('--input is not JSON'),
  )
  assert.throws(() => parseValue('{"$bigint":"x"}', '--input'), CoxswainError)
})
