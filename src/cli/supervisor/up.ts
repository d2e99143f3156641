// Owns one run of `cox up`: in the foreground, in the background, or for the life of another program.
// Must not return before everything that it started is gone, except with --detach once tasks can run.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { priorityDefault } from '../../core/limits.ts'
import { CoxswainError } from '../../protocol/errors.ts'
import type { Resources } from '../../protocol/index.ts'
import { release } from '../../protocol/release.ts'
import { NodeFolder } from '../authority/folder.ts'
import { exitCodes } from '../exit.ts'
import { interruption } from '../interrupt.ts'
import { cores, workerMemoryBytes } from '../machine.ts'
import { announce, announcedError, failure, parseAnnouncement } from '../nodes/announce.ts'
import type { JournalPlace } from '../nodes/journal.ts'
import { type LogLevel, logLevels } from '../nodes/options.ts'
import { outliveReaders, printJson, printLine, printNotice } from '../output/print.ts'
import { bytesText, harmless, millisText, styled } from '../output/text.ts'
import type { Endpoint } from '../state/endpoint.ts'
import { Home, homePath, onHome, prepareHome } from '../state/home.ts'
import type { UpOptions } from '../verbs/up.ts'
import { machinePlan, refuseOpenListening } from './machine-plan.ts'
import { mainModule } from './node-process.ts'
import { Supervisor, stdinEnded, type UpPlan } from './supervisor.ts'

/** What is told when tasks can run. */
interface Ready extends Endpoint {
  ready: true
  home: string
  supervisor: number
  workers: { name: string; capacity: Resources; executors: number }[]
  [key: string]: unknown
}

/** In a new journal the candidates claim in the order of their numbers. */
const firstDelayStepMs = 1000

/** Where candidates find their journal. */
function journalPlace(options: UpOptions): JournalPlace {
  const { journal, etcdCaFile, etcdCertFile, etcdKeyFile, etcdPasswordFile, allowUnsafeEtcd, postgresPasswordFile } = options
  return {
    ...{ journal, allowUnsafeEtcd },
    ...(etcdCaFile !== undefined && { etcdCaFile }),
    ...(etcdCertFile !== undefined && { etcdCertFile }),
    ...(etcdKeyFile !== undefined && { etcdKeyFile }),
    ...(etcdPasswordFile !== undefined && { etcdPasswordFile }),
    ...(postgresPasswordFile !== undefined && { postgresPasswordFile }),
  }
}

/** What these options mean on this machine. */
export function upPlan(home: Home, options: UpOptions): UpPlan {
  const node = new NodeFolder(home.node).node()
  if (!node) checkOwnCluster(options)
  const count = node ? 1 : (options.workers ?? cores())
  const common = { home: home.path, host: options.host, logLevel: options.logLevel }
  const shared = {
    ...common,
    ...journalPlace(options),
    ...(options.encryptionKeyFile !== undefined && { encryptionKeyFile: options.encryptionKeyFile }),
    limits: {
      ...(options.recent !== undefined && { finishedJobsMax: options.recent }),
      ...(options.history !== undefined && { historyJobsMax: options.history }),
      ...(options.historyAge !== undefined && { finishedJobAgeMs: options.historyAge }),
    },
  }
  const worker = {
    ...common,
    ...capacityOf(options, count),
    labels: options.labels ?? [],
    drainMs: options.drain,
    ...(options.blocks !== '' && { blocks: options.blocks }),
  }
  if (node) return machinePlan(node, options, shared, worker)
  return {
    candidates: Array.from({ length: options.candidates }, (_, at) => ({
      ...shared,
      name: `candidate-${at + 1}`,
      // Those that share a journal elsewhere listen all the time, each at a port of its own.
      port: options.port === 0 || options.journal === 'sqlite' ? options.port : options.port + at,
      priority: options.priorities?.[at] ?? priorityDefault,
      firstDelayMs: at * firstDelayStepMs,
    })),
    workers: Array.from({ length: count }, (_, at) => ({ ...worker, name: `worker-${at + 1}` })),
    options: { ...options },
    drainMs: options.drain,
  }
}

/** Throws USAGE where these options make no cluster of this machine alone. */
function checkOwnCluster(options: UpOptions): void {
  refuseOpenListening(options)
  if (options.candidates === 0 || options.workers === 0)
    throw new CoxswainError('USAGE', 'A cluster of this machine alone has at least one candidate and one worker.')
  if (options.priorities && options.priorities.length !== options.candidates)
    throw new CoxswainError('USAGE', `--priorities names ${options.priorities.length} priorities for ${options.candidates} candidates.`)
}

/** What each of so many workers offers, and how many executors it has. */
function capacityOf(options: UpOptions, workers: number): { executors: number; capacity: Resources } {
  const share = Math.max(1, Math.floor(cores() / workers))
  const executors = options.executors ?? (options.cpus === undefined ? share : Math.max(1, Math.floor(options.cpus / 1000)))
  const capacity: Resources = {
    cpuMillis: options.cpus ?? executors * 1000,
    memoryBytes: options.memory ?? workerMemoryBytes(workers),
    gpuMillis: options.gpus ?? 0,
    named: options.resources ?? [],
  }
  return { executors, capacity }
}

/** A node's log line as people read it, or undefined if it is below the level shown. */
export function logLineText(node: string, line: string, least: LogLevel): string | undefined {
  try {
    const { time, level, event, node: _, ...fields } = JSON.parse(line) as Record<string, unknown>
    if (logLevels.indexOf(level as LogLevel) < logLevels.indexOf(least)) return undefined
    const rest = Object.entries(fields).map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    return harmless([String(time).slice(11, 19), node, level, event, ...rest].join(' '))
  } catch {
    return harmless(`${node}: ${line}`)
  }
}

function readyReport(home: Home, plan: UpPlan, endpoint: Endpoint): Ready {
  const workers = plan.workers.map(({ name, capacity, executors }) => ({ name, capacity, executors }))
  return { ready: true, home: home.path, supervisor: process.pid, ...endpoint, workers }
}

function printReady(ready: Ready, detached: boolean): void {
  const home = homePath({ ...process.env, COX_HOME: '' }) === ready.home ? '' : `COX_HOME=${ready.home} `
  const [worker] = ready.workers
  const where = ready.address === '' ? `worker ${harmless(worker?.name ?? '')} of cluster ${harmless(ready.cluster)}` : ready.address
  printLine(
    `${styled('green', 'up')} ${styled('bold', where)}${worker ? `, ${workersText(ready.workers)}` : ''}, state in ${harmless(ready.home)}`,
  )
  if (ready.address !== '') printLine(`  use it:   ${harmless(home)}cox run FILE#TASK   (or \`await connect()\` in a program of yours)`)
  printLine(`  stop it:  ${detached ? '' : 'Ctrl-C, or '}${harmless(home)}cox down`)
}

function workersText(workers: Ready['workers']): string {
  const { cpuMillis, memoryBytes } = workers[0]!.capacity
  const each = workers.length === 1 ? '' : ' each'
  return `${workers.length} worker${workers.length === 1 ? '' : 's'} (${millisText(cpuMillis)} cpus, ${bytesText(memoryBytes)}${each})`
}

/** A folder that may be removed at the end: a new one, or one that was empty. */
function ephemeralHome(): Home {
  if (!process.env.COX_HOME) return new Home(mkdtempSync(join(tmpdir(), 'cox-')))
  const home = new Home(homePath())
  prepareEmpty(home)
  return home
}

function prepareEmpty(home: Home): void {
  onHome(home.path, () => {
    let names: string[] = []
    try {
      names = readdirSync(home.path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    if (names.length > 0)
      throw new CoxswainError('USAGE', `--ephemeral removes its state folder at the end, and ${home.path} is not empty.`, { id: home.path })
    prepareHome(home)
  })
}

/** Joins with the token of the settings, unless this state folder is a node already. */
async function joinIfAsked(home: Home, { joinTokenFile, advertise }: UpOptions): Promise<void> {
  if (joinTokenFile === undefined || new NodeFolder(home.node).node()) return
  const { enrol, nodeNameOf } = await import('../authority/enrol.ts')
  const { parseJoinToken } = await import('../authority/token.ts')
  let text: string
  try {
    text = readFileSync(joinTokenFile, 'utf8').trim()
  } catch (error) {
    throw new CoxswainError('INVALID_ARGUMENT', `The file ${joinTokenFile} with the join token cannot be read.`, {
      id: joinTokenFile,
      cause: error,
    })
  }
  const { role } = parseJoinToken(text)
  prepareHome(home)
  const name = nodeNameOf(hostname(), role)
  await enrol(text, { role, name, folder: home.node, ...(role === 'candidate' && advertise !== undefined && { address: advertise }) })
}

/** Runs the cluster in this process until it is told to stop. */
async function supervise(home: Home, options: UpOptions): Promise<number> {
  await joinIfAsked(home, options)
  const plan = upPlan(home, options)
  const quiet = options.background === true
  const shown: LogLevel = options.logLevel === 'info' ? 'warn' : options.logLevel
  outliveReaders()
  const owned = options.ephemeral === true || options.attached === true
  const supervisor = new Supervisor(home, plan, {
    log(node, line) {
      const text = quiet ? undefined : logLineText(node, line, shown)
      if (text !== undefined) printNotice(text)
    },
    notice(line) {
      if (!quiet) printNotice(`cox: ${line}`)
    },
  })
  let up = false
  const interrupted = owned ? ignoringCtrlC() : interruption(() => supervisor.force())
  const stopped = Promise.withResolvers<void>()
  const stop = (): void => {
    if (up && !quiet && !owned) printNotice('Stopping; Ctrl-C again forces.')
    void supervisor.stop().then(stopped.resolve, stopped.reject)
  }
  interrupted.addEventListener('abort', stop)
  if (owned) void stdinEnded().then(stop)
  try {
    const ready = readyReport(home, plan, await supervisor.start())
    up = true
    if (quiet) announce({ ready })
    else if (options.json || owned) printJson(ready)
    else printReady(ready, false)
    await stopped.promise
    return exitCodes.ok
  } finally {
    await supervisor.stop()
    if (options.ephemeral) rmSync(home.path, { recursive: true, force: true })
  }
}

/** The program that owns a cluster decides about Ctrl-C; its end closes our stdin. */
function ignoringCtrlC(): AbortSignal {
  const abort = new AbortController()
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)
  process.on('SIGTERM', () => abort.abort())
  return abort.signal
}

/** Starts the supervisor as a process of its own and waits until tasks can run. */
async function detach(home: Home, args: readonly string[]): Promise<Ready> {
  const errors = openSync(join(home.logs, 'up.log'), 'a', 0o600)
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', mainModule, ...args, '--background'], {
    detached: true,
    stdio: ['ignore', 'pipe', errors],
    env: { ...process.env, COX_HOME: home.path },
  })
  const ended = once(child, 'exit')
  const interrupted = interruption(() => child.kill('SIGKILL'))
  interrupted.addEventListener('abort', () => child.kill('SIGTERM'))
  const output = child.stdout!
  for await (const line of createInterface({ input: output })) {
    const announcement = parseAnnouncement(line)
    if (!announcement) continue
    if ('failed' in announcement) {
      await ended
      throw interrupted.aborted ? interrupted.reason : announcedError(announcement.failed)
    }
    if (interrupted.aborted) break
    output.destroy()
    child.unref()
    return announcement.ready as Ready
  }
  await ended
  throw interrupted.aborted
    ? interrupted.reason
    : new CoxswainError('UNAVAILABLE', `The supervisor ended before tasks could run; see ${home.logs}.`, { id: home.path })
}

/** The whole of `cox up`; returns the exit code. */
export async function up(options: UpOptions): Promise<number> {
  if (options.ephemeral) return supervise(ephemeralHome(), options)
  const home = new Home()
  if (options.background) {
    try {
      return await supervise(home, options)
    } catch (error) {
      announce(failure(error))
      return exitCodes.failed
    }
  }
  if (!options.detach) return supervise(home, options)
  await joinIfAsked(home, options)
  upPlan(home, options)
  prepareHome(home)
  const ready = await detach(home, process.argv.slice(2))
  if (options.json) printJson(ready)
  else {
    printNotice(`Coxswain ${release} goes on in the background; logs in ${harmless(home.logs)}.`)
    printReady(ready, true)
  }
  return exitCodes.ok
}
