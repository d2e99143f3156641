// Owns the measuring of one bar, in a process of its own: memory and compiled code of one bar must not weigh on the next.
// Must not print: the figures go to the process that started this one.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '../src/index.ts'
import type { Bench, Figure, Rounds } from './bar.ts'
import { bars } from './bars/index.ts'
import { ClusterProcess } from './cluster.ts'
import { type MachineLimits, measureMachine } from './machine.ts'

/** What to measure, as the first message says. */
export interface Order extends Rounds {
  bar: string
  /** `node` arguments that start `cox`. */
  cox: string[]
}

/** What comes back. */
export interface Measured {
  machine: MachineLimits
  figures: Figure[]
}

/** Clusters of the bars: two workers of one executor each. */
const clusterOptions = ['--workers', '2', '--executors', '1']

/** In a smoke the machine is not what counts. */
const smokeRateMs = 40

async function measure(order: Order): Promise<Measured> {
  const bar = bars.find(one => one.name === order.bar)
  if (!bar) throw new Error(`there is no bar ${order.bar}`)
  const machine = await measureMachine(bar.journalBytesPerTask, order.smoke ? smokeRateMs : undefined)
  const folder = mkdtempSync(join(tmpdir(), 'coxswain-bench-files-'))
  const started: { process: ClusterProcess; client?: Cluster }[] = []
  const bench: Bench = {
    ...order,
    machine,
    folder,
    async cluster(options = clusterOptions) {
      const entry: { process: ClusterProcess; client?: Cluster } = { process: new ClusterProcess(order.cox) }
      started.push(entry)
      await entry.process.up(options)
      entry.client = await entry.process.connect()
      return { process: entry.process, client: entry.client }
    },
  }
  const end = async (): Promise<void> => {
    for (const { client, process: cluster } of started) {
      await client?.close()
      await cluster.down()
    }
    rmSync(folder, { recursive: true, force: true })
  }
  // Whoever ends the bench must not have to look for its clusters.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end().finally(() => process.exit(1)))
  try {
    return { machine, figures: await bar.measure(bench) }
  } finally {
    await end()
  }
}

process.once('message', (order: Order) => {
  measure(order).then(
    measured => process.send!(measured, () => process.exit(0)),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
      process.exit(1)
    },
  )
})
