// Shows that the bench judges its figures rightly. That every bar works is shown by `npm run bench -- --smoke`.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gapFigures } from '../../bench/bars/failover.ts'
import { figureText, median, percentile } from '../../bench/statistics.ts'
import { figureLines, met } from '../../bench/table.ts'

describe('statistics', () => {
  it('median and percentiles', () => {
    assert.equal(median([3, 1, 2]), 2)
    assert.equal(median([4, 1, 3, 2]), 2.5)
    assert.equal(percentile([5, 1, 4, 2, 3], 0.5), 3)
    assert.equal(percentile([1, 2, 3], 0.99), 3)
    assert.ok(Number.isNaN(percentile([], 0.5)))
  })

  it('figures for people', () => {
    assert.deepEqual([1234567, 12.345, 1.234, 0.1234, Number.NaN].map(figureText), ['1,234,567', '12.3', '1.23', '0.123', '–'])
    assert.equal(figureText(0), '0')
  })
})

describe('a bar', () => {
  const figure = { what: 'x', unit: 'ms' }

  it('is met by the median, on its side', () => {
    assert.equal(met({ ...figure, values: [9, 1, 2], bar: { at: 2, side: 'at most' } }), true)
    assert.equal(met({ ...figure, values: [9, 1, 3], bar: { at: 2, side: 'at most' } }), false)
    assert.equal(met({ ...figure, values: [9, 1, 3], bar: { at: 3, side: 'at least' } }), true)
  })

  it('claims nothing where there is no bar or the machine cannot tell', () => {
    assert.equal(met({ ...figure, values: [1] }), undefined)
    assert.equal(met({ ...figure, values: [Number.NaN], bar: { at: 2, side: 'at most' } }), undefined)
  })

  it('is printed with its median, range and verdict', () => {
    const [line] = figureLines([{ ...figure, values: [1, 2, 3], bar: { at: 1, side: 'at most' }, ratio: 'twice' }])
    assert.match(line!, /✖ x +2\.00 ms +≤ 1\.00 +\(1\.00 to 3\.00, 3 ×\) {2}= twice/)
  })
})

describe('the figures of faults', () => {
  it('have the middle of each round, and the slowest of all rounds together', () => {
    const rounds = [
      [10, 30, 20],
      [40, 900, 50],
    ]
    assert.deepEqual(gapFigures('kill', rounds, { p50Ms: 40, p99Ms: 800 }), [
      { what: 'kill p50', unit: 'ms', values: [20, 50], bar: { at: 40, side: 'at most' } },
      { what: 'kill p99 of 6', unit: 'ms', values: [900], bar: { at: 800, side: 'at most' } },
      { what: 'kill max of 6', unit: 'ms', values: [900] },
    ])
  })
})
