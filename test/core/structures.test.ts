// Shows that the compact structures under the core behave as the plain ones that they stand for.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Heap } from '../../src/core/heap.ts'
import { RangeSet } from '../../src/core/ranges.ts'
import { SegmentList } from '../../src/core/segments.ts'
import { SortedKeys } from '../../src/core/spaces/keys.ts'
import { ReadyLine } from '../../src/core/tasks/line.ts'

const small = fc.nat({ max: 30 })
const count = fc.integer({ min: 1, max: 8 })

describe('a set of ranges', () => {
  it('is the set of its numbers', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), small, count), { maxLength: 30 }), small, count, (changes, first, width) => {
        const ranges = new RangeSet()
        const plain = new Set<number>()
        for (const [adds, from, length] of changes) {
          if (adds) ranges.add(from, length)
          else ranges.remove(from, length)
          for (let i = from; i < from + length; i++) adds ? plain.add(i) : plain.delete(i)
        }
        const numbers = (parts: readonly { first: number; count: number }[]): number[] =>
          parts.flatMap(part => Array.from({ length: part.count }, (_, i) => part.first + i))
        assert.deepEqual(
          numbers(ranges.ranges),
          [...plain].sort((a, b) => a - b),
        )
        const asked = Array.from({ length: width }, (_, i) => first + i)
        assert.deepEqual(
          numbers(ranges.within(first, width)),
          asked.filter(one => plain.has(one)),
        )
        assert.deepEqual(
          numbers(ranges.outside(first, width)),
          asked.filter(one => !plain.has(one)),
        )
        assert.equal(ranges.has(first), plain.has(first))
        for (const [position, range] of ranges.ranges.entries()) {
          const before = ranges.ranges[position - 1]
          assert(range.count > 0 && (!before || before.first + before.count < range.first), 'ranges touch')
        }
      }),
      { seed: 1 },
    )
    const set = new RangeSet([{ first: 1, count: 2 }])
    set.add(5, 0)
    assert.deepEqual(set.ranges, [{ first: 1, count: 2 }])
    set.clear()
    assert.deepEqual(set.ranges, [])
  })
})

describe('a heap', () => {
  it('gives the smallest first, and equal ones in the order in which they came', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 9 })), fc.nat({ max: 9 }), (keys, removed) => {
        const heap = new Heap<[number, number]>()
        const items = keys.map((key, position): [number, number] => [key, position])
        for (const item of items) heap.push(item[0], item)
        const sorted = items.toSorted((a, b) => a[0] - b[0] || a[1] - b[1])
        assert.deepEqual(
          heap.sorted().map(one => one.item),
          sorted,
        )
        assert.deepEqual(
          heap.remove(item => item[0] === removed),
          sorted.filter(item => item[0] === removed),
        )
        const rest = sorted.filter(item => item[0] !== removed)
        assert.equal(heap.size, rest.length)
        assert.equal(heap.nextKey, rest[0]?.[0])
        assert.deepEqual(
          rest.map(() => heap.pop()),
          rest,
        )
        assert.equal(heap.pop(), undefined)
      }),
      { seed: 2 },
    )
  })

  it('lets go of single items, also after others were removed, and of each of them once', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 60 }), fc.nat({ max: 9 }), fc.nat({ max: 3 }), (keys, removed, stride) => {
        const heap = new Heap<number>()
        const entries = keys.map((key, position) => heap.push(key, position))
        heap.remove(position => keys[position] === removed)
        const taken = entries.filter((entry, position) => entry.key !== removed && position % (stride + 1) === 0)
        for (const entry of taken) heap.delete(entry)
        for (const entry of taken) assert.throws(() => heap.delete(entry), /not in the heap/)
        const rest = entries.filter(entry => entry.key !== removed && !taken.includes(entry))
        const sorted = rest.toSorted((a, b) => a.key - b.key || a.item - b.item).map(entry => entry.item)
        assert.deepEqual(
          sorted.map(() => heap.pop()),
          sorted,
        )
        assert.equal(heap.size, 0)
      }),
      { seed: 6 },
    )
  })
})

describe('a list of segments', () => {
  it('finds the segment of a task, whatever was removed before', () => {
    fc.assert(
      fc.property(fc.array(count, { minLength: 1, maxLength: 200 }), fc.array(fc.nat()), fc.nat(1600), (few, removals, stride) => {
        let first = 0
        // Sometimes so many that they stand in many parts.
        const sizes = removals.length % 4 === 0 ? Array.from({ length: 1601 }, (_, i) => few[i % few.length]!) : few
        const all = sizes.map((size, payload) => {
          const segment = { first, count: size, payload, from: 0, bytes: size, needed: size }
          first += size
          return segment
        })
        const list = new SegmentList()
        // In order, backwards, or from anywhere: by steps that meet each once, as 1601 is prime and so are not all lengths.
        const order = sizes.length === 1601 ? all.map((_, i) => all[(i * (stride + 1)) % 1601]!) : stride % 2 === 0 ? all.toReversed() : all
        for (const segment of order) list.insert(segment)
        const left = [...all]
        for (const removal of removals) {
          if (left.length > 0) list.remove(left.splice(removal % 3 === 0 ? removal % left.length : 0, 1)[0]!)
        }
        assert.equal(list.length, left.length)
        assert.deepEqual([...list], left)
        for (const segment of all) {
          const known = left.includes(segment) ? segment : undefined
          assert.equal(list.find(segment.first + segment.count - 1), known)
        }
        const [from, to] = [Math.floor(first / 3), Math.floor((2 * first) / 3)]
        assert.deepEqual(
          list.overlapping(from, to - from),
          left.filter(one => one.first < to && one.first + one.count > from),
        )
      }),
      { seed: 3 },
    )
    const list = new SegmentList([{ first: 0, count: 1, payload: 1, bytes: 1, needed: 1 }])
    const [segment] = list
    list.remove(segment!)
    assert.throws(() => list.remove(segment!), /removed twice/)
  })
})

describe('the line of a stage', () => {
  it('is the list of its tasks, whichever end they come and go at', () => {
    const step = fc.tuple(fc.constantFrom('push', 'unshift', 'take', 'drop'), small, count, fc.integer({ min: 1, max: 2 }))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), script => {
        const line = new ReadyLine()
        let plain: { task: number; attempt: number }[] = []
        let next = 0
        for (const [name, a, b, attempt] of script) {
          const fresh = { first: next, count: b, attempt, avoid: '' }
          const tasks = Array.from({ length: b }, (_, i) => ({ task: next + i, attempt }))
          if (name === 'push' || name === 'unshift') {
            line[name](fresh)
            plain = name === 'push' ? [...plain, ...tasks] : [...tasks, ...plain]
            next += b
          } else if (name === 'drop') {
            const dropped = line.drop(a, b)
            const gone = plain.filter(one => one.task >= a && one.task < a + b)
            assert.deepEqual(
              dropped.flatMap(range => Array.from({ length: range.count }, (_, i) => range.first + i)),
              gone.map(one => one.task),
            )
            plain = plain.filter(one => !gone.includes(one))
          } else {
            const run = [...line][a % Math.max(1, line.length)]
            if (!run) continue
            const first = run.first + (a % run.count)
            const width = Math.min(b, run.first + run.count - first)
            assert.equal(line.has(first, width, run.attempt), true)
            assert.equal(line.has(first, width, run.attempt + 1), false)
            assert.equal(line.take(first, width, run.attempt + 1), false)
            assert.equal(line.take(first, width, run.attempt), true)
            plain = plain.filter(one => one.task < first || one.task >= first + width)
          }
          const listed = [...line].flatMap(run =>
            Array.from({ length: run.count }, (_, i) => ({ task: run.first + i, attempt: run.attempt })),
          )
          assert.deepEqual(listed, plain)
          assert.equal(line.head?.first, plain[0]?.task)
          assert.equal(line.find(a)?.attempt, plain.find(one => one.task === a)?.attempt)
        }
        assert.deepEqual([...new ReadyLine([...line])], [...line])
      }),
      { seed: 4 },
    )
  })
})

describe('sorted keys', () => {
  it('are a sorted set, also over many pages', () => {
    const change = fc.tuple(fc.boolean(), fc.nat({ max: 3000 }))
    fc.assert(
      fc.property(fc.nat({ max: 3000 }), fc.array(change, { maxLength: 200 }), fc.nat({ max: 3000 }), (filled, changes, from) => {
        const keys = new SortedKeys()
        const plain = new Set<string>()
        const apply = (adds: boolean, key: string): void => {
          if (adds === plain.has(key)) return
          if (adds) keys.add(key)
          else keys.delete(key)
          adds ? plain.add(key) : plain.delete(key)
        }
        // 1,201 and 3,001 have no divisor in common: all are met, in no order.
        for (let i = 0; i < filled; i++) apply(true, String((i * 1201) % 3001))
        for (const [adds, number] of changes) apply(adds, String(number))
        for (let i = 0; i < filled; i += 2) apply(false, String((i * 1201) % 3001))
        assert.equal(keys.size, plain.size)
        const sorted = [...plain].sort()
        assert.deepEqual([...keys.from('')], sorted)
        assert.deepEqual(
          [...keys.from(String(from))],
          sorted.filter(key => key >= String(from)),
        )
      }),
      { seed: 1, numRuns: 60 },
    )
  })
})
