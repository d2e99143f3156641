// Owns `npm run bench`: which bars and peers are measured, in which order, and what is told about them.
// Must not fail because a bar is missed, unless --check asks for that; a bar that does not work always fails.
import { type ChildProcess, fork } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, release as kernel, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Bar, Figure, Peer, Rounds } from './bar.ts'
import { bars } from './bars/index.ts'
import type { Measured, Order } from './one.ts'
import { pythonPeers } from './peers/python.ts'
import { runProgram } from './program.ts'
import { figureText, median } from './statistics.ts'
import { figureLines, machineLine, met } from './table.ts'

const allPeers = [...bars.flatMap(bar => bar.peers ?? []), ...pythonPeers]

const help = `npm run bench -- [options]
  --only NAME[,NAME]  these bars or peers only: ${[...new Set([...bars, ...allPeers].map(one => one.name))].join(', ')}; a bar brings its peers
  --repeats N         measure each N times (default 5)
  --smoke             tiny sizes, once: only that everything works
  --sources           clusters from the sources, not from a build of them: what users install has no types to strip
  --no-peers          without other people's systems on the same work
  --json FILE         write all figures to FILE
  --check             exit 1 where a bar is missed
`

/** Where the clusters' program is built, away from dist/, which others may be building. */
const buildFolder = '.cox/bench'
/** Compiling takes a minute and more where others use the machine. */
const buildTimeoutMs = 300_000
/** In a smoke nothing is measured, and clusters wait more than they work: so many bars at a time. */
const smokesAtOnce = 2
/** One bar may take this long. */
const barTimeoutMs = 900_000

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

function roundsOf({ smoke, repeats }: Options): Rounds {
  return { smoke, repeats: smoke ? 1 : Number(repeats) }
}

/** Measures one bar in a process of its own; undefined where it failed, which that process has told. */
function measureBar(bar: Bar, options: Options): Promise<Measured | undefined> {
  const cox = fileURLToPath(new URL(options.sources ? '../src/cli/main.ts' : `../${buildFolder}/cli/main.js`, import.meta.url))
  const order: Order = {
    bar: bar.name,
    ...roundsOf(options),
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

/** Somebody else on the same work, and how many times theirs ours is. */
async function measurePeer(peer: Peer, options: Options, ours?: Row): Promise<Row | undefined> {
  const name = ours ? `${ours.name}/${peer.name}` : peer.name
  let figures: Figure[]
  try {
    figures = await peer.measure(roundsOf(options))
  } catch (error) {
    process.stdout.write(`${name}: not measured: ${error instanceof Error ? error.message : String(error)}\n`)
    return undefined
  }
  const [first, theirs] = [ours?.figures[0], figures[0]]
  if (first && theirs && peer.bar && !options.smoke)
    figures.push({ what: 'ours to theirs', unit: '×', values: [median(first.values) / median(theirs.values)], bar: peer.bar })
  return { name, title: peer.title, figures }
}

function print(row: Row, smoke: boolean): void {
  process.stdout.write(`${row.name}: ${row.title}\n`)
  if (row.failed) process.stdout.write('  ✖ it did not work: see above\n')
  if (row.machine) process.stdout.write(`${machineLine(row.machine)}\n`)
  for (const line of figureLines(row.figures, !smoke)) process.stdout.write(`${line}\n`)
}

async function measureAll(options: Options): Promise<Row[]> {
  const wanted = options.only?.split(',').map(name => name.trim())
  const isNamed = (name: string): boolean => wanted?.includes(name) ?? false
  const rows: Row[] = []
  const add = (row: Row | undefined): void => {
    if (!row) return
    rows.push(row)
    print(row, options.smoke)
  }
  const one = async (bar: Bar): Promise<void> => {
    const isWanted = !wanted || isNamed(bar.name)
    let ours: Row | undefined
    if (isWanted) {
      const measured = await measureBar(bar, options)
      const { name, title } = bar
      ours = { name, title, figures: measured?.figures ?? [], ...(measured ? { machine: measured.machine } : { failed: true }) }
      add(ours)
    }
    for (const peer of bar.peers ?? [])
      if (isNamed(peer.name) || (isWanted && options.peers && !options.smoke)) add(await measurePeer(peer, options, ours))
  }
  const left = bars.values()
  const inTurn = async (): Promise<void> => {
    for (const bar of left) await one(bar)
  }
  await Promise.all(Array.from({ length: options.smoke ? smokesAtOnce : 1 }, inTurn))
  for (const peer of pythonPeers)
    if (isNamed(peer.name) || (!wanted && options.peers && !options.smoke)) add(await measurePeer(peer, options))
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
  if (!options.sources)
    await runProgram(
      process.execPath,
      [fileURLToPath(new URL('../scripts/build.ts', import.meta.url)), buildFolder],
      process.env,
      buildTimeoutMs,
    )
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
