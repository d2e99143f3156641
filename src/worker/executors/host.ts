// Owns one executor process as its agent sees it: starting it contained, talking to it, signalling its whole group, its end.
// Must not decide what it runs or when it ends.
//
// The process tree is: shim (sh, leader of a process group of its own) → node. The shim stands between so that a task which signals
// its parent does not hit the agent. A second sh in the group waits on a socket that only the agent holds: when the agent is gone
// it kills the group, also if JavaScript runs in an endless loop.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { decodeMessage } from '../../protocol/index.ts'
import type { ExecutorExit } from '../machine/index.ts'
import { clipText } from '../text.ts'
import { type FromExecutor, fromExecutor, type ToExecutor, toExecutor } from './frames.ts'
import { encodeFrame, FrameReader } from './framing.ts'

const shim = 'umask 077; ulimit -c 0; (exec 3>&- >/dev/null 2>&1; read -r _ <&4; kill -9 0) & "$@" 4<&-; exit $?'
const mainFile = new URL(`./main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

/** Of what the process wrote to stderr itself, the end is kept. */
const lastWordsBytesMax = 4096
/** Variables of the agent's environment that begin so reach tasks, without the prefix. */
const environmentPrefix = 'COX_ENV_'
/** After the process ended, its last frames are read for so long, should a stray process hold the socket open. */
const lastFramesMs = 250

/** Frames that wait for another one. */
const laterMax = 100

export interface ExecutorHostOptions {
  heapMiB: number
  /** Folder of its own, made here and removed after its end: its working directory and home. */
  temporary: string
  /** Folder in which compiled code is kept between processes. */
  compiled: string
}

/** What the owner of an executor process is told. `ended` comes last and once. */
export interface ExecutorHandlers {
  frame(frame: FromExecutor): void
  /** Bytes the process, or one of its children, wrote past the capture of stdout and stderr. */
  raw(stream: 'out' | 'err', text: string): void
  ended(exit: ExecutorExit): void
}

export class ExecutorHost {
  readonly #child: ChildProcess
  readonly #link: Socket | undefined
  readonly #reader = new FrameReader()
  readonly #handlers: ExecutorHandlers
  readonly #temporary: string
  #lastWords = ''
  #ended = false
  #corked = false
  readonly #later: ToExecutor[] = []

  constructor(options: ExecutorHostOptions, handlers: ExecutorHandlers) {
    this.#handlers = handlers
    this.#temporary = options.temporary
    mkdirSync(options.temporary, { recursive: true, mode: 0o700 })
    const node = [
      process.execPath,
      `--max-old-space-size=${options.heapMiB}`,
      '--disable-warning=ExperimentalWarning',
      fileURLToPath(mainFile),
    ]
    this.#child = spawn('/bin/sh', ['-c', shim, 'sh', ...node], {
      cwd: options.temporary,
      env: environment(options.temporary, options.compiled),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    })
    this.#child.once('error', error => this.#end({ started: false, how: error.message, heapFull: false, lastWords: '' }))
    this.#child.once('exit', (code, signal) => this.#exited(code, signal))
    this.#link = this.#child.stdio[3] as Socket | undefined
    this.#link?.on('data', data => this.#read(data))
    this.#link?.on('error', ignore)
    const watcher = this.#child.stdio[4] as Socket | undefined
    watcher?.on('error', ignore)
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => handlers.raw('out', text))
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-lastWordsBytesMax)
      handlers.raw('err', text)
    })
  }

  /** Pid of the shim, which is also the number of the process group; undefined if it could not be started. */
  get group(): number | undefined {
    return this.#child.pid
  }

  /** Sends it with the next frame: nothing waits for it, and the process is not woken for it alone. */
  sendLater(frame: ToExecutor): void {
    if (this.#later.push(frame) > laterMax) this.send(this.#later.pop()!)
  }

  send(frame: ToExecutor, expectedBytes?: number): void {
    const link = this.#link
    if (this.#ended || !link?.writable) return
    // Frames of one turn leave in one system call.
    if (!this.#corked) {
      this.#corked = true
      link.cork()
      process.nextTick(() => {
        this.#corked = false
        link.uncork()
      })
    }
    for (const later of this.#later.splice(0)) link.write(encodeFrame(toExecutor, later))
    link.write(encodeFrame(toExecutor, frame, expectedBytes))
  }

  /** Signals the whole process group. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#child.pid === undefined || this.#ended) return
    try {
      process.kill(-this.#child.pid, signal)
    } catch {
      // The group has no process any more: that it ended is told by `exit`.
    }
  }

  #read(data: Buffer): void {
    try {
      this.#reader.push(data, frame => this.#handlers.frame(decodeMessage(fromExecutor, frame)))
    } catch (error) {
      // User code wrote to our socket: nothing that it says can be trusted any more.
      this.#lastWords += `\n${String(error)}`
      this.signal('SIGKILL')
    }
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    // The shim is gone; what it left behind in its group goes too.
    this.signal('SIGKILL')
    const heapFull = /heap out of memory|invalid array length Allocation failed/.test(this.#lastWords)
    const exit = { started: true, how: howItEnded(code, signal), heapFull, lastWords: clipText(this.#lastWords.trim(), lastWordsBytesMax) }
    if (!this.#link || this.#link.destroyed || this.#link.readableEnded) return this.#end(exit)
    const timer = setTimeout(() => this.#end(exit), lastFramesMs)
    this.#link.once('close', () => {
      clearTimeout(timer)
      this.#end(exit)
    })
  }

  #end(exit: ExecutorExit): void {
    if (this.#ended) return
    this.#ended = true
    for (const stream of this.#child.stdio) stream?.destroy()
    rm(this.#temporary, { recursive: true, force: true, maxRetries: 2 }).catch(ignore)
    this.#handlers.ended(exit)
  }
}

/** Signals that a shell reports as 128 + their number. */
const signalNames: Record<number, string> = {
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  15: 'SIGTERM',
}

function howItEnded(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal) return signal
  const name = code !== null && code > 128 ? signalNames[code - 128] : undefined
  return name ?? `exit code ${code}`
}

/** Nothing of the agent's environment but what a program needs to find its way, and what was named for it. */
function environment(home: string, compiled: string): Record<string, string> {
  const { PATH, TZ, LANG } = process.env
  const given: Record<string, string> = {
    PATH: PATH ?? '/usr/bin:/bin',
    HOME: home,
    TMPDIR: home,
    LANG: LANG ?? 'C.UTF-8',
    NODE_COMPILE_CACHE: compiled,
  }
  if (TZ) given['TZ'] = TZ
  for (const [name, value] of Object.entries(process.env)) {
    if (name.startsWith(environmentPrefix) && value !== undefined) given[name.slice(environmentPrefix.length)] = value
  }
  return given
}

function ignore(): void {}
