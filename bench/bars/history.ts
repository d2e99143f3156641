// Owns the bars of the history: a million finished jobs, what a page of them takes, what they cost the leader, and what archiving costs.
// Must not go around the store's own threads: pages are asked for as a leader asks for them.
import { createState } from '../../src/core/index.ts'
import { type HistoryQuery, type HistoryRow, openSqliteStore, type Store } from '../../src/journal/index.ts'
import { type Bar, type Bench, type Figure, seconds, sized } from '../bar.ts'
import { percentile } from '../statistics.ts'
import { noop } from '../tasks.ts'

const jobsFull = 1_000_000
const jobsSmoke = 3000
const rowsPerAppend = 500
const pageRows = 50
const asksFull = 200
const asksSmoke = 5
/** Jobs kept whole, and who waits for one of them at a time: nobody asks for a job that is forgotten already. */
const recent = 400
const callers = 100
const callsFull = 40_000
const callsSmoke = 1000
const megabyte = 1e6
const body = Buffer.from(JSON.stringify({ view: 'x'.repeat(400) }))

/** One in a thousand has the rare label, one in a hundred failed, one in fifty has the same name. */
function rowOf(place: number): HistoryRow {
  return {
    number: place * 4,
    place,
    job: `${(1_000_000_000 + place).toString(36)}-${(place * 7919).toString(36)}`,
    name: `name ${place % 50}`,
    state: place % 100 === 0 ? 'failed' : 'succeeded',
    labels: place % 1000 === 0 ? ['all', 'rare'] : ['all'],
    submittedAtMs: 1_700_000_000_000 + place,
    payloads: [],
    body,
  }
}

/** With what the id of this job begins, and those of some others. */
function prefixOf(place: number): string {
  return rowOf(place).job.slice(0, 4)
}

/** A journal whose history has so many jobs. */
async function fill(folder: string, jobs: number): Promise<Store> {
  const store = await openSqliteStore({ folder })
  const append = (firstIndex: number) => ({ epoch: 1, firstIndex, count: 1, records: Buffer.alloc(8), payloads: [], drops: [] })
  await store.leadership.claim({ seenEpoch: 0, leader: 'bench', pid: 0, processStart: '', address: '', opening: append(1) })
  for (let first = 1, index = 2; first <= jobs; first += rowsPerAppend, index++) {
    const rows = Array.from({ length: Math.min(rowsPerAppend, jobs - first + 1) }, (_, at) => rowOf(first + at))
    await store.journal.append({ ...append(index), history: { rows } })
  }
  return store
}

/** How long each of several pages takes, in milliseconds. */
async function pages(store: Store, asks: number, query: (ask: number) => Partial<HistoryQuery>): Promise<number[]> {
  const times: number[] = []
  for (let ask = 0; ask < asks; ask++) {
    const startedMs = performance.now()
    const { rows } = await store.history.page({ rowsMax: pageRows, ...query(ask) })
    times.push(performance.now() - startedMs)
    if (rows.length === 0) throw new Error(`no jobs for ${JSON.stringify(query(ask))}`)
  }
  return times
}

function pageFigures(what: string, times: number[]): Figure[] {
  return [
    { what: `${what}: p50`, unit: 'ms', values: [percentile(times, 0.5)], bar: { at: 5, side: 'at most' } },
    { what: `${what}: p99`, unit: 'ms', values: [percentile(times, 0.99)] },
  ]
}

/** Bytes that this process holds for a register of so many jobs. */
function registerBytes(jobs: number): number {
  const { history } = createState()
  const before = process.memoryUsage()
  for (let at = 0; at < jobs; at++) history.add(`job-${at}`, (at * 2654435761).toString(16).padStart(64, '0'), at, 10)
  const after = process.memoryUsage()
  if (history.size !== jobs) throw new Error(`the register has ${history.size} jobs of ${jobs}`)
  return after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed
}

/** Calls per second, each of them a job that ends. */
async function finishing(bench: Bench, options: readonly string[]): Promise<number> {
  const { client, process: cluster } = await bench.cluster(['--recent', String(recent), ...options])
  const count = sized(bench, callsFull, callsSmoke)
  let next = 0
  const call = async (): Promise<void> => {
    while (next++ < count) await client.submit(noop, next).then(job => job.result())
  }
  const took = await seconds(() => Promise.all(Array.from({ length: callers }, call)))
  await client.close()
  await cluster.down()
  return count / took
}

export const history: Bar = {
  name: 'history',
  title: '1,000,000 finished jobs in the history',
  async measure(bench) {
    const jobs = sized(bench, jobsFull, jobsSmoke)
    const asks = sized(bench, asksFull, asksSmoke)
    const store = await fill(`${bench.folder}/journal`, jobs)
    const figures: Figure[] = []
    const kinds: Record<string, (ask: number) => Partial<HistoryQuery>> = {
      'newest page': () => ({}),
      'a page 10,000 pages deep': ask => ({ below: 4 * (jobs / 2 + 10 - (ask % 5)) }),
      'by label, rare': () => ({ label: 'rare' }),
      'by label, that of all, and failed': () => ({ label: 'all', state: 'failed' }),
      'by state': () => ({ state: 'failed' }),
      'by name': ask => ({ name: `name ${ask % 50}` }),
      'by name and label, of which few have both': () => ({ name: 'name 0', label: 'rare' }),
      'by label and the begin of the id': ask => ({ label: 'all', prefix: prefixOf(jobs - ask) }),
      'by time': ask => ({ sinceMs: 1_700_000_000_000 + jobs / 3, untilMs: 1_700_000_000_000 + jobs / 2 + ask }),
    }
    for (const [what, query] of Object.entries(kinds)) figures.push(...pageFigures(what, await pages(store, asks, query)))
    await store.close()
    figures.push({ what: 'leader memory for it', unit: 'MB', values: [registerBytes(jobs) / megabyte], bar: { at: 40, side: 'at most' } })
    const kept: number[] = []
    const rates: number[] = []
    for (let round = 0; round < bench.repeats; round++) {
      const without = await finishing(bench, ['--history', '0'])
      const rate = await finishing(bench, [])
      rates.push(rate)
      kept.push(rate / without)
    }
    figures.push({ what: 'jobs that end and are archived', unit: 'jobs/s', values: rates })
    figures.push({ what: 'of those that end and are forgotten', unit: '×', values: kept, bar: { at: 0.8, side: 'at least' } })
    return figures
  },
}
