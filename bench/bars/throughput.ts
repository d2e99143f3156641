// Owns the bar of durable no-op tasks per second from one client through `map`.
// Must not leave a result unread: every task's answer is checked.
import type { Cluster } from '../../src/index.ts'
import { type Bar, repeated, seconds, sized } from '../bar.ts'
import { bullmq } from '../peers/bullmq.ts'
import { figureText, median } from '../statistics.ts'
import { noop } from '../tasks.ts'

const tasksFull = 600_000
const tasksSmoke = 2000
/** What the journal takes per task: its input, its result, and its share of the records. */
const bytesPerTask = 16

function* numbers(count: number): Generator<number> {
  for (let index = 0; index < count; index++) yield index
}

/** No-op tasks per second of `map` with `count` numbers, each result checked. */
export async function mapRate(client: Cluster, count: number): Promise<number> {
  let next = 0
  const took = await seconds(async () => {
    for await (const result of client.map(noop, numbers(count))) {
      if (result !== next++) throw new Error(`task ${next - 1} gave ${result}`)
    }
  })
  if (next !== count) throw new Error(`${count} tasks gave ${next} results`)
  return count / took
}

export const throughput: Bar = {
  name: 'throughput',
  title: 'durable no-op tasks, one client, `map`, 2 executors',
  journalBytesPerTask: bytesPerTask,
  peers: [bullmq],
  async measure(bench) {
    const { client } = await bench.cluster()
    const count = sized(bench, tasksFull, tasksSmoke)
    const values = await repeated(bench, () => mapRate(client, count))
    const share = median(values) / bench.machine.sqliteRecordsPerSecond
    return [
      {
        what: 'tasks',
        unit: 'tasks/s',
        values,
        bar: { at: 300_000, side: 'at least' },
        ratio: `${figureText(share)} × SQLite FULL records/s of ${bytesPerTask} bytes, 100 a commit`,
      },
    ]
  },
}
