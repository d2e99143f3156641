// Owns strace on a process that runs: faults put into its system calls, and the lines that prove them.
// Must not leave a tracer behind.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../test/faults/harness.ts'

/** True if strace is there and may trace. */
export function straceWorks(): boolean {
  return spawnSync('strace', ['-o', '/dev/null', process.execPath, '--version']).status === 0
}

/** What is said where it does not. */
export const straceMissing = 'strace is not there or may not trace, and a running process has no other failpoint'

/** A tracer on a process and all its threads. */
export class Tracer {
  readonly #child: ChildProcess
  readonly #path: string

  private constructor(child: ChildProcess, path: string) {
    this.#child = child
    this.#path = path
  }

  /** Attaches: `inject` is the part behind `inject=CALL:`. */
  static async attach(pid: number, call: string, inject: string, folder: string): Promise<Tracer> {
    const path = join(folder, `strace-${pid}-${call}.txt`)
    const args = ['-f', '-p', String(pid), '-o', path, '-e', `trace=${call}`, '-e', `inject=${call}:${inject}`]
    const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await until(`strace is attached to ${pid}`, () => /attached/.test(said))
    return new Tracer(child, path)
  }

  /** Lines that match, so far. */
  lines(pattern: RegExp): string[] {
    return readFileSync(this.#path, 'latin1')
      .split('\n')
      .filter(line => pattern.test(line))
  }

  /** Waits for the first line that matches: the fault has happened. */
  proof(pattern: RegExp): Promise<string> {
    return until(`strace shows ${pattern}`, () => this.lines(pattern)[0])
  }

  /** Lets go of the process. */
  async detach(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGINT')
    await gone
  }
}
