// Owns one run of a cluster on hosts under load and faults, and the check of all traces at its end.
// Must not count a fault that is not proved.
import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../../test/faults/harness.ts'
import { Load } from '../load/load.ts'
import type { RowOutcome } from '../row.ts'
import { killed, stopped } from '../run.ts'
import { checkTrace, type Demands, type TraceReport } from '../trace/check.ts'
import { mergedTraces, Trace } from '../trace/events.ts'
import { Watcher } from '../trace/watcher.ts'
import { HostCluster } from './cluster.ts'
import type { Hosts } from './network.ts'
import { timesText } from './row.ts'

/** Where no worker dies nothing runs again that was handed out for certain. */
export const onlyTheLost: Demands = { againMax: 0, againAssigned: true }

const problemsTold = 8

/** A cluster on hosts under load. */
export class HostRun {
  readonly cluster: HostCluster
  readonly hosts: Hosts
  readonly load: Load
  readonly folder: string
  readonly watcher: Watcher
  readonly #trace: Trace
  readonly #timesMs = new Map<string, number[]>()
  /** More that did not hold, found on the way. */
  readonly problems: string[] = []
  /** More that was counted. */
  readonly notes: string[] = []

  constructor(cluster: HostCluster) {
    this.cluster = cluster
    this.hosts = cluster.hosts
    this.folder = join(cluster.folder, 'trace')
    mkdirSync(this.folder)
    this.#trace = new Trace(this.folder, 'faults')
    const followed = { open: () => cluster.store(), homes: cluster.homes }
    this.watcher = new Watcher(followed, new Trace(this.folder, 'onlooker'))
    this.load = new Load('load', cluster.client, new Trace(this.folder, 'client'), this.watcher, this.folder)
  }

  /** Writes a fault down, which happened for certain. */
  fault(kind: string, target: string, proof: string): void {
    this.#trace.write({ ev: 'fault', class: kind, target, proof })
  }

  /** Something did not hold. */
  problem(text: string): void {
    this.problems.push(text)
  }

  /** How long something took; more than the bar is a problem. */
  took(what: string, ms: number, barMs = Number.POSITIVE_INFINITY): void {
    const times = this.#timesMs.get(what) ?? []
    this.#timesMs.set(what, [...times, ms])
    if (ms > barMs) this.problem(`${what} took ${Math.round(ms)} ms, more than ${barMs} ms`)
  }

  timesOf(what: string): readonly number[] {
    return this.#timesMs.get(what) ?? []
  }

  get figures(): string[] {
    return [...[...this.#timesMs].map(([what, times]) => timesText(what, times)), ...this.notes]
  }

  /** Waits until so many stand by. */
  standbys(count: number): Promise<unknown> {
    return until(`${count} standbys`, async () => {
      const { candidates } = await this.cluster.client.status()
      return candidates.filter(one => one.state === 'standby').length >= count
    })
  }

  /** The leader of a later epoch. */
  next(epoch: number): ReturnType<HostCluster['leader']> {
    return until(`a leader behind epoch ${epoch}`, async () => {
      const leader = await this.cluster.leader()
      return leader.epoch > epoch && leader
    })
  }

  /** Kills a process, and proves it. */
  async kill(pid: number, target: string): Promise<void> {
    this.fault('SIGKILL', target, await killed(pid))
  }

  /** Stops a process, and proves it. */
  async stop(pid: number, target: string): Promise<void> {
    const proof = await stopped(pid)
    if (proof !== undefined) this.fault('SIGSTOP', target, proof)
  }

  /** Makes a cut at hosts while `during` runs, heals it, and proves that it was felt by the packets that were dropped there. */
  async whileCut(at: number | readonly number[], what: string, cut: () => void, during: () => Promise<void>): Promise<void> {
    const count = (): number => [at].flat().reduce((sum, host) => sum + this.hosts.dropped(host), 0)
    const before = count()
    cut()
    try {
      await during()
    } finally {
      const dropped = count() - before
      this.hosts.heal()
      if (dropped > 0) this.fault('cut', what, `${dropped} packets dropped at host ${[at].flat().join()}`)
      else this.problem(`${what}: no packet was dropped`)
    }
  }

  /** Ends the load and the cluster, and holds what was traced to all rules. */
  async finish(demands: Demands): Promise<TraceReport> {
    await this.load.stop(path => writeFileSync(path, ''))
    await this.cluster.end()
    await this.cluster.etcd.ready()
    return checkTrace(mergedTraces(this.folder), await this.watcher.finish(), demands)
  }
}

/** Keeps the merged trace and nodes' logs of a run that broke something; says where. */
function kept(run: HostRun, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `cox-hosts-broke-${name}-`))
  writeFileSync(
    join(folder, 'merged.jsonl'),
    `${mergedTraces(run.folder)
      .map(event => JSON.stringify(event))
      .join('\n')}\n`,
  )
  for (const home of run.cluster.homes) cpSync(join(home, 'logs'), join(folder, home.slice(home.lastIndexOf('/') + 1)), { recursive: true })
  return folder
}

/** Runs a cluster on hosts under load, makes faults, and checks everything. */
export async function underHosts(
  name: string,
  hosts: Hosts,
  demands: Demands,
  faults: (run: HostRun) => Promise<void>,
): Promise<RowOutcome> {
  await using cluster = await HostCluster.start(hosts)
  const run = new HostRun(cluster)
  await run.watcher.start()
  run.load.start()
  try {
    await run.load.more(3)
    await faults(run)
    await run.load.more(3)
  } catch (error) {
    run.problem(error instanceof Error ? error.message : String(error))
  }
  hosts.heal()
  const report = await run.finish(demands)
  const problems = [...run.problems, ...report.violations.map(({ rule, text }) => `${rule}: ${text}`)]
  if (problems.length > 0) problems.push(`the traces and logs are in ${kept(run, name)}`)
  if (problems.length > problemsTold) problems.splice(problemsTold - 1, problems.length - problemsTold, '…')
  const { calls, callsOk, epochs, records, again } = report
  const counted = `${report.faults} faults, ${epochs} epochs, ${callsOk}/${calls} calls, ${records} records, ${again} attempts started twice`
  return { fired: report.faults, calls, callsOk, problems, told: [...run.figures, counted].join('; ') }
}
