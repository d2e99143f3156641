// Shows that the bench judges its figures rightly. That every bar works is shown by `npm run bench -- --smoke`.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { latencyFigures, repeated } from '../../bench/bar.ts'
import { gapFigures } from '../../bench/bars/failover.ts'
import { bars } from '../../bench/bars/index.ts'
import { type Graph, graphValue, randomGraph, stepValue } from '../../bench/graph.ts'
import { callsPerSecond, oneByOne } from '../../bench/load.ts'
import { bytesField, fieldsOf, numberField } from '../../bench/peers/grpc.ts'
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

describe('a load', () => {
  const how = { smoke: true, repeats: 2 }

  it('of one call after the other never has two under way, and keeps what each took', async () => {
    let under = 0
    let calls = 0
    const took = await oneByOne(true, async input => {
      assert.equal(input, calls++)
      assert.equal(++under, 1)
      await Promise.resolve()
      under--
    })
    assert.equal(took.length, calls)
  })

  it('of many has all of them under way, and ends with the error of a call', async () => {
    let most = 0
    let under = 0
    const rate = await callsPerSecond(true, 8, async () => {
      most = Math.max(most, ++under)
      await new Promise(setImmediate)
      under--
    })
    assert.equal(most, 8)
    assert.ok(rate > 0)
    await assert.rejects(
      callsPerSecond(true, 8, async input => {
        if (input === 20) throw new Error('call 20 gave something else')
        await new Promise(setImmediate)
      }),
      /call 20/,
    )
  })

  it('is measured once more than it is counted', async () => {
    const rounds: number[] = []
    assert.deepEqual(
      await repeated(how, async round => {
        rounds.push(round)
        return round * 10
      }),
      [0, 10],
    )
    assert.deepEqual(rounds, [-1, 0, 1])
  })

  it('has the middle and the slow end of each round, and a bar on the middle', () => {
    const bar = { at: 2, side: 'at most' as const }
    assert.deepEqual(
      latencyFigures(
        [
          [1, 3, 2],
          [5, 4, 6],
        ],
        { bar },
      ),
      [
        { what: 'p50', unit: 'ms', values: [2, 5], bar },
        { what: 'p99', unit: 'ms', values: [3, 6] },
      ],
    )
  })
})

describe('a random graph', () => {
  /** What a step comes to, by walking back from it: another way than the bench's own. */
  function walked(graph: Graph, step: number): number {
    return stepValue(
      step,
      graph[step]!.map(need => walked(graph, need)),
    )
  }

  it('is the same for the same seed only, has no cycle, and its last step needs all others', () => {
    const graph = randomGraph(300, 7)
    assert.deepEqual(graph, randomGraph(300, 7))
    assert.notDeepEqual(graph, randomGraph(300, 8))
    const reached = new Set([graph.length - 1])
    for (let step = graph.length - 1; step >= 0; step--) {
      assert.ok(graph[step]!.every(need => need < step))
      if (reached.has(step)) for (const need of graph[step]!) reached.add(need)
    }
    assert.equal(reached.size, graph.length)
  })

  it('comes to what its steps come to one by one', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const graph = randomGraph(12, seed)
      assert.equal(graphValue(graph), walked(graph, graph.length - 1))
    }
  })
})

describe('peers', () => {
  it('have a name and say what ours must be of theirs', () => {
    for (const bar of bars) for (const peer of bar.peers ?? []) assert.ok(peer.name && peer.title && peer.bar, `${bar.name}: ${peer.name}`)
  })

  it('that speak gRPC get and give the fields of messages', () => {
    const inner = Buffer.concat([numberField(3, 300n), bytesField(2, Buffer.from('key'))])
    const fields = fieldsOf(Buffer.concat([bytesField(1, inner), numberField(2, 0x7fff_ffff_ffff_ffffn)]))
    assert.equal(fields.get(2), 0x7fff_ffff_ffff_ffffn)
    const found = fieldsOf(fields.get(1) as Uint8Array)
    assert.equal(found.get(3), 300n)
    assert.equal(Buffer.from(found.get(2) as Uint8Array).toString(), 'key')
  })
})
