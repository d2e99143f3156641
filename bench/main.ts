// Owns `npm run bench`: which bars and peers are measured, in which order, and what is told about them.
// Must not fail because a bar is missed, unless --check asks for that; a bar that does not work always fails.
import { type ChildProcess, fork } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, release as kernel, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Bar, Figure } from './bar.ts'
import { bars } from './bars/index.ts'
import type { Measured, Order } from './one.ts'
import { bullmqFigures } from './peers/bullmq.ts'
import { pythonPeers } from './peers/python.ts'
import { runProgram } from './program.ts'
import { figureText, median } from './statistics.ts'
import { figureLines, machineLine, met } from './table.ts'

const help = `npm run bench -- [options]
  --only NAME[,NAME]  these bars or peers only: ${[...bars.map(bar => bar.name), 'bullmq', 'ray', 'dask', 'spark'].join(', ')}
  --repeats N         measure each N times (default 5)
  --smoke             tiny sizes, once: only that everything works
  --sources           clusters from the sources, not from a build of them: what users install has no types to strip
  --no-peers          without BullMQ, Ray, Dask and Spark
  --json FILE         write all figures to FILE
  --check             exit 1 where a bar is missed
`

/** Where the clusters' program is built, away from dist/, which others may be building. */
const buildFolder = '.cox/bench'
/** One bar may take this long. */
const barTimeoutMs = 900_000
/** Times BullMQ's rate that ours must be. */
const timesBullmq = 30

interface Row {
  name: string
  title: string
  figures: Figure[]
  machine?: Measured['machine']
  failed?: boolean
}

function parse(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      repeats: { type: 'string', default: '5' },
      smoke: { type: 'boolean', default: false },
      sources: { type: 'boolean', default: false },
      peers: { type: 'boolean', default: true },
      json: { type: 'string' },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    allowNegative: true,
  })
  return values
}

type Options = ReturnType<typeof parse>

/** Measures one bar in a process of its own; undefined where it failed, which that process has told. */
function measureBar(bar: Bar, options: Options): Promise<Measured | undefined> {
  const cox = fileURLToPath(new URL(options.sources ? '../src/cli/main.ts' : `../${buildFolder}/cli/main.js`, import.meta.url))
  const order: Order = {
    bar: bar.name,
    smoke: options.smoke,
    repeats: options.smoke ? 1 : Number(options.repeats),
    cox: ['--disable-warning=ExperimentalWarning', cox],
  }
  const child: ChildProcess = fork(new URL('./one.ts', import.meta.url), {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    timeout: barTimeoutMs,
  })
  return new Promise(resolve => {
    let measured: Measured | undefined
    child.on('message', message => {
      measured = message as Measured
    })
    child.on('exit', () => resolve(measured))
    child.send(order)
  })
}

/** BullMQ on the same no-op work, and how many times its rate ours is. */
async function againstBullmq(options: Options, ours: Row | undefined): Promise<Row | undefined> {
  const outcome = await bullmqFigures(options.smoke)
  if (typeof outcome === 'string') {
    process.stdout.write(`bullmq: not measured: ${outcome}\n`)
    return undefined
  }
  const rate = ours?.figures[0]
  const theirs = outcome[0]!
  if (rate && !options.smoke) {
    const times = median(rate.values) / median(theirs.values)
    outcome.push({ what: 'ours to theirs', unit: '×', values: [times], bar: { at: timesBullmq, side: 'at least' } })
  }
  return { name: 'bullmq', title: 'BullMQ on Redis (appendfsync always), 2 workers, both sides in bulk', figures: outcome }
}

function print(row: Row, smoke: boolean): void {
  process.stdout.write(`${row.name}: ${row.title}\n`)
  if (row.failed) process.stdout.write('  ✖ it did not work: see above\n')
  if (row.machine) process.stdout.write(`${machineLine(row.machine)}\n`)
  for (const line of figureLines(row.figures, !smoke)) process.stdout.write(`${line}\n`)
}

async function measureAll(options: Options): Promise<Row[]> {
  const wanted = options.only?.split(',').map(name => name.trim())
  const isWanted = (name: string): boolean => wanted?.includes(name) ?? true
  const isPeerWanted = (name: string): boolean => wanted?.includes(name) ?? (options.peers && !options.smoke)
  const rows: Row[] = []
  const add = (row: Row | undefined): void => {
    if (!row) return
    rows.push(row)
    print(row, options.smoke)
  }
  for (const bar of bars) {
    if (isWanted(bar.name)) {
      const measured = await measureBar(bar, options)
      add({
        name: bar.name,
        title: bar.title,
        figures: measured?.figures ?? [],
        ...(measured ? { machine: measured.machine } : { failed: true }),
      })
    }
    // Right behind ours, so that both meet the machine at the same speed.
    if (bar.name === 'throughput' && isPeerWanted('bullmq'))
      add(
        await againstBullmq(
          options,
          rows.find(row => row.name === 'throughput'),
        ),
      )
  }
  for (const peer of pythonPeers) {
    if (!isPeerWanted(peer.name)) continue
    const outcome = await peer.measure(options.smoke)
    if (typeof outcome === 'string') process.stdout.write(`${peer.name}: not measured: ${outcome}\n`)
    else add({ name: peer.name, title: peer.title, figures: outcome })
  }
  return rows
}

async function main(args: readonly string[]): Promise<number> {
  const options = parse(args)
  if (options.help) {
    process.stdout.write(help)
    return 0
  }
  const machine = `Node ${process.version}, ${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), ${figureText(totalmem() / 2 ** 30)} GiB, ${process.platform} ${kernel()}`
  process.stdout.write(`${machine}\n`)
  if (!options.sources) await runProgram(process.execPath, [fileURLToPath(new URL('../scripts/build.ts', import.meta.url)), buildFolder])
  const rows = await measureAll(options)
  const missed = options.smoke
    ? []
    : rows.flatMap(row => row.figures.filter(figure => met(figure) === false).map(figure => `${row.name}: ${figure.what}`))
  const failed = rows.filter(row => row.failed).map(row => row.name)
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ at: new Date().toISOString(), machine, rows }, null, 2)}\n`)
  if (missed.length > 0) process.stdout.write(`missed: ${missed.join(', ')}\n`)
  if (failed.length > 0) process.stdout.write(`did not work: ${failed.join(', ')}\n`)
  if (options.smoke && failed.length === 0) process.stdout.write(`smoke: all ${rows.length} work\n`)
  return failed.length > 0 || (options.check && missed.length > 0) ? 1 : 0
}

process.exitCode = await main(process.argv.slice(2))
