// Owns the bar of a wide fan-out: a million tasks that a step finds, combined in a tree, against a plain `map` over as many.
// Must not compare rates of different minutes: each round is a pair.
import { type Bar, type Figure, seconds, sized } from '../bar.ts'
import { fan } from '../flows.ts'
import { mapRate } from './throughput.ts'

const tasksFull = 1_000_000
const tasksSmoke = 2000

export const workflowFan: Bar = {
  name: 'workflow-fan',
  title: 'fan-out of 1,000,000 found at run time, combined in a tree, against plain `map`',
  async measure(bench) {
    const { client } = await bench.cluster()
    const count = sized(bench, tasksFull, tasksSmoke)
    const fanRate = async (): Promise<number> => {
      let sum: number | undefined
      const took = await seconds(async () => {
        sum = await client.run(fan, count)
      })
      if (sum !== (count * (count - 1)) / 2) throw new Error(`the sum of all below ${count} came to ${sum}`)
      return count / took
    }
    const rates: { fan: number[]; map: number[] } = { fan: [], map: [] }
    for (let round = -1; round < bench.repeats; round++) {
      // Who is measured first changes with each pair.
      const before = round % 2 === 0 ? await mapRate(client, count) : undefined
      const fanned = await fanRate()
      const mapped = before ?? (await mapRate(client, count))
      // The first pair warms both up.
      if (round < 0) continue
      rates.fan.push(fanned)
      rates.map.push(mapped)
    }
    const figures: Figure[] = [
      { what: 'fan-out and tree', unit: 'tasks/s', values: rates.fan },
      { what: 'plain map', unit: 'tasks/s', values: rates.map },
      {
        what: 'fan-out to map, by pairs',
        unit: '×',
        values: rates.fan.map((rate, pair) => rate / rates.map[pair]!),
        bar: { at: 0.8, side: 'at least' },
      },
    ]
    return figures
  },
}
