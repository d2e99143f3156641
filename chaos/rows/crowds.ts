// Owns the rows in which too many want something of the leader, or do not take what they asked for.
// Must not open more than the limits of this machine let it: what was opened is counted.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from '../../test/faults/harness.ts'
import type { Row } from '../row.ts'
import { type ChaosRun, underFaults } from '../run.ts'

const crowdProcesses = 2
const crowdEach = 5000
const crowdMin = 8000
const rssBytesMax = 512 * 2 ** 20
const spareDescriptors = 6
const kibibyte = 1024
const crowdModule = fileURLToPath(new URL('../crowd.ts', import.meta.url))

function rssBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * kibibyte
}

/** So many silent connections. */
class Crowd implements AsyncDisposable {
  readonly #child: ReturnType<typeof spawn>
  readonly #counted: Promise<{ open: number; failed: number }>

  constructor(port: number, count: number) {
    this.#child = spawn(process.execPath, [crowdModule, String(port), String(count)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#counted = once(createInterface({ input: this.#child.stdout! }), 'line').then(
      ([line]) => JSON.parse(String(line)) as { open: number; failed: number },
    )
  }

  /** How many were opened, once all were tried. */
  get counted(): Promise<{ open: number; failed: number }> {
    return this.#counted
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.stdin!.end()
    await gone
  }
}

async function incarnations(run: ChaosRun): Promise<string> {
  const workers = await run.cluster.client.workers()
  return workers
    .map(one => `${one.id}:${one.incarnation}`)
    .sort()
    .join(' ')
}

/** Nobody who was there before a crowd came is harmed by it. */
async function unharmed(run: ChaosRun, during: (port: number, pid: number) => Promise<void>): Promise<void> {
  const { pid, epoch, address } = await run.leader()
  const before = await incarnations(run)
  await during(Number(new URL(address).port), pid)
  const now = await run.leader()
  if (now.pid !== pid || now.epoch !== epoch) run.problem(`the leader was deposed: epoch ${now.epoch}, pid ${now.pid}`)
  if ((await incarnations(run)) !== before) run.problem(`workers were lost: ${before}, then ${await incarnations(run)}`)
}

async function storm(run: ChaosRun): Promise<void> {
  await unharmed(run, async (port, pid) => {
    const before = rssBytes(pid)
    await using one = new Crowd(port, crowdEach)
    await using other = new Crowd(port, crowdEach)
    const open = (await one.counted).open + (await other.counted).open
    await run.load.more(10)
    const grown = rssBytes(pid) - before
    if (open >= crowdMin)
      run.fault('storm', 'leader', `${open} connections by ${crowdProcesses} processes, the leader's memory grew by ${grown >> 20} MiB`)
    if (grown > rssBytesMax) run.problem(`the leader grew by ${grown >> 20} MiB under ${open} connections`)
  })
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

function limitDescriptors(pid: number, soft: string): void {
  const { status, stderr } = spawnSync('prlimit', [`--pid=${pid}`, `--nofile=${soft}:`], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`prlimit: ${stderr}`)
}

async function exhausted(run: ChaosRun): Promise<void> {
  await unharmed(run, async (port, pid) => {
    const limit = descriptors(pid) + spareDescriptors
    const before = /Max open files\s+(\d+)/.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1] ?? '20000'
    limitDescriptors(pid, String(limit))
    try {
      await using crowd = new Crowd(port, spareDescriptors * 10)
      await crowd.counted
      const used = await until('the leader has no descriptor left', () => {
        const now = descriptors(pid)
        return now >= limit - 1 && now
      })
      run.fault('no descriptors', 'leader', `${used} of ${limit} descriptors are used, ${spareDescriptors * 10} wanted in`)
      await run.load.more(10)
    } finally {
      limitDescriptors(pid, before)
    }
  })
  const fresh = await run.cluster.connect({ name: 'later' })
  await fresh.status()
}

/** Rows 45 and 46. */
export const crowdRows: readonly Row[] = [
  {
    name: 'connection-storm',
    numbers: [45],
    fault: `${crowdProcesses} processes open ${crowdEach} connections each, and say nothing`,
    holds: `calls go on, no worker is lost, the leader leads on and grows by less than ${rssBytesMax >> 20} MiB`,
    rounds: 1,
    run: () => underFaults('connection-storm', { againMax: 0, candidates: 2 }, storm),
  },
  {
    name: 'no-descriptors',
    numbers: [46],
    fault: `the leader may open ${spareDescriptors} descriptors more (prlimit), and ten times as many connections come`,
    holds: 'who is connected is served, the leader leads on; with descriptors again, new clients come in',
    rounds: 1,
    run: () => underFaults('no-descriptors', { againMax: 0, candidates: 2 }, exhausted),
  },
]
