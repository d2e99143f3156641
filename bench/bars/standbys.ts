// Owns the bar of what standbys cost: the throughput bar's work with none and with two that tail the journal.
// Must not compare clusters of different hours, nor leave work of one side to the other's time: each round is a pair.
import type { Cluster } from '../../src/index.ts'
import { type Bar, type Figure, seconds, sized } from '../bar.ts'
import { pause } from '../pause.ts'
import { mapRate } from './throughput.ts'

const tasksFull = 600_000
const tasksSmoke = 2000
const standbyCount = 2
const common = ['--workers', '2', '--executors', '1', '--candidates']
const lookEveryMs = 5
/** Standbys that were not there, or not at the journal's end, by then are broken. */
const caughtUpMsMax = 30_000

/** Resolves when the standbys are there and have applied the whole journal, or all but this many of its records. */
export async function caughtUp(client: Cluster, standbys: number, lagRecordsMax = 0): Promise<void> {
  const untilMs = performance.now() + caughtUpMsMax
  for (;;) {
    const { candidates } = await client.status()
    const near = candidates.filter(one => one.state === 'standby' && (one.lagRecords ?? Number.POSITIVE_INFINITY) <= lagRecordsMax)
    if (near.length === standbys) return
    if (performance.now() > untilMs) throw new Error(`the standbys did not catch up: ${JSON.stringify(candidates)}`)
    await pause(lookEveryMs)
  }
}

export const standbys: Bar = {
  name: 'standbys',
  title: 'the throughput of `map` with two standbys tailing',
  async measure(bench) {
    const alone = await bench.cluster([...common, '1'])
    const followed = await bench.cluster([...common, String(standbyCount + 1)])
    const count = sized(bench, tasksFull, tasksSmoke)
    const rates: { without: number[]; with: number[]; behindMs: number[] } = { without: [], with: [], behindMs: [] }
    const withStandbys = async (): Promise<[rate: number, behindMs: number]> => {
      const rate = await mapRate(followed.client, count)
      // What they have still to apply would cost the side that is measured next.
      return [rate, (await seconds(() => caughtUp(followed.client, standbyCount))) * 1000]
    }
    await caughtUp(followed.client, standbyCount)
    for (let round = -1; round < bench.repeats; round++) {
      // Who is measured first changes with each pair, so that what a pair's first half does to its second meets both.
      const before = round % 2 === 0 ? await mapRate(alone.client, count) : undefined
      const [tailed, behindMs] = await withStandbys()
      const without = before ?? (await mapRate(alone.client, count))
      // The first pair warms both up.
      if (round < 0) continue
      rates.without.push(without)
      rates.with.push(tailed)
      rates.behindMs.push(behindMs)
    }
    const figures: Figure[] = [
      { what: 'without standbys', unit: 'tasks/s', values: rates.without },
      { what: 'with two standbys', unit: 'tasks/s', values: rates.with },
      { what: 'at the end of the journal', unit: 'ms after the last result', values: rates.behindMs },
      {
        what: 'with to without, by pairs',
        unit: '×',
        values: rates.with.map((rate, pair) => rate / rates.without[pair]!),
        bar: { at: 0.85, side: 'at least' },
      },
    ]
    return figures
  },
}
