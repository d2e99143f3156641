// Owns the bar of a long queue: a million waiting tasks, and what they cost the leader.
// Must not let a task run: they ask for what no worker has.
import type { Cluster } from '../../src/index.ts'
import { type Bar, type Figure, sized } from '../bar.ts'
import { pause } from '../pause.ts'
import { rssBytes } from '../process.ts'
import { median } from '../statistics.ts'
import { waiting } from '../tasks.ts'

const tasksFull = 1_000_000
const tasksSmoke = 3000
const lookEveryMs = 25
/** A map has a limited number of bytes under way: several share the queue. */
const maps = 4
const megabyte = 1e6

function* texts(count: number): Generator<string> {
  for (let index = 0; index < count; index++) yield String(index).padStart(16, '0')
}

interface Moment {
  atMs: number
  tasks: number
}

/** Fills the queue and notes how it grew, until all tasks wait. */
async function fill(client: Cluster, count: number): Promise<Moment[]> {
  const stop = new AbortController()
  const moments: Moment[] = []
  const each = Math.ceil(count / maps)
  // The results never come; the iterators are only pulled to make them submit.
  const pulls = Array.from({ length: maps }, () =>
    client
      .map(waiting, texts(each), { window: each + 1, signal: stop.signal })
      [Symbol.asyncIterator]()
      .next(),
  )
  const ended = Promise.race(pulls).then(
    () => 'a task ran that nobody can run',
    (error: unknown) => error,
  )
  for (let tasks = 0; tasks < each * maps; ) {
    tasks = (await client.status()).tasks.waiting
    moments.push({ atMs: performance.now(), tasks })
    const outcome = await Promise.race([ended, pause(lookEveryMs)])
    if (outcome !== undefined) throw new Error(`the queue did not fill: ${outcome}`)
  }
  stop.abort()
  await Promise.allSettled(pulls)
  // Cancelled tasks are gone from the queue before it is filled again.
  while ((await client.status()).tasks.waiting > 0) await pause(lookEveryMs)
  return moments
}

/** Tasks per second between two shares of the queue's length. */
function rateBetween(moments: readonly Moment[], count: number, from: number, to: number): number {
  const first = moments.findLast(moment => moment.tasks <= count * from) ?? moments[0]!
  const last = moments.find(moment => moment.tasks >= count * to) ?? moments.at(-1)!
  return ((last.tasks - first.tasks) * 1000) / (last.atMs - first.atMs)
}

export const queue: Bar = {
  name: 'queue',
  title: '1,000,000 queued tasks of 16 bytes',
  async measure(bench) {
    const count = sized(bench, tasksFull, tasksSmoke)
    const grown: number[] = []
    const early: number[] = []
    const late: number[] = []
    for (let round = 0; round < bench.repeats; round++) {
      const { client, process: cluster } = await bench.cluster()
      const { leader } = await client.status()
      // A short queue first, so that what any work costs once is not counted.
      await fill(client, Math.ceil(count / 100))
      const before = rssBytes(leader.pid)
      const moments = await fill(client, count)
      grown.push((rssBytes(leader.pid) - before) / megabyte)
      early.push(rateBetween(moments, count, 0.05, 0.35))
      late.push(rateBetween(moments, count, 0.65, 0.95))
      await client.close()
      await cluster.down()
    }
    const kept = late.map((rate, round) => rate / early[round]!)
    const figures: Figure[] = [
      { what: 'leader grows', unit: 'MB', values: grown, bar: { at: 100, side: 'at most' } },
      { what: 'submit rate', unit: 'tasks/s', values: early },
      {
        what: 'rate at the end, of the rate at the start',
        unit: '×',
        values: kept,
        bar: { at: 0.8, side: 'at least' },
        ratio: `${Math.round(median(late))} tasks/s at the end`,
      },
    ]
    return figures
  },
}
