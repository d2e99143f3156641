// Owns one run of `cox drill`: load, faults, checks, and the report.
// Must not call a drill passed that did not check everything it acknowledged.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Cluster, connect, type StatusView } from '../../client/index.ts'
import { CoxswainError } from '../../protocol/index.ts'
import { withCluster } from '../cluster.ts'
import { exitCodes } from '../exit.ts'
import { printJson, printLine, printNotice } from '../output/print.ts'
import { tableLines } from '../output/table.ts'
import { countText, durationText, harmless, styled } from '../output/text.ts'
import { Home } from '../state/home.ts'
import { liveSupervisor } from '../state/up-file.ts'
import type { DrillOptions } from '../verbs/drill.ts'
import { caughtUp, type Fault, type FaultKind, Faults } from './faults.ts'
import { Load, type LoadCounts } from './load.ts'

/** An attempt that began this long before a fault is known to the journal: it must not run again because of it. */
const knownAfterMs = 250
/** So long standbys that are starting are waited for. */
const standbysMsMax = 15_000
const lookEveryMs = 50

interface Row {
  kind: FaultKind
  times: number
  p50Ms: number
  p99Ms: number
  maxMs: number
}

/** What a drill found, as --json prints it. */
interface Report extends LoadCounts {
  kept: boolean
  standbys: number
  epochs: { first: number; last: number }
  rows: Row[]
  faults: Fault[]
  /** Attempts that ran again, and those of them that a journaled attempt's survival should have spared. */
  rerun: number
  survivorsRerun: number
  troubles: string[]
}

function rowsOf(faults: readonly Fault[]): Row[] {
  return (['kill', 'freeze', 'promote'] as const).flatMap(kind => {
    const gaps = faults
      .filter(fault => fault.kind === kind)
      .map(fault => fault.gapMs)
      .sort((a, b) => a - b)
    const at = (share: number): number => gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * share))]!
    return gaps.length === 0 ? [] : [{ kind, times: gaps.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: gaps.at(-1)! }]
  })
}

/**
 * Counts in the lines of the calls how many ran again, and how many of those must not: what began from a moment before a fault until the next
 * leader wrote may be unknown to the journal, everything else is not.
 */
export function rerunsOf(trace: string, faults: readonly Pick<Fault, 'atMs' | 'gapMs'>[]): { rerun: number; survivorsRerun: number } {
  const starts = new Map<string, number[]>()
  for (const line of trace.split('\n').filter(Boolean)) {
    const [key = '', , at] = line.split(' ')
    starts.set(key, [...(starts.get(key) ?? []), Number(at)])
  }
  let rerun = 0
  let survivorsRerun = 0
  for (const [first = 0, ...again] of starts.values()) {
    const unknown = faults.some(({ atMs, gapMs }) => first >= atMs - knownAfterMs && first <= atMs + gapMs + knownAfterMs)
    rerun += again.length
    if (!unknown) survivorsRerun += again.length
  }
  return { rerun, survivorsRerun }
}

/** The faults in turn, so that each kind meets a cluster that has been through the others. */
function* inTurn(options: DrillOptions): Generator<FaultKind> {
  const asked = options.kills !== undefined || options.freezes !== undefined || options.promotes !== undefined
  const left = asked
    ? { kill: options.kills ?? 0, freeze: options.freezes ?? 0, promote: options.promotes ?? 0 }
    : { kill: 5, freeze: options.restart ? 0 : 1, promote: options.restart ? 0 : 5 }
  while (left.kill + left.freeze + left.promote > 0)
    for (const kind of ['kill', 'promote', 'freeze'] as const)
      if (left[kind]-- > 0) yield kind
      else left[kind] = 0
}

function refuseWithout(standbys: number, kinds: readonly FaultKind[], options: DrillOptions): void {
  if (kinds.length === 0) throw new CoxswainError('USAGE', 'There is nothing to do: ask for kills, freezes or promotes.')
  if (standbys > 0) return
  if (!options.restart)
    throw new CoxswainError(
      'USAGE',
      'Nobody stands by in this cluster, so nobody can take over: start it with `cox up --candidates 2`. To measure instead how long the supervisor takes to start the killed leader again, add --restart.',
    )
  if (kinds.some(kind => kind !== 'kill'))
    throw new CoxswainError('USAGE', 'Without a standby only kills can be measured: --restart goes with --kills.')
}

/** The status when so many standbys are there, or when it was waited long enough for them. */
async function statusWith(cluster: Cluster, standbys: number, signal: AbortSignal): Promise<StatusView> {
  const untilMs = performance.now() + standbysMsMax
  for (;;) {
    signal.throwIfAborted()
    const status = await cluster.status()
    if (caughtUp(status) >= standbys || performance.now() > untilMs) return status
    await new Promise<void>(resolve => setTimeout(resolve, lookEveryMs))
  }
}

/** Drills one cluster. */
async function perform(cluster: Cluster, probe: Cluster, options: DrillOptions, signal: AbortSignal): Promise<Report> {
  const kinds = [...inTurn(options)]
  const home = new Home()
  // Standbys that still start are waited for: who has one candidate is told so at once.
  const expected = (liveSupervisor(home)?.nodes.filter(node => node.name.startsWith('candidate-')).length ?? 1) - 1
  const before = await statusWith(cluster, expected, signal)
  const standbys = caughtUp(before)
  refuseWithout(standbys, kinds, options)
  const folder = mkdtempSync(join(home.path, 'drill-'))
  const files = { trace: join(folder, 'trace'), gate: join(folder, 'gate'), id: `drill-${Date.now()}` }
  writeFileSync(files.trace, '', { mode: 0o600 })
  const load = new Load(cluster, probe, files)
  const actions = new Faults(cluster, home, load, signal)
  const faults: Fault[] = []
  try {
    // With one executor for everything, a witness would be all that runs.
    load.start(before.workers.reduce((sum, worker) => sum + worker.capacity.cpuMillis, 0) >= 2000)
    await load.heard()
    for (const kind of kinds) {
      const fault = await actions.inflict(kind)
      faults.push(fault)
      if (!options.json) printNotice(faultText(fault, faults.length, kinds.length))
      await load.check()
      await actions.standbys(standbys)
    }
    writeFileSync(files.gate, '')
    await load.stop()
    const after = await cluster.status()
    const reruns = rerunsOf(readFileSync(files.trace, 'utf8'), faults)
    const { counts, troubles } = load
    const kept = counts.failed + counts.wrong + counts.lost + reruns.survivorsRerun === 0
    const epochs = { first: before.leader.epoch, last: after.leader.epoch }
    return { kept, standbys, epochs, rows: rowsOf(faults), faults, ...counts, ...reruns, troubles }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function faultText({ kind, leader, pid, next, epoch, gapMs, frozen }: Fault, at: number, of: number): string {
  const what = { kill: 'killed', freeze: 'frozen', promote: 'relieved' }[kind]
  const how = frozen ? ` (${frozen})` : ''
  return `${at}/${of} ${harmless(leader)} (pid ${pid}) was ${what}${how}; ${harmless(next)} leads, epoch ${epoch}; next acknowledged write after ${durationText(gapMs)}`
}

function print(report: Report): void {
  const ms = (of: (row: Row) => number) => (row: Row) => durationText(of(row))
  const columns = [
    { title: 'LEADER', text: (row: Row) => row.kind },
    { title: 'TIMES', align: 'right' as const, text: (row: Row) => String(row.times) },
    { title: 'NEXT WRITE P50', align: 'right' as const, text: ms(row => row.p50Ms) },
    { title: 'P99', align: 'right' as const, text: ms(row => row.p99Ms) },
    { title: 'MAX', align: 'right' as const, text: ms(row => row.maxMs) },
  ]
  for (const line of tableLines(columns, report.rows)) printLine(line)
  printLine()
  const { calls, failed, wrong, acknowledged, lost, rerun, survivorsRerun, epochs } = report
  printLine(`  ${countText(calls)} calls: ${failed} failed, ${wrong} with a wrong result`)
  printLine(`  ${countText(acknowledged)} acknowledged jobs: ${lost} lost`)
  printLine(`  ${rerun} attempts ran again, ${survivorsRerun} of them that must not; epochs ${epochs.first} to ${epochs.last}`)
  for (const trouble of report.troubles) printLine(`  ${styled('red', harmless(trouble))}`)
  printLine(
    report.kept ? styled('green', 'Every promise was kept.') : styled('red', 'A PROMISE WAS BROKEN; please report it with this text.'),
  )
}

/** Runs the drill; returns the exit code. */
export function drill(options: DrillOptions): Promise<number> {
  return withCluster(
    options,
    async (cluster, signal) => {
      await using probe = await connect({
        name: 'cox drill',
        signal,
        local: false,
        ...(options.url === undefined ? {} : { url: options.url }),
        ...(options.tokenFile === undefined ? {} : { tokenFile: options.tokenFile }),
      })
      const report = await perform(cluster, probe, options, signal)
      if (options.json) printJson(report)
      else print(report)
      return report.kept ? exitCodes.ok : exitCodes.failed
    },
    { endsItself: true },
  )
}
