// Holds the values' codec to its promises: what travels comes back, what cannot is refused with its path, no bytes do harm.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import {
  CoxswainError,
  decodeValue,
  encodeValue,
  limits,
  OverloadedError,
  TaskFailedError,
  Writer,
  writeValue,
  writeValueWithin,
} from '../../src/protocol/index.ts'

function encoded(value: unknown): Buffer {
  return Buffer.concat(encodeValue(value))
}

function travelled(value: unknown): unknown {
  return decodeValue(encoded(value))
}

function refusal(value: unknown, root?: string): CoxswainError {
  try {
    encodeValue(value, root)
  } catch (error) {
    assert.ok(error instanceof CoxswainError)
    assert.equal(error.code, 'VALUE_CANNOT_TRAVEL')
    return error
  }
  throw new Error('it was not refused')
}

const leaf = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constant(-0),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.bigInt(),
  fc.boolean(),
  fc.constantFrom(null, undefined),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array(),
  fc.float64Array(),
  fc.int16Array(),
  fc.bigUint64Array(),
  fc.uint8Array().map(bytes => Buffer.from(bytes)),
  fc.uint8Array().map(bytes => new Uint8Array(bytes).buffer),
)

const anything = fc.letrec(tie => ({
  value: fc.oneof({ maxDepth: 4 }, leaf, tie('list'), tie('object'), tie('bare'), tie('map'), tie('set')),
  list: fc.array(tie('value'), { maxLength: 20 }),
  object: fc.dictionary(fc.string(), tie('value'), { maxKeys: 20, noNullPrototype: true }),
  bare: fc.dictionary(fc.string(), tie('value'), { noNullPrototype: false }),
  map: fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 5 }).map(entries => new Map(entries as [unknown, unknown][])),
  set: fc.array(tie('value'), { maxLength: 5 }).map(values => new Set(values)),
})).value

describe('what travels comes back', () => {
  test('any value', () => {
    fc.assert(
      fc.property(anything, value => assert.deepEqual(travelled(value), value)),
      { numRuns: 1000 },
    )
  })

  test('shared references and cycles, however many objects there are', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 60 }), links => {
        const nodes: Record<string, unknown>[] = Array.from({ length: 30 }, (_, id) => ({ id }))
        for (const [from, to] of links) nodes[from % 30]![`to${to % 30}`] = nodes[to % 30]
        const back = travelled(nodes) as Record<string, unknown>[]
        assert.deepEqual(back, nodes)
        for (const [from, to] of links) assert.equal(back[from % 30]![`to${to % 30}`], back[to % 30])
      }),
      { numRuns: 200 },
    )
  })

  test('holes become undefined', () => {
    const list = new Array(3)
    list[1] = 1
    assert.deepEqual(travelled(list), [undefined, 1, undefined])
  })

  test('kinds of bytes come back as such', () => {
    for (const value of [
      Buffer.from('hello'),
      new Uint8Array([1]),
      new Float16Array([1.5]),
      new DataView(new ArrayBuffer(3)),
      new Uint8ClampedArray([9]),
    ]) {
      const back = travelled(value) as object
      assert.equal(Object.getPrototypeOf(back), Object.getPrototypeOf(value))
      assert.deepEqual(back, value)
    }
    // Only the bytes that the view shows travel.
    assert.equal((travelled(new Uint8Array(new ArrayBuffer(100), 10, 5)) as Uint8Array).buffer.byteLength, 5)
  })

  test('text with lone surrogates, as values and as keys', () => {
    const value = { ['\ud800key']: '\udfff', ok: 'ünï 数据 🚣' }
    assert.deepEqual(travelled(value), value)
    assert.equal(travelled(`\ufeff${'x'.repeat(40)}`), `\ufeff${'x'.repeat(40)}`)
  })

  test('errors keep class, message, stack, cause and their own fields', () => {
    const error = Object.assign(new RangeError('too far', { cause: new TypeError('wrong') }), { code: 'E_FAR', at: { line: 3 } })
    const back = travelled(error) as RangeError & { code: string; at: unknown; cause: unknown }
    assert.ok(back instanceof RangeError)
    assert.equal(back.message, 'too far')
    assert.equal(back.stack, error.stack)
    assert.ok(back.cause instanceof TypeError)
    assert.equal(back.code, 'E_FAR')
    assert.deepEqual(back.at, { line: 3 })
    assert.deepEqual(Object.keys(back), ['code', 'at'])
  })

  test("errors of other classes come back as their nearest ancestor with the class's name; ours as ours", () => {
    class MyError extends TypeError {
      override name = 'MyError'
    }
    const back = travelled(new MyError('mine')) as Error
    assert.equal(Object.getPrototypeOf(back), TypeError.prototype)
    assert.equal(String(back), 'MyError: mine')
    const overloaded = travelled(new OverloadedError('full', { retryAfterMs: 7 })) as OverloadedError
    assert.ok(overloaded instanceof OverloadedError)
    assert.equal(overloaded.retryAfterMs, 7)
    assert.match(overloaded.advice, /retryAfterMs/)
    const failed = travelled(
      new TaskFailedError('TASK_FAILED', 'it failed', { task: 'job/1', remoteStack: 'at x', attempts: [] }),
    ) as TaskFailedError
    assert.ok(failed instanceof TaskFailedError)
    assert.equal(failed.remoteStack, 'at x')
    const aggregate = travelled(new AggregateError([new Error('one')], 'several')) as AggregateError
    assert.ok(aggregate instanceof AggregateError)
    assert.equal((aggregate.errors[0] as Error).message, 'one')
  })

  test('an error that is its own cause', () => {
    const error = new Error('round')
    error.cause = error
    const back = travelled(error) as Error
    assert.equal(back.cause, back)
  })

  test('plain objects of another realm, getters and proxies', () => {
    assert.deepEqual(travelled(runInNewContext('({ a: [1, { b: new Date(5) }] })')), { a: [1, { b: new Date(5) }] })
    const object = {
      get doubled() {
        return 4
      },
    }
    assert.deepEqual(travelled(object), { doubled: 4 })
    assert.deepEqual(travelled(new Proxy({ a: 1 }, {})), { a: 1 })
  })

  test('a getter that encodes another value meanwhile', () => {
    const inner = {
      get bytes() {
        return encodeValue({ deep: [1, 2, 3] })[0]
      },
    }
    assert.deepEqual(
      travelled([inner, 1]),
      [{ bytes: Buffer.from(encodeValue({ deep: [1, 2, 3] })[0]!) }, 1].map((one, i) => (i ? one : inner)),
    )
  })
})

describe('what cannot travel is refused with its path', () => {
  class Avatar {
    stream = 1
  }
  const cases: [string, unknown, RegExp][] = [
    ['input.users[3].avatar.stream', { users: [0, 0, 0, { avatar: { stream: new WeakMap() } }] }, /WeakMap/],
    ['input', () => 1, /is a function/],
    ['input.a', { a: Avatar }, /is a class/],
    ['input[1]', [1, Symbol('x')], /is a symbol/],
    ['input.who', { who: new Avatar() }, /instance of Avatar/],
    ['input.get("k").x', new Map([['k', { x: Promise.resolve(1) }]]), /forget to `await`/],
    ['input.keys()[0]', new Map([[() => 1, 2]]), /function/],
    ['input.values()[1]', new Set([1, /x/]), /RegExp/],
    ['input["odd key"]', { 'odd key': Symbol('x') }, /symbol/],
    [
      'input.boom',
      {
        get boom() {
          throw new Error('no such thing')
        },
      },
      /no such thing/,
    ],
    ['input.cause.socket', new Error('x', { cause: { socket: new (class Socket {})() } }), /Socket/],
    ['input', new Array(4e9), /sparse/],
    ['input.shared', { shared: new SharedArrayBuffer(1) }, /SharedArrayBuffer/],
    ['input.list', { list: new (class Special extends Map {})() }, /instance of Special/],
  ]
  for (const [path, value, what] of cases) {
    test(path, () => {
      const error = refusal(value)
      assert.equal(error.id, path)
      assert.ok(error.message.startsWith(`${path} `), error.message)
      assert.match(error.message, what)
    })
  }

  test('the root has the name that the caller gives', () => assert.equal(refusal({ a: Symbol('x') }, 'result').id, 'result.a'))

  test('deeper than the limit', () => {
    let value: unknown = 1
    for (let i = 0; i < limits.valueDepthMax; i++) value = [value]
    assert.deepEqual(travelled(value), value)
    assert.match(refusal([value]).message, /nested deeper/)
  })

  test('a buffer that was transferred away', () => {
    const bytes = new Uint8Array(8)
    structuredClone(bytes, { transfer: [bytes.buffer] })
    assert.match(refusal({ bytes }).message, /transferred/)
  })

  test('a refusal leaves nothing behind for the next value', () => {
    refusal([{ a: 1 }, { b: Symbol('x') }])
    assert.deepEqual(travelled([{ a: 1 }]), [{ a: 1 }])
  })
})

describe('no key reaches a prototype', () => {
  test('__proto__ is a field like any other', () => {
    const value = JSON.parse('{"__proto__": {"admin": true}, "constructor": 1, "toString": 2}') as object
    const back = travelled(value) as { admin?: boolean }
    assert.equal(Object.getPrototypeOf(back), Object.prototype)
    assert.equal(back.admin, undefined)
    assert.deepEqual(Object.keys(back), ['__proto__', 'constructor', 'toString'])
    assert.equal(({} as { admin?: boolean }).admin, undefined)
  })

  test('nor as a field of an error', () => {
    const error = new Error('x')
    Object.defineProperty(error, '__proto__', { value: { admin: true }, enumerable: true })
    const back = travelled(error) as Error & { admin?: boolean }
    assert.equal(Object.getPrototypeOf(back), Error.prototype)
    assert.equal(back.admin, undefined)
  })
})

describe('bytes', () => {
  test('golden: these bytes stand in journals', () => {
    const golden: [unknown, string][] = [
      [5, '05'],
      [300, 'a4ac02'],
      [-1, 'a500'],
      [1.5, 'a6000000000000f83f'],
      ['hé', 'a70368c3a9'],
      [null, 'a0'],
      [undefined, 'a1'],
      [[false, true], '92a2a3'],
      [{ a: 1 }, '81016101'],
      [Object.assign(Object.create(null) as object, { a: 1 }), 'ab01016101'],
      [new Map([[1, 2]]), 'ad010102'],
      [new Set([1]), 'ae0101'],
      [new Date(0), 'af0000000000000000'],
      [-258n, 'b1020102'],
      [Buffer.from('hi'), 'b201026869'],
      [new Uint16Array([1]), 'b2060200000000000100'],
      ['\ud800', 'a80200d8'],
    ]
    for (const [value, bytes] of golden) assert.equal(encoded(value).toString('hex'), bytes)
    const twice = { a: 1 }
    assert.equal(encoded([twice, twice]).toString('hex'), '9281016101b401')
  })

  test('any bytes give a value or VALUE_MALFORMED', context => {
    const samples = fc.sample(anything, { numRuns: 200, seed: 7 }).map(encoded)
    let state = 2463534242
    const next = (below: number): number => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return (state >>> 0) % below
    }
    // Stacks of a hundred thousand errors are of no use.
    const before = Error.stackTraceLimit
    Error.stackTraceLimit = 0
    context.after(() => {
      Error.stackTraceLimit = before
    })
    for (let i = 0; i < 100_000; i++) {
      let bytes = Buffer.from(samples[next(samples.length)]!)
      const mutations = 1 + next(3)
      for (let m = 0; m < mutations && bytes.length > 0; m++) {
        const at = next(bytes.length)
        const kind = next(8)
        if (kind < 2) bytes = bytes.subarray(0, at)
        else if (kind < 4) bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff, 0xff, 0xff, 0x7f]), bytes.subarray(at)])
        else bytes[at] = next(256)
      }
      try {
        decodeValue(bytes)
      } catch (error) {
        if (!(error instanceof CoxswainError) || error.code !== 'VALUE_MALFORMED') throw error
      }
    }
  })

  test('a claimed length allocates nothing', () => {
    for (const head of ['a9', 'aa', 'ad', 'ae', 'a7', 'a8', 'b0', 'b201']) {
      assert.throws(() => decodeValue(Buffer.from(`${head}ffffffffffff0f`, 'hex')), { code: 'VALUE_MALFORMED' })
    }
    // Lists nested as deeply as the bytes say end at the limit.
    assert.throws(() => decodeValue(Buffer.alloc(100_000, 0x91)), { code: 'VALUE_MALFORMED' })
    assert.throws(() => decodeValue(Buffer.concat([encoded(1), encoded(2)])), { code: 'VALUE_MALFORMED' })
    assert.throws(() => decodeValue(Buffer.from([0xa7, 1, 0xff])), { code: 'VALUE_MALFORMED' })
  })

  test('large binary parts are neither copied on the way out nor on the way in', () => {
    const numbers = new Float64Array(100_000).fill(2.5)
    const pieces = encodeValue({ a: 'text', numbers, end: 1 })
    assert.ok(pieces.some(piece => piece.buffer === numbers.buffer))
    const bytes = Buffer.concat(pieces)
    const file = Buffer.allocUnsafeSlow(bytes.length)
    bytes.copy(file)
    const back = decodeValue(file) as { numbers: Float64Array }
    assert.equal(back.numbers.buffer, file.buffer)
    assert.deepEqual(back.numbers, numbers)
    // At an odd place in memory they are copied: a typed array cannot stand there.
    const odd = Buffer.concat([Buffer.alloc(1), bytes])
    assert.deepEqual((decodeValue(odd, 1) as { numbers: Float64Array }).numbers, numbers)
  })

  test('a value within a size, and in place', () => {
    const writer = new Writer(16)
    writer.byte(9)
    assert.equal(writeValueWithin(writer, Buffer.alloc(2000), 1000), false)
    assert.equal(writeValueWithin(writer, 'x'.repeat(2000), 1000), false)
    assert.equal(writeValueWithin(writer, new Array(2000).fill(1), 1000), false)
    assert.equal(writer.length, 1)
    assert.equal(writeValueWithin(writer, { a: 1 }, 1000), true)
    const end = writer.length
    writeValue(writer, 'behind')
    assert.deepEqual(decodeValue(writer.view(), 1, end), { a: 1 })
    assert.equal(decodeValue(writer.view(), end), 'behind')
    assert.throws(() => decodeValue(writer.view(), 1), { code: 'VALUE_MALFORMED' })
  })
})
