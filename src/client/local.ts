// Owns the cluster that `connect` starts for the life of the process: it ends when our end of its stdin is closed, however we end.
// Must not keep this process alive, and must not use the state folder of a cluster that stays.
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { CoxswainError } from '../protocol/index.ts'
import { type EndpointSource, folderEndpoint } from './endpoint.ts'

/** What the started cluster is like; defaults as for `cox up`. */
export interface LocalOptions {
  /** Worker processes. Default: one per core. */
  workers?: number
  /** Executors of each worker. */
  executors?: number
  /** Cores that each worker offers. */
  cpus?: number
  /** Memory that each worker offers, as bytes or text like `'2gb'`. */
  memory?: number | string
}

/** A cluster of our own. */
export interface LocalCluster extends EndpointSource {
  /** Ends it, and waits until nothing of it is left. */
  stop(): Promise<void>
}

const stopMsMax = 20_000
const lastWordsCharacters = 2000

function commandLine(options: LocalOptions): string[] {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
  const main = fileURLToPath(new URL(`../cli/main${extension}`, import.meta.url))
  const line = ['--disable-warning=ExperimentalWarning', main, 'up', '--ephemeral', '--log-level', 'warn']
  for (const [name, value] of Object.entries(options)) if (value !== undefined) line.push(`--${name}`, String(value))
  return line
}

/** Starts a cluster and waits until tasks can run. */
export async function startLocal(options: LocalOptions, timeoutMs: number, signal: AbortSignal | undefined): Promise<LocalCluster> {
  const { NODE_OPTIONS: _ours, COX_URL: _other, COX_TOKEN_FILE: _its, ...env } = process.env
  // Detached: Ctrl-C is for this process, which then closes its cluster in order.
  const child = spawn(process.execPath, commandLine(options), {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    env: { ...env, COX_HOME: '' },
  })
  const exited = new Promise<void>(resolve => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-lastWordsCharacters)
  })
  child.stdin.on('error', () => undefined)
  const stop = (): Promise<void> => stopChild(child, exited)
  let home: string
  try {
    home = await readyHome(child, exited, () => said.trim(), timeoutMs, signal)
  } catch (error) {
    await stop()
    throw error
  }
  letGo(child)
  // Its token is its own: one that is meant for another cluster does not open it.
  const inside = folderEndpoint(home, { tokenFile: join(home, 'tokens', 'user') })
  return {
    stop,
    async endpoint() {
      if (child.exitCode === null && child.signalCode === null) return inside.endpoint()
      throw new CoxswainError('NO_CLUSTER', `The cluster of this process has ended: ${said.trim() || 'it said nothing'}`, { id: home })
    },
  }
}

/** The state folder that the child names when it is ready. */
function readyHome(
  child: ChildProcess,
  exited: Promise<void>,
  said: () => string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const failed = (what: string): void =>
      reject(new CoxswainError('UNAVAILABLE', `The cluster did not start: ${what}${said() ? `: ${said()}` : ''}`))
    const timer = setTimeout(() => failed(`it was not ready after ${timeoutMs} ms`), timeoutMs)
    const aborted = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', aborted, { once: true })
    if (signal?.aborted) aborted()
    createInterface({ input: child.stdout! }).on('line', line => {
      const home = homeIn(line)
      if (home === undefined) return
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
      resolve(home)
    })
    void exited.then(() => {
      clearTimeout(timer)
      failed('it ended')
    })
  })
}

function homeIn(line: string): string | undefined {
  try {
    const { home } = JSON.parse(line) as { home?: unknown }
    return typeof home === 'string' ? home : undefined
  } catch {
    return undefined
  }
}

/** The child and its pipes no longer keep this process alive. */
function letGo(child: ChildProcess): void {
  child.unref()
  // Pipes to a child are sockets, whatever their declared type.
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as { unref(): void }).unref()
}

async function stopChild(child: ChildProcess, exited: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  child.ref()
  child.stdin?.end()
  const timer = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
  await exited
  clearTimeout(timer)
}
