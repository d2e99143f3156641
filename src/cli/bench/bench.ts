// Owns the short bench that an installed `cox` has, and the way to the long one in a checkout.
// Must not judge: bars and peers are in the project's bench/.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Cluster, connect } from '../../client/index.ts'
import { exitCodes } from '../exit.ts'
import { interruption } from '../interrupt.ts'
import { printJson, printLine } from '../output/print.ts'
import { tableLines } from '../output/table.ts'
import { countText } from '../output/text.ts'
import { startOwnCluster } from '../own-cluster.ts'
import { readEndpoint } from '../state/endpoint.ts'
import { Home } from '../state/home.ts'
import { liveSupervisor } from '../state/up-file.ts'
import type { BenchOptions } from '../verbs/bench.ts'
import { nothing } from './tasks.ts'

const warmUpTasks = 20_000
const mapTasks = 200_000
const warmUpCalls = 50
const calls = 500

interface Measured {
  what: string
  value: number
  unit: string
}

function* numbers(count: number): Generator<number> {
  for (let number = 0; number < count; number++) yield number
}

async function mapAll(cluster: Cluster, count: number, signal: AbortSignal): Promise<number> {
  const startMs = performance.now()
  let sum = 0
  for await (const number of cluster.map(nothing, numbers(count), { signal })) sum += number
  if (sum !== (count * (count - 1)) / 2) throw new Error(`The sum of ${count} results is ${sum}.`)
  return count / ((performance.now() - startMs) / 1000)
}

async function roundTrips(cluster: Cluster, count: number, signal: AbortSignal): Promise<number[]> {
  const times: number[] = []
  for (let call = 0; call < count; call++) {
    const startMs = performance.now()
    await cluster.run(nothing, call, { signal })
    times.push(performance.now() - startMs)
  }
  return times.sort((a, b) => a - b)
}

/** Measures a cluster. */
async function measure(cluster: Cluster, signal: AbortSignal): Promise<Measured[]> {
  await mapAll(cluster, warmUpTasks, signal)
  const perSecond = await mapAll(cluster, mapTasks, signal)
  await roundTrips(cluster, warmUpCalls, signal)
  const times = await roundTrips(cluster, calls, signal)
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!
  return [
    { what: `durable no-op tasks through map, ${countText(mapTasks)} of them`, value: Math.round(perSecond), unit: 'tasks/s' },
    { what: `round trip of one durable call, p50 of ${calls}`, value: at(0.5), unit: 'ms' },
    { what: `round trip of one durable call, p99 of ${calls}`, value: at(0.99), unit: 'ms' },
  ]
}

async function short(options: BenchOptions): Promise<Measured[]> {
  const signal = interruption()
  const named = options.url ?? process.env.COX_URL
  const home = new Home()
  const own = named !== undefined || (readEndpoint(home) && liveSupervisor(home)) ? undefined : await startOwnCluster({}, signal)
  try {
    const url = own?.url ?? named
    const tokenFile = own?.tokenFile ?? options.tokenFile
    await using cluster = await connect({
      name: 'cox bench',
      signal,
      timeout: options.connectTimeout,
      ...(url === undefined ? {} : { url }),
      ...(tokenFile === undefined ? {} : { tokenFile }),
    })
    return await measure(cluster, signal)
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  } finally {
    await own?.stop()
  }
}

/** Runs the bench; returns the exit code. */
export async function bench(args: readonly string[], options: BenchOptions): Promise<number> {
  const project = fileURLToPath(new URL('../../../bench/main.ts', import.meta.url))
  if (!options.short && existsSync(project)) {
    const passed = options.json ? [...args, '--json', '-'] : args
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', project, ...passed], { stdio: 'inherit' })
    interruption(() => child.kill('SIGKILL')).addEventListener('abort', () => child.kill('SIGINT'))
    const [code] = (await once(child, 'exit')) as [number | null]
    return code ?? exitCodes.interrupted
  }
  const measured = await short(options)
  if (options.json) printJson({ measured })
  else {
    const columns = [
      { title: 'WHAT', text: (one: Measured) => one.what },
      {
        title: 'MEASURED',
        align: 'right' as const,
        text: (one: Measured) => (one.unit === 'ms' ? one.value.toFixed(2) : countText(one.value)),
      },
      { title: '', text: (one: Measured) => one.unit },
    ]
    for (const line of tableLines(columns, measured)) printLine(line)
  }
  return exitCodes.ok
}
