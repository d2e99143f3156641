// Owns `cox demo`: a cluster of its own, the fan-out and the merge, the table, the index and the summary.
// Must not count anything itself: it is an ordinary user of the SDK, and the tasks do the work.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Cluster, connect } from '../../client/index.ts'
import { exitCodes } from '../exit.ts'
import { interruption } from '../interrupt.ts'
import { printJson, printLine, printNotice } from '../output/print.ts'
import { Progress } from '../output/progress.ts'
import { tableLines } from '../output/table.ts'
import { bytesText, countText, durationText, fit, harmless, styled } from '../output/text.ts'
import { type OwnCluster, startOwnCluster } from '../own-cluster.ts'
import { Home, prepareHome } from '../state/home.ts'
import type { DemoOptions } from '../verbs/demo.ts'
import { type Counts, CountsBuilder, type TermCount, topCounts } from './counts.ts'
import { writeIndex } from './index-file.ts'
import { MergeTree } from './merge-tree.ts'
import { LeaderKill, type Takeover, takeoverText } from './takeover.ts'
import { countTerms } from './tasks.ts'
import { isIdentifier } from './tokens.ts'
import { checkFolder, type FileGroup, type SkipKind, type Skips, Walk } from './walk.ts'

const topTerms = 25
const termColumnsMax = 32
const statusEveryMs = 500

/** What was done, as --json prints it. */
interface Summary {
  root: string
  files: number
  bytes: number
  skipped: Skips
  tasks: number
  terms: number
  elapsedMs: number
  megabytesPerSecond: number
  workers: number
  epoch: number
  /** What the kill in the middle did; null where there was none. */
  takeover: Takeover | null
  /** Results of groups of files, and groups and files that were found and are in no result. */
  results: number
  lost: { groups: number; files: number }
  index: string
  top: { words: TermCount[]; identifiers: TermCount[] }
}

/** The checkout that this runs from, if it does; else the current folder. */
function defaultFolder(): string {
  const above = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
  return existsSync(join(above, 'src', 'cli', 'demo')) && existsSync(join(above, 'package.json')) ? above : process.cwd()
}

/** What a run found. */
interface Found extends Pick<Summary, 'files' | 'bytes' | 'tasks' | 'elapsedMs' | 'takeover' | 'results' | 'lost'> {
  counts: Counts
  walk: Walk
}

/** Counts the folder's terms on the cluster. */
class DemoRun {
  readonly #cluster: Cluster
  readonly #signal: AbortSignal
  readonly #walk: Walk
  readonly #kill: LeaderKill<FileGroup> | undefined
  readonly #progress = new Progress()
  readonly #startMs = performance.now()
  #files = 0
  #bytes = 0
  #tasks = 0
  #groups = 0
  #filesGiven = 0
  #status = ''

  /** `home`: the state folder of the cluster, if its leader is to be killed. */
  constructor(cluster: Cluster, signal: AbortSignal, root: string, home: Home | undefined) {
    this.#cluster = cluster
    this.#signal = signal
    this.#walk = new Walk(root)
    if (home)
      this.#kill = new LeaderKill(cluster, home, signal, (leader, pid) => {
        this.#progress.clear()
        printNotice(`In the middle of it, SIGKILL to the leader: ${harmless(leader)}, pid ${pid}.`)
      })
  }

  #show(): void {
    const seconds = (performance.now() - this.#startMs) / 1000
    const found = `${countText(this.#files)} of ${this.#walk.done ? '' : 'at least '}${countText(this.#walk.files.length)} files`
    this.#progress.show(
      `${countText(this.#tasks)} tasks done | ${found} | ${bytesText(this.#bytes)}, ${(this.#bytes / 1e6 / seconds).toFixed(1)} MB/s${this.#status}`,
    )
  }

  async #askStatus(): Promise<void> {
    const { workers, load } = await this.#cluster.status()
    this.#status = ` | ${workers.length} workers | L ${load.toFixed(2)}`
    this.#show()
  }

  /** Fans out, merges, and gives counts and what was done. */
  async run(): Promise<Found> {
    // Progress is a nicety: where the status cannot be had, the line is shown without it.
    const ask = (): void => void this.#askStatus().catch(() => undefined)
    const timer = this.#progress.live ? setInterval(ask, statusEveryMs) : undefined
    const tree = new MergeTree(this.#cluster, this.#signal)
    try {
      const groups = this.#walk.groups()
      const first = await groups.next()
      // A folder without files needs no tasks.
      const all = first.done ? undefined : this.#counted(startingWith(first.value, groups))
      const inputs = (all && this.#kill?.inputs(all)) ?? all ?? []
      let filesSeen = 0
      for await (const part of this.#cluster.map(countTerms, inputs, { ordered: false, signal: this.#signal })) {
        this.#tasks++
        this.#kill?.result(part.endedAtMs)
        filesSeen += part.files + Object.values(part.skips).reduce((sum, count) => sum + count, 0)
        this.#files += part.files
        this.#bytes += part.bytes
        for (const kind of Object.keys(part.skips) as SkipKind[]) this.#walk.skips[kind] += part.skips[kind]
        await tree.add(part.counts)
        this.#show()
      }
      const takeover = (await this.#kill?.ended()) ?? null
      const counts = (await tree.finish()) ?? new CountsBuilder().finish()
      const elapsedMs = performance.now() - this.#startMs
      const results = this.#tasks
      const lost = { groups: this.#groups - results, files: this.#filesGiven - filesSeen }
      const tasks = results + tree.merges
      return { counts, walk: this.#walk, files: this.#files, bytes: this.#bytes, tasks, elapsedMs, takeover, results, lost }
    } finally {
      clearInterval(timer)
      this.#progress.clear()
    }
  }

  /** The groups, counted: each has to come back as a result, with all its files. */
  async *#counted(groups: AsyncIterable<FileGroup>): AsyncGenerator<FileGroup> {
    for await (const group of groups) {
      this.#groups++
      this.#filesGiven += group.files.length
      yield group
    }
  }
}

async function* startingWith<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first
  yield* rest
}

async function summarise(demoRun: DemoRun, cluster: Cluster, root: string, index: string): Promise<Summary> {
  const { counts, walk, files, bytes, tasks, elapsedMs, takeover, results, lost } = await demoRun.run()
  const terms = await writeIndex(index, { root, files: walk.files }, counts)
  const status = await cluster.status()
  return {
    root,
    files,
    bytes,
    skipped: walk.skips,
    tasks,
    terms,
    elapsedMs,
    megabytesPerSecond: bytes / 1e6 / (elapsedMs / 1000),
    workers: status.workers.length,
    epoch: status.leader.epoch,
    takeover,
    results,
    lost,
    index,
    top: {
      words: topCounts(counts, topTerms, term => !isIdentifier(term)),
      identifiers: topCounts(counts, topTerms, isIdentifier),
    },
  }
}

function printTop(top: Summary['top']): void {
  const rows = Array.from({ length: Math.max(top.words.length, top.identifiers.length) }, (_, at) => at)
  const term = (from: TermCount[]) => (at: number) => (from[at] ? fit(from[at].term, termColumnsMax) : '')
  const count = (from: TermCount[]) => (at: number) => (from[at] ? countText(from[at].total) : '')
  const lines = tableLines(
    [
      { title: '#', align: 'right', text: at => String(at + 1) },
      { title: 'WORD', text: term(top.words) },
      { title: 'TIMES', align: 'right', text: count(top.words) },
      { title: 'IDENTIFIER', text: term(top.identifiers) },
      { title: 'TIMES', align: 'right', text: count(top.identifiers) },
    ],
    rows,
  )
  for (const line of lines) printLine(line)
}

/** What became of the leader and of the files, in a line. */
function printTakeover({ takeover, results, files, lost }: Summary, kill: boolean): void {
  if (takeover) printLine(`  ${takeoverText(takeover, results)}`)
  else if (kill && files > 0) printLine('  the leader was not killed: so few files are one task, and one task has no middle')
  if (lost.groups > 0 || lost.files > 0) {
    const what = `${countText(lost.groups)} results and ${countText(lost.files)} files`
    printLine(`  ${styled('red', `LOST: ${what}. This must not be; please report it.`)}`)
  } else if (takeover)
    printLine(`  nothing lost: ${countText(results)} results for ${countText(results)} groups of files, each file in one of them`)
}

function printSummary(summary: Summary, options: DemoOptions): void {
  if (summary.terms > 0) printTop(summary.top)
  const skipped = Object.entries(summary.skipped).filter(([, count]) => count > 0)
  const total = skipped.reduce((sum, [, count]) => sum + count, 0)
  const kinds = skipped.length > 0 ? ` (${skipped.map(([kind, count]) => `${countText(count)} ${kind}`).join(', ')})` : ''
  printLine()
  printLine(`${styled('bold', harmless(summary.root))}`)
  printLine(
    `  ${countText(summary.files)} files, ${bytesText(summary.bytes)}, ${countText(summary.terms)} different words and identifiers; skipped ${countText(total)}${kinds}`,
  )
  printLine(
    `  ${countText(summary.tasks)} tasks on ${summary.workers} workers in ${durationText(summary.elapsedMs)}: ${summary.megabytesPerSecond.toFixed(1)} MB/s, ` +
      `${(summary.tasks / (summary.elapsedMs / 1000)).toFixed(1)} tasks/s; leader epoch ${summary.epoch}`,
  )
  printTakeover(summary, options.kill)
  const { home } = options
  printLine(
    `  index in ${harmless(summary.index)}; look a word up: cox demo query ${home === undefined ? '' : `--home ${harmless(home)} `}${summary.top.identifiers[0]?.term ?? 'WORD'}`,
  )
}

/** Runs the demo; returns the exit code. */
export async function demo(folder: string | undefined, options: DemoOptions): Promise<number> {
  const root = checkFolder(folder ?? defaultFolder())
  const signal = interruption()
  const home = new Home(options.home)
  prepareHome(home)
  let own: OwnCluster | undefined
  try {
    own = await startOwnCluster({ home: options.home === undefined ? undefined : home.path, workers: options.workers }, signal)
    if (!options.json) printNotice(`A cluster for this demo is up at ${own.url}; counting the words of ${harmless(root)}.`)
    // A url would name one leader for good: in its state folder the next one is found, too.
    Reflect.deleteProperty(process.env, 'COX_URL')
    process.env.COX_HOME = own.home
    await using cluster = await connect({ tokenFile: own.tokenFile, name: 'cox demo', signal, local: false })
    const demoRun = new DemoRun(cluster, signal, root, options.kill ? new Home(own.home) : undefined)
    const summary = await summarise(demoRun, cluster, root, home.demoIndex)
    if (options.json) printJson(summary)
    else printSummary(summary, options)
    return summary.lost.groups + summary.lost.files > 0 ? exitCodes.failed : exitCodes.ok
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  } finally {
    await own?.stop()
  }
}
