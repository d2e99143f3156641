// Owns a server that a peer needs: started in a folder of its own on free ports of this machine, ended and removed with it.
// Must not leave a process or a file behind.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pause } from '../pause.ts'

const readyMsMax = 60_000
const endMsMax = 10_000
const lookEveryMs = 50
const toldMax = 2000

/** A port that nobody uses now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** A folder for a peer's data, where temporary files live, as those of our clusters do. */
export function dataFolder(peer: string): string {
  return mkdtempSync(join(tmpdir(), `coxswain-bench-${peer}-`))
}

/** A server that runs until it is disposed of. */
export class Service implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #folder: string
  #said = ''
  #failed: Error | undefined

  private constructor(command: string, args: readonly string[], folder: string, options: SpawnOptions) {
    this.#folder = folder
    this.#child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream!.on('data', (piece: Buffer) => (this.#said = (this.#said + piece.toString('utf8')).slice(-toldMax)))
    this.#child.on('error', error => (this.#failed = error))
    this.#child.on('exit', (code, signal) => (this.#failed ??= new Error(`${command} ended with ${signal ?? code}: ${this.#said}`)))
  }

  /** Starts it; resolves when `ready` does so. */
  static async start(
    command: string,
    args: readonly string[],
    folder: string,
    ready: () => Promise<boolean>,
    options: SpawnOptions = {},
  ): Promise<Service> {
    const service = new Service(command, args, folder, options)
    const untilMs = performance.now() + readyMsMax
    try {
      while (!(await ready().catch(() => false))) {
        if (service.#failed) throw service.#failed
        if (performance.now() > untilMs) throw new Error(`${command} was not ready after ${readyMsMax / 1000} s: ${service.#said}`)
        await pause(lookEveryMs)
      }
    } catch (error) {
      await service[Symbol.asyncDispose]()
      throw error
    }
    return service
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { pid, exitCode, signalCode } = this.#child
    if (pid !== undefined && exitCode === null && signalCode === null) {
      const ended = once(this.#child, 'exit')
      this.#child.kill('SIGINT')
      const killing = setTimeout(() => this.#child.kill('SIGKILL'), endMsMax)
      await ended
      clearTimeout(killing)
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** True where this address answers well. */
export async function answers(url: string): Promise<boolean> {
  return (await fetch(url)).ok
}
