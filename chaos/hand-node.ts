// Owns nodes that are started by hand, as a supervisor starts them, with an endpoint file of their own: so a node can be shown another way to its leader.
// Must not share a worker's folder with a node of the cluster's own supervisor.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { candidateArguments, workerArguments } from '../src/cli/nodes/options.ts'
import { mainModule } from '../src/cli/supervisor/node-process.ts'

const followEveryMs = 5
const memoryBytes = 256 << 20
const drainMs = 1000
const priority = 100

/** One node process of ours. */
export class HandNode implements AsyncDisposable {
  /** Its own state folder: tokens, endpoint file and the worker's folder. Of a candidate, the cluster's. */
  readonly home: string
  readonly #child: ChildProcess
  readonly #own: boolean
  readonly #following: NodeJS.Timeout | undefined
  #of: string
  readonly #rewrite: (address: string) => string
  #text = ''

  private constructor(home: string, of: string, args: string[], own: boolean, rewrite: (address: string) => string = address => address) {
    this.#rewrite = rewrite
    this.home = home
    this.#of = of
    this.#own = own
    if (own) this.#copyEndpoint()
    this.#child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', mainModule, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#text += text
      })
    }
    if (own) this.#following = setInterval(() => this.#copyEndpoint(), followEveryMs)
  }

  /** A worker of the cluster in `of`; `rewrite` makes of the leader's address the one that it is shown. */
  static async worker(of: string, name: string, executors: number, rewrite?: (address: string) => string, at?: string): Promise<HandNode> {
    const home = at ?? mkdtempSync(join(tmpdir(), 'cox-chaos-worker-'))
    cpSync(join(of, 'tokens'), join(home, 'tokens'), { recursive: true })
    const capacity = { cpuMillis: executors * 1000, memoryBytes, gpuMillis: 0, named: [] }
    const args = workerArguments({ home, name, host: '127.0.0.1', capacity, executors, labels: [], drainMs, logLevel: 'debug' })
    return new HandNode(home, of, args, true, rewrite)
  }

  /** One more candidate on the journal of the cluster in `of`. */
  static async candidate(of: string, name: string): Promise<HandNode> {
    const args = candidateArguments({
      home: of,
      name,
      host: '127.0.0.1',
      port: 0,
      priority,
      firstDelayMs: 0,
      journal: 'sqlite',
      logLevel: 'info',
    })
    return new HandNode(of, of, args, false)
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** What it wrote. */
  get said(): string {
    return this.#text
  }

  /** From now on it is shown the leader of another folder. */
  follow(of: string): void {
    this.#of = of
  }

  #copyEndpoint(): void {
    try {
      const endpoint = JSON.parse(readFileSync(join(this.#of, 'cluster.json'), 'utf8')) as { address: string }
      const temporary = join(this.home, 'cluster.json.tmp')
      writeFileSync(temporary, JSON.stringify({ ...endpoint, address: this.#rewrite(endpoint.address) }))
      renameSync(temporary, join(this.home, 'cluster.json'))
    } catch {
      // No leader has said where it is just now.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#following)
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = once(this.#child, 'exit')
      this.#child.stdin!.end()
      await gone
    }
    if (this.#own) rmSync(this.home, { recursive: true, force: true, maxRetries: 5 })
  }
}
