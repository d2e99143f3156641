// Owns the bar of what standbys cost: the throughput bar's work with none and with two that tail the journal.
// Must not compare clusters of different hours: both are measured in turn.
import { type Bar, sized } from '../bar.ts'
import { median } from '../statistics.ts'
import { noop } from '../tasks.ts'
import { mapRate } from './throughput.ts'

const tasksFull = 600_000
const tasksSmoke = 2000
const common = ['--workers', '2', '--executors', '1', '--candidates']

export const standbys: Bar = {
  name: 'standbys',
  title: 'the throughput of `map` with two standbys tailing',
  async measure(bench) {
    const alone = await bench.cluster([...common, '1'])
    const followed = await bench.cluster([...common, '3'])
    const count = sized(bench, tasksFull, tasksSmoke)
    const rates: { without: number[]; with: number[] } = { without: [], with: [] }
    for (let round = -1; round < bench.repeats; round++) {
      const without = await mapRate(alone.client, noop, count)
      const tailed = await mapRate(followed.client, noop, count)
      // The first round warms both up.
      if (round < 0) continue
      rates.without.push(without)
      rates.with.push(tailed)
    }
    const { candidates } = await followed.client.status()
    const standing = candidates.filter(one => one.state === 'standby').length
    if (standing !== 2) throw new Error(`${standing} standbys follow where 2 should`)
    return [
      { what: 'without standbys', unit: 'tasks/s', values: rates.without },
      { what: 'with two standbys', unit: 'tasks/s', values: rates.with },
      { what: 'with to without', unit: '×', values: [median(rates.with) / median(rates.without)], bar: { at: 0.85, side: 'at least' } },
    ]
  },
}
