// Owns the bar of what a cluster costs that has nothing to do.
// Must not keep a connection of its own: that would be something to do.
import { type Bar, type Figure, sized } from '../bar.ts'
import { pause } from '../pause.ts'
import { cpuSeconds, rssBytes } from '../process.ts'

const settleMsFull = 5000
const watchMsFull = 10_000
const watchMsSmoke = 500
const megabyte = 1e6

export const idle: Bar = {
  name: 'idle',
  title: 'idle cluster, leader and 2 agents',
  async measure(bench) {
    const { client } = await bench.cluster()
    const { leader, workers } = await client.status()
    await client.close()
    const pids = [leader.pid, ...workers.map(worker => worker.pid)]
    const used = (): number => pids.map(cpuSeconds).reduce((sum, one) => sum + one, 0)
    await pause(sized(bench, settleMsFull, watchMsSmoke))
    const shares: number[] = []
    const resident: number[] = []
    for (let round = 0; round < bench.repeats; round++) {
      const [before, startedMs] = [used(), performance.now()]
      await pause(sized(bench, watchMsFull, watchMsSmoke))
      shares.push(((used() - before) * 100_000) / (performance.now() - startedMs))
      resident.push(rssBytes(leader.pid) / megabyte)
    }
    const figures: Figure[] = [
      { what: 'leader and agents', unit: '% of a core', values: shares, bar: { at: 1, side: 'at most' } },
      { what: 'leader', unit: 'MB resident', values: resident, bar: { at: 120, side: 'at most' } },
    ]
    return figures
  },
}
