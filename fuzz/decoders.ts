// Owns mutants for everything that reads bytes of others: messages, records, values, what is stored.
// Must not take anything but a typed error for an answer.
import * as protocol from '../src/protocol/index.ts'
import { allCodecs, samplesOf } from '../test/protocol/samples.ts'
import { mutant, type Numbers } from './mutate.ts'

/** Something that reads bytes, and bytes that it reads. */
interface Reader {
  name: string
  corpus: Buffer[]
  read(bytes: Buffer, next: Numbers): void
}

/** How often bytes were read, and how often refused. */
export interface Tally {
  read: number
  refused: number
}

const values: unknown[] = [
  null,
  true,
  -1,
  2 ** 53,
  0.1,
  'text é 中',
  new Date(0),
  10n ** 30n,
  new Uint8Array([1, 2, 3]),
  new Float64Array([1.5, -0]),
  new Map<unknown, unknown>([['a', [1, { b: new Set([2]) }]]]),
  [[[[[[]]]]]],
  Array.from({ length: 50 }, (_, row) => ({ row, name: `row ${row}` })),
  JSON.parse('{"__proto__":{"admin":true},"constructor":{"prototype":1}}'),
  new Error('broken', { cause: new TypeError('deep') }),
]

const encodedValues = values.map(value => Buffer.concat(protocol.encodeValue(value)))

function codecReaders(): Reader[] {
  return allCodecs().map(([name, codec]) => ({
    name,
    corpus: samplesOf(name, codec).map(([, sample]) => Buffer.from(protocol.encodeMessage(codec, sample))),
    read: bytes => void protocol.decodeMessage(codec, bytes),
  }))
}

function readers(): Reader[] {
  const codecs = codecReaders()
  const of = (name: string): Buffer[] => codecs.find(one => one.name === name)?.corpus ?? []
  const items = encodedValues.map(value => Buffer.concat([Buffer.from([0]), value]))
  return [
    ...codecs,
    { name: 'records', corpus: of('record'), read: (bytes, next) => void protocol.decodeRecords(bytes, 1 + next(3)) },
    {
      name: 'stored submission',
      corpus: codecs.find(one => one.name.startsWith('storedJob'))?.corpus ?? of('jobPlan'),
      read: bytes => void protocol.decodeStored(bytes),
    },
    { name: 'value', corpus: encodedValues, read: bytes => void protocol.decodeValue(bytes) },
    { name: 'item', corpus: items, read: bytes => void protocol.readItem(bytes) },
    { name: 'composed item', corpus: items, read: bytes => void protocol.readComposed(bytes) },
    { name: 'template', corpus: encodedValues, read: bytes => void protocol.decodeTemplate(bytes, hole => hole) },
  ]
}

/** Reads so many mutants. Throws what is no typed error, with the bytes. */
export function fuzzDecoders(cases: number, next: Numbers, count: (done: number) => void): Tally {
  const all = readers()
  const tally: Tally = { read: 0, refused: 0 }
  for (let done = 0; done < cases; done++) {
    const { name, corpus, read } = all[next(all.length)]!
    const bytes = mutant(corpus, next)
    try {
      read(bytes, next)
      tally.read++
    } catch (error) {
      if (!(error instanceof protocol.CoxswainError))
        throw new Error(`${name} read ${bytes.toString('hex').slice(0, 4000)}`, { cause: error })
      tally.refused++
    }
    if (done % 1000 === 0) count(done)
  }
  if (Reflect.get({}, 'admin') !== undefined) throw new Error('what was read changed the prototype of all objects')
  return tally
}
