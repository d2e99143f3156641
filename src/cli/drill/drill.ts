// Owns one run of `cox drill`: load, faults, checks, and the report.
// Must not call a drill passed that did not check everything it acknowledged.
import { setMaxListeners } from 'node:events'
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
import { leaderProcess } from '../state/leader-process.ts'
import { liveSupervisor } from '../state/up-file.ts'
import type { DrillOptions } from '../verbs/drill.ts'
import { caughtUp, type Fault, type FaultKind, Faults } from './faults.ts'
import { judge, knownAfterMs, type Row, type Verdict } from './judge.ts'
import { Load, type LoadCounts } from './load.ts'

/** So long standbys that are starting are waited for. */
const standbysMsMax = 15_000
const lookEveryMs = 50
/** So long it is waited until the witness runs; where it does not, the cluster is busy with other work. */
const witnessMsMax = 15_000

/** What a drill found, as --json prints it. */
interface Report extends LoadCounts, Verdict {
  standbys: number
  epochs: { first: number; last: number }
  faults: Fault[]
  troubles: string[]
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

/** Waits until the witness has run for so long that the journal knows of it: then no fault excuses that it runs again. */
async function witnessRuns(trace: string, signal: AbortSignal): Promise<void> {
  const untilMs = performance.now() + witnessMsMax
  for (;;) {
    signal.throwIfAborted()
    const line = readFileSync(trace, 'utf8')
      .split('\n')
      .find(one => one.startsWith('witness-'))
    if (line && Date.now() - Number(line.split(' ')[2]) > knownAfterMs) return
    if (performance.now() > untilMs)
      throw new CoxswainError(
        'UNAVAILABLE',
        `No call of the drill ran for ${witnessMsMax / 1000} s: the cluster is too busy to be drilled.`,
      )
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
  // Also where nobody is signalled: its calls leave lines in files of this machine.
  leaderProcess(home, before)
  if (!before.workers.some(worker => worker.state === 'ready'))
    throw new CoxswainError('UNAVAILABLE', 'No worker is there that could run the calls of a drill.')
  const folder = mkdtempSync(join(home.path, 'drill-'))
  const files = { trace: join(folder, 'trace'), gate: join(folder, 'gate'), id: `drill-${Date.now()}` }
  writeFileSync(files.trace, '', { mode: 0o600 })
  const load = new Load(cluster, probe, files, signal)
  const actions = new Faults(cluster, home, load, signal)
  const faults: Fault[] = []
  try {
    // With one executor for everything, a witness would be all that runs.
    const witness = before.workers.reduce((sum, worker) => sum + worker.capacity.cpuMillis, 0) >= 2000
    load.start(witness)
    await load.heard()
    if (witness) await witnessRuns(files.trace, signal)
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
    const { counts, troubles } = load
    const epochs = { first: before.leader.epoch, last: after.leader.epoch }
    return { ...judge(counts, readFileSync(files.trace, 'utf8'), faults), standbys, epochs, faults, ...counts, troubles }
  } finally {
    await load.abandon()
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
      // Each wait of the drill listens to it.
      setMaxListeners(0, signal)
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
