// Owns one node process of a supervisor: it starts it, hears its announcements and log lines, and starts it again when it died.
// Must not know what kind of node it is.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type Announcement, parseAnnouncement } from '../nodes/announce.ts'
import { identify, type ProcessIdentity } from '../state/processes.ts'
import { type Cause, RestartPolicy } from './restart-policy.ts'

/** What to start. */
export interface NodeSpec {
  name: string
  /** Arguments of `cox`. */
  args: string[]
}

/** What the supervisor is told about one of its node processes. */
export interface NodeEvents {
  started(node: NodeProcessHandle): void
  announced(node: NodeProcessHandle, announcement: Announcement, again: boolean): void
  log(node: NodeProcessHandle, line: string): void
  /** It ended well and by itself: it is not started again. */
  ended(node: NodeProcessHandle): void
  /** It died by itself and comes again in that time, or not at all (undefined). */
  died(node: NodeProcessHandle, how: string, restartInMs: number | undefined): void
}

/** Why a node may have died though it is sound: when the cause passes, it lives again. */
const outsideCodes = new Set(['JOURNAL_WRITE_FAILED', 'STATE_FOLDER_UNUSABLE'])

function causeOf(failedWith: string, killed: boolean): Cause {
  if (killed) return 'killed'
  if (outsideCodes.has(failedWith)) return 'outside'
  return failedWith === 'FENCED' ? 'deposed' : 'own'
}

const logLineCharactersMax = 64 << 10
/** A node's heap counts as full from here on, not from a few MiB: see also nodes/main.ts. It takes no memory before it is needed. */
const initialHeapMiB = 128
/** The file of `cox` itself, in the sources or in the built package. */
export const mainModule = fileURLToPath(new URL(`../main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))

function eachLine(stream: Readable, take: (line: string) => void): void {
  stream.on('error', () => undefined)
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', line => take(line.slice(0, logLineCharactersMax)))
}

/** One node process, over all its lives. */
export class NodeProcessHandle {
  readonly spec: NodeSpec
  readonly #events: NodeEvents
  readonly #policy = new RestartPolicy()
  #child: ChildProcess | undefined
  #identity: ProcessIdentity | undefined
  #readyAtMs: number | undefined
  /** What it said when it could not go on. */
  #failedWith = ''
  #restart: NodeJS.Timeout | undefined
  /** It was ready in this life or an earlier one. */
  #wasReady = false
  #stopping = false
  #ended: PromiseWithResolvers<void> | undefined

  constructor(spec: NodeSpec, events: NodeEvents) {
    this.spec = spec
    this.#events = events
  }

  /** The process that lives now. */
  get identity(): ProcessIdentity | undefined {
    return this.#identity
  }

  get ready(): boolean {
    return this.#readyAtMs !== undefined
  }

  start(): void {
    this.#restart = undefined
    // A session of its own: Ctrl-C and a closing terminal are for the supervisor. Its stdin is how it learns of our death.
    const child = spawn(
      process.execPath,
      [`--initial-heap-size=${initialHeapMiB}`, '--disable-warning=ExperimentalWarning', mainModule, ...this.spec.args],
      {
        stdio: ['pipe', 'pipe', 'pipe'],
        detached: true,
      },
    )
    this.#child = child
    this.#ended = Promise.withResolvers()
    this.#readyAtMs = undefined
    this.#failedWith = ''
    child.stdin.on('error', () => undefined)
    eachLine(child.stdout, line => this.#heard(line))
    eachLine(child.stderr, line => this.#events.log(this, line))
    child.once('error', error => this.#gone(child, error.message, false))
    // Who ends by itself has said why: that is read first.
    child.once('exit', (_code, signal) => signal && this.#gone(child, `killed by ${signal}`, false, signal === 'SIGKILL'))
    child.once('close', code => this.#gone(child, `exit code ${code}`, code === 0))
    if (child.pid !== undefined) this.#identity = identify(child.pid)
    this.#events.started(this)
  }

  #heard(line: string): void {
    const announcement = parseAnnouncement(line)
    if (!announcement) return this.#events.log(this, line)
    const again = this.#wasReady
    if ('ready' in announcement) {
      this.#readyAtMs = performance.now()
      this.#wasReady = true
    } else this.#failedWith = announcement.failed.code
    this.#events.announced(this, announcement, again)
  }

  #gone(child: ChildProcess, how: string, well: boolean, killed = false): void {
    if (this.#child !== child) return
    this.#child = undefined
    this.#identity = undefined
    const readyAtMs = this.#readyAtMs
    this.#readyAtMs = undefined
    this.#ended?.resolve()
    if (this.#stopping) return
    if (well) return this.#events.ended(this)
    const verdict = this.#policy.died(performance.now(), readyAtMs, causeOf(this.#failedWith, killed))
    const restartInMs = 'restartInMs' in verdict ? verdict.restartInMs : undefined
    if (restartInMs !== undefined) this.#restart = setTimeout(() => this.start(), restartInMs)
    this.#events.died(this, how, restartInMs)
  }

  /** Asks it to end, and kills it after `limitMs`; resolves when it is gone. */
  async stop(limitMs: number): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#restart)
    const child = this.#child
    if (!child) return
    child.kill('SIGTERM')
    const limit = setTimeout(() => child.kill('SIGKILL'), limitMs)
    await this.#ended?.promise
    clearTimeout(limit)
  }

  /** Kills it at once. */
  kill(): void {
    this.#stopping = true
    clearTimeout(this.#restart)
    this.#child?.kill('SIGKILL')
  }
}
