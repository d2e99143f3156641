// Owns one run of a real cluster under load and faults: its processes, its load, its onlooker, and the check of all traces at the end.
// Must not count a fault that is not proved.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { transform } from 'esbuild'
import type { StatusView } from '../src/index.ts'
import { alive, FaultCluster, until } from '../test/faults/harness.ts'
import { Load } from './load/load.ts'
import type { RowOutcome } from './row.ts'
import { checkTrace, type Demands, type TraceReport } from './trace/check.ts'
import { mergedTraces, Trace } from './trace/events.ts'
import { followedHome, Watcher } from './trace/watcher.ts'

const problemsTold = 8
const lookEveryMs = 5

/** What a run begins with. */
export interface RunOptions extends Demands {
  candidates?: number
  /** More options of `cox up`. */
  args?: readonly string[]
  witnesses?: number
  /** A state folder elsewhere, which stays. */
  at?: string
}

/** The letter that the system has for a process: `T` is stopped. */
export function processState(pid: number): string {
  try {
    return /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1] ?? ''
  } catch {
    return ''
  }
}

/** Waits that long. The only ones who may are those who make a fault of a certain length. */
export function pauseMs(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

/** Kills a process; resolves with the proof that it is gone. */
export async function killed(pid: number): Promise<string> {
  process.kill(pid, 'SIGKILL')
  while (alive(pid)) await pauseMs(lookEveryMs)
  return `pid ${pid} is gone`
}

/** Stops a process; resolves with the proof, or undefined where it ended instead. */
export async function stopped(pid: number): Promise<string | undefined> {
  process.kill(pid, 'SIGSTOP')
  while (alive(pid) && processState(pid) !== 'T') await pauseMs(lookEveryMs)
  return processState(pid) === 'T' ? `pid ${pid} is in state T` : undefined
}

/** A cluster under load. */
export class ChaosRun {
  readonly cluster: FaultCluster
  readonly load: Load
  readonly folder: string
  readonly watcher: Watcher
  readonly #trace: Trace
  /** More that did not hold, found on the way. */
  readonly problems: string[] = []

  constructor(cluster: FaultCluster) {
    this.cluster = cluster
    this.folder = cluster.path('trace')
    mkdirSync(this.folder)
    this.#trace = new Trace(this.folder, 'faults')
    this.watcher = new Watcher(followedHome(cluster.home), new Trace(this.folder, 'onlooker'))
    this.load = new Load('load', cluster.client, this.clientTrace('client'), this.watcher, this.folder)
  }

  /** The trace of one more client. */
  clientTrace(name: string): Trace {
    return new Trace(this.folder, name)
  }

  /** Writes a fault down, which happened for certain. */
  fault(kind: string, target: string, proof: string): void {
    this.#trace.write({ ev: 'fault', class: kind, target, proof })
  }

  /** Something did not hold. */
  problem(text: string): void {
    this.problems.push(text)
  }

  async leader(): Promise<StatusView['leader']> {
    return (await this.cluster.client.status()).leader
  }

  /** The leader of a later epoch. */
  next(epoch: number): Promise<StatusView['leader']> {
    return until(`a leader behind epoch ${epoch}`, async () => {
      const leader = await this.leader()
      return leader.epoch > epoch && leader
    })
  }

  /** Waits until so many stand by. */
  standbys(count: number): Promise<StatusView> {
    return until(`${count} standbys`, async () => {
      const status = await this.cluster.client.status()
      return status.candidates.filter(one => one.state === 'standby').length >= count && status
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

  /** Ends the load and the cluster, and holds what was traced to all rules. */
  async finish(demands: Demands): Promise<TraceReport> {
    await this.load.stop(path => writeFileSync(path, ''))
    const down = await this.cluster.cox(['down', '--json'])
    if (down.code !== 0) this.problem(`cox down: ${down.stdout}`)
    return checkTrace(mergedTraces(this.folder), await this.watcher.finish(), demands)
  }
}

/** Keeps the merged trace, nodes' logs and journal of a run that broke something; says where. */
function kept(run: ChaosRun, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `cox-chaos-broke-${name}-`))
  const lines = mergedTraces(run.folder).map(event => JSON.stringify(event))
  writeFileSync(join(folder, 'merged.jsonl'), `${lines.join('\n')}\n`)
  cpSync(join(run.cluster.home, 'logs'), join(folder, 'logs'), { recursive: true })
  cpSync(join(run.cluster.home, 'journal'), join(folder, 'journal'), { recursive: true })
  return folder
}

/**
 * The bundler's service is a process of ours that lives on. Started here it does not have a cluster's folder in its environment: the end of a cluster
 * kills every process that has.
 */
async function bundlerApart(): Promise<void> {
  delete process.env['COX_HOME']
  await transform('')
}

/** Runs a cluster under load, makes faults, and checks everything. */
export async function underFaults(name: string, options: RunOptions, faults: (run: ChaosRun) => Promise<void>): Promise<RowOutcome> {
  const { candidates = 3, args = [], witnesses = 1, at, ...demands } = options
  const up = ['--candidates', String(candidates), '--workers', '2', '--cpus', '2', '--executors', '2', ...args]
  await bundlerApart()
  await using cluster = await FaultCluster.start(`chaos-${name}`, up, at)
  const run = new ChaosRun(cluster)
  await run.watcher.start()
  run.load.start({ witnesses })
  try {
    await run.load.more(3)
    await faults(run)
    await run.load.more(3)
  } catch (error) {
    run.problem(error instanceof Error ? error.message : String(error))
  }
  const report = await run.finish(demands)
  const problems = [...run.problems, ...report.violations.map(({ rule, text }) => `${rule}: ${text}`)]
  if (problems.length > 0) problems.push(`the traces, logs and the journal are in ${kept(run, name)}`)
  if (problems.length > problemsTold) problems.splice(problemsTold - 1, problems.length - problemsTold, '…')
  const { calls, callsOk, epochs, records, again, payloadsRead, payloadsGone } = report
  const told = `${report.faults} faults, ${epochs} epochs, ${callsOk}/${calls} calls, ${records} records, ${payloadsRead} payloads read (${payloadsGone} released before), ${again} attempts started twice`
  return { fired: report.faults, calls, callsOk, problems, told }
}
