// Owns the bar of a single durable call on an idle cluster.
// Must not keep two calls under way.
import { type Bar, type Figure, sized } from '../bar.ts'
import { figureText, median, percentile } from '../statistics.ts'
import { noop } from '../tasks.ts'

const callsFull = 3000
const callsSmoke = 50

export const roundTrip: Bar = {
  name: 'round-trip',
  title: '`run` round trip, durable, idle cluster',
  async measure(bench) {
    const { client } = await bench.cluster()
    const count = sized(bench, callsFull, callsSmoke)
    for (let index = 0; index < count; index++) await client.run(noop, index)
    const rounds: number[][] = []
    for (let round = 0; round < bench.repeats; round++) {
      const took: number[] = []
      for (let index = 0; index < count; index++) {
        const startedMs = performance.now()
        await client.run(noop, index)
        took.push(performance.now() - startedMs)
      }
      rounds.push(took)
    }
    const p50 = rounds.map(took => percentile(took, 0.5))
    const floor = bench.machine.fdatasyncP50Ms + 3 * bench.machine.echoP50Ms
    const figures: Figure[] = [
      {
        what: 'p50',
        unit: 'ms',
        values: p50,
        bar: { at: 1, side: 'at most' },
        ratio: `${figureText(median(p50) / floor)} × (one fdatasync and three echoes)`,
      },
      { what: 'p99', unit: 'ms', values: rounds.map(took => percentile(took, 0.99)), bar: { at: 5, side: 'at most' } },
    ]
    return figures
  },
}
