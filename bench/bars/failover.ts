// Owns the bars of failover: how long the next acknowledged write takes after the leader was killed, frozen, promoted away or asked to end.
// Must not inflict or check what `cox drill` does itself: it is run as users run it. Only SIGTERM, which it does not know, is done here.
import type { Cluster } from '../../src/index.ts'
import { type Bar, type Bench, type Figure, sized } from '../bar.ts'
import { Callers } from '../callers.ts'
import type { ClusterProcess } from '../cluster.ts'
import { pause } from '../pause.ts'
import { percentile } from '../statistics.ts'
import { caughtUp } from './standbys.ts'

/** Two standbys: whoever died is on its way back while the next one leads. */
const clusterOptions = ['--workers', '2', '--executors', '2', '--candidates', '3']
const standbyCount = 2
/** Under load a standby is never quite at the end. */
const lagRecordsMax = 1000
const drillMsMax = 600_000
const lookEveryMs = 5
const takeoverMsMax = 30_000

/** What of `cox drill --json` is used here. */
interface DrillReport {
  kept: boolean
  calls: number
  failed: number
  wrong: number
  acknowledged: number
  lost: number
  rerun: number
  survivorsRerun: number
  faults: { gapMs: number; frozen?: string }[]
}

/** One drill per repeat, each with so many faults of one kind; it ends with an error, and so does the bar, where a promise broke. */
export async function drills(
  bench: Bench,
  kind: 'kills' | 'freezes' | 'promotes',
  cluster: ClusterProcess,
  times: number,
): Promise<DrillReport[]> {
  const reports: DrillReport[] = []
  for (let round = 0; round < bench.repeats; round++)
    reports.push(JSON.parse(await cluster.run(['drill', '--json', `--${kind}`, String(times)], drillMsMax)) as DrillReport)
  return reports
}

/** What each fault of each round cost, in milliseconds. */
export const gapsOf = (reports: readonly DrillReport[]): number[][] => reports.map(({ faults }) => faults.map(({ gapMs }) => gapMs))

function sum(reports: readonly DrillReport[], of: (report: DrillReport) => number): number {
  return reports.reduce((total, report) => total + of(report), 0)
}

/** What a fault costs: its middle in each round, the slowest share and the slowest of all rounds together. */
export function gapFigures(what: string, rounds: readonly number[][], bars: { p50Ms?: number; p99Ms?: number; maxMs?: number }): Figure[] {
  const all = rounds.flat()
  const bar = (at: number | undefined) => (at === undefined ? {} : { bar: { at, side: 'at most' as const } })
  return [
    { what: `${what} p50`, unit: 'ms', values: rounds.map(gaps => percentile(gaps, 0.5)), ...bar(bars.p50Ms) },
    { what: `${what} p99 of ${all.length}`, unit: 'ms', values: [percentile(all, 0.99)], ...bar(bars.p99Ms) },
    { what: `${what} max of ${all.length}`, unit: 'ms', values: [Math.max(...all)], ...bar(bars.maxMs) },
  ]
}

/** What must not happen, and how much was looked at. */
export function promiseFigures(reports: readonly DrillReport[]): Figure[] {
  const none = { at: 0, side: 'at most' as const }
  const [calls, jobs] = [sum(reports, one => one.calls), sum(reports, one => one.acknowledged)]
  const again = sum(reports, one => one.rerun)
  return [
    { what: 'calls failed or wrong', unit: `of ${calls}`, values: [sum(reports, one => one.failed + one.wrong)], bar: none },
    { what: 'acknowledged jobs lost', unit: `of ${jobs}`, values: [sum(reports, one => one.lost)], bar: none },
    { what: 'survivors run again', unit: `of ${again} run again`, values: [sum(reports, one => one.survivorsRerun)], bar: none },
  ]
}

export const failover: Bar = {
  name: 'failover',
  title: 'SIGKILL of the leader under load to the next acknowledged write (`cox drill`, 20 kills a round)',
  async measure(bench) {
    const { process: cluster } = await bench.cluster(clusterOptions)
    const reports = await drills(bench, 'kills', cluster, sized(bench, 20, 2))
    return [...gapFigures('kill', gapsOf(reports), { p50Ms: 400, p99Ms: 1000 }), ...promiseFigures(reports)]
  },
}

export const frozenLeader: Bar = {
  name: 'frozen-leader',
  title: 'SIGSTOP of the leader to the next acknowledged write, then SIGCONT (`cox drill`, 10 freezes a round)',
  async measure(bench) {
    const { process: cluster } = await bench.cluster(clusterOptions)
    const reports = await drills(bench, 'freezes', cluster, sized(bench, 10, 1))
    const fenced = reports.flatMap(({ faults }) => faults).filter(fault => fault.frozen === 'fenced by a kill').length
    const figures: Figure[] = [
      ...gapFigures('freeze', gapsOf(reports), { maxMs: 5000 }),
      { what: 'fenced by a kill', unit: `of ${gapsOf(reports).flat().length}`, values: [fenced] },
      ...promiseFigures(reports),
    ]
    return figures
  },
}

/** Asks the leader to end; resolves when the next one leads. */
async function terminate(client: Cluster): Promise<void> {
  const { leader } = await client.status()
  process.kill(leader.pid, 'SIGTERM')
  const untilMs = performance.now() + takeoverMsMax
  while ((await client.status()).leader.epoch === leader.epoch) {
    if (performance.now() > untilMs) throw new Error(`${leader.id} with pid ${leader.pid} was asked to end and still leads`)
    await pause(lookEveryMs)
  }
}

export const handOver: Bar = {
  name: 'hand-over',
  title: '`cox promote` and SIGTERM of the leader under load: the longest pause between two acknowledged writes (20 of each a round)',
  async measure(bench) {
    const { client, process: cluster } = await bench.cluster(clusterOptions)
    const times = sized(bench, 20, 1)
    const promotes = await drills(bench, 'promotes', cluster, times)
    const callers = new Callers(client, await cluster.connect())
    const rounds: number[][] = []
    for (let round = 0; round < bench.repeats; round++) {
      const gaps: number[] = []
      for (let time = 0; time < times; time++) {
        await caughtUp(client, standbyCount, lagRecordsMax)
        gaps.push(await callers.longestPauseMs(() => terminate(client)))
      }
      rounds.push(gaps)
    }
    await callers.stop()
    const figures: Figure[] = [
      ...gapFigures('promote', gapsOf(promotes), { p99Ms: 200 }),
      ...promiseFigures(promotes),
      ...gapFigures('SIGTERM', rounds, { p99Ms: 200 }),
      // A call that fails and a job that is lost end the bar with their error.
      { what: 'SIGTERM: all well', unit: `calls, and ${callers.jobs} acknowledged jobs`, values: [callers.calls] },
    ]
    return figures
  },
}
