// Owns running real `cox` processes in tests, and knowing which processes are left of them.
// Must not leave any behind: `cleanUp` kills what a test did not stop.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const mainModule = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** How a `cox` process is run. */
export interface CoxOptions {
  home: string
  env?: Record<string, string>
  stdin?: string
  cwd?: string
  /** Closes the reading end of its stdout at once. */
  closeStdout?: boolean
}

/** How it ended. */
export interface CoxResult {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** A `cox` process under way. */
export interface RunningCox {
  child: ChildProcess
  /** What it wrote so far. */
  readonly stdout: string
  readonly stderr: string
  ended: Promise<CoxResult>
  /** Resolves when its output matches; rejects if it ends before. */
  wrote(pattern: RegExp): Promise<void>
}

/** Starts `cox` with these arguments. */
export function startCox(args: readonly string[], options: CoxOptions): RunningCox {
  const { COX_URL: _url, COX_TOKEN_FILE: _file, NO_COLOR: _no, FORCE_COLOR: _force, ...inherited } = process.env
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', mainModule, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: options.cwd ?? options.home.replace(/\/[^/]*$/, ''),
    env: { ...inherited, COX_HOME: options.home, ...options.env },
  })
  const output = { stdout: '', stderr: '' }
  const watchers = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', text => {
      output[name] += text
      for (const watch of watchers) watch()
    })
  }
  if (options.closeStdout) child.stdout.destroy()
  child.stdin.on('error', () => undefined)
  // A cluster that ends with its stdin is not to end at once: only what has input is given an end of it.
  if (options.stdin !== undefined) child.stdin.end(options.stdin)
  const ended = (async (): Promise<CoxResult> => {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    return { code, signal, ...output }
  })()
  return {
    child,
    get stdout() {
      return output.stdout
    },
    get stderr() {
      return output.stderr
    },
    ended,
    wrote(pattern) {
      return new Promise((resolve, reject) => {
        const watch = (): void => {
          if (!pattern.test(output.stdout + output.stderr)) return
          watchers.delete(watch)
          resolve()
        }
        watchers.add(watch)
        watch()
        void ended.then(result => reject(new Error(`It ended before it wrote ${pattern}: ${JSON.stringify(result)}`)))
      })
    },
  }
}

/** Runs `cox` to its end. */
export function cox(args: readonly string[], options: CoxOptions): Promise<CoxResult> {
  return startCox(args, { stdin: '', ...options }).ended
}

/** Pids of all living processes that name this state folder in their arguments or environment. */
export function processesOf(home: string): number[] {
  const found: number[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      if (/\) [ZX] /.test(stat)) continue
      const text = readFileSync(`/proc/${name}/cmdline`, 'utf8') + readFileSync(`/proc/${name}/environ`, 'utf8')
      if (text.includes(home)) found.push(Number(name))
    } catch {
      // It ended while we looked.
    }
  }
  return found
}

/** A temporary folder with a state folder's path in it, and its end. */
export function temporaryHome(name: string): { folder: string; home: string; cleanUp(): void } {
  const folder = mkdtempSync(join(tmpdir(), `cox-test-${name}-`))
  const home = join(folder, 'state')
  return {
    folder,
    home,
    cleanUp() {
      for (const pid of processesOf(home)) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It ended by itself.
        }
      }
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

const lookEveryMs = 5

/** Resolves when the condition holds; the test's own limit ends a wait for what never comes. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, lookEveryMs))
}
