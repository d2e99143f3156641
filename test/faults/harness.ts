// Owns real clusters for the fault tests: `cox up` with a state folder of its own, its processes by name, signals, and waiting for conditions.
// Must not leave a process or a folder behind, and must not sleep: every wait is for a condition and has a limit.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Cluster, type ConnectOptions, CoxswainError, connect, type StatusView } from '../../src/index.ts'
import { type CoxOptions, type CoxResult, cox, processesOf, temporaryHome } from '../cli/cox.ts'

const lookEveryMs = 10
/** However slow the machine is, a condition that has not come by then does not come. */
const conditionMsMax = 40_000

/** What a fault does to a process. */
export type Fault = 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'

/** Resolves with the first value of `probe` that is neither undefined nor false; what it throws counts as not yet. */
export async function until<T>(what: string, probe: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> {
  const giveUpAtMs = performance.now() + conditionMsMax
  let last: unknown
  for (;;) {
    try {
      const value = await probe()
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>
      last = value
    } catch (error) {
      last = error
    }
    if (performance.now() > giveUpAtMs) throw new Error(`waited in vain for: ${what} (last: ${String(last)})`)
    await new Promise<void>(resolve => setTimeout(resolve, lookEveryMs))
  }
}

/** True while a process with this pid runs; a zombie does not. */
export function alive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

function parentOf(pid: number): number {
  const stat = alive(pid) ? readFileSync(`/proc/${pid}/stat`, 'latin1') : ''
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0)
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')
  } catch {
    return ['']
  }
}

/** The non-empty lines of a file, none if it is not there. */
export function linesOf(path: string): string[] {
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []
}

/** How often each line is there. */
export function tally(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1)
  return counts
}

/** Fails unless `promise` rejects with this code, and gives the error. */
export async function rejection(promise: Promise<unknown>, code: string): Promise<CoxswainError> {
  try {
    const value = await promise
    assert.fail(`${code} was expected, and it gave ${JSON.stringify(value)}`)
  } catch (error) {
    if (!(error instanceof CoxswainError)) throw error
    assert.equal(error.code, code, error.message)
    return error
  }
}

/** The error that a verb with --json printed. */
export function errorOf(result: CoxResult): { code: string; message: string; advice: string; id?: string } {
  return (JSON.parse(result.stdout) as { error: { code: string; message: string; advice: string; id?: string } }).error
}

/** A cluster of `cox up --detach`, and a client of ours. */
export class FaultCluster implements AsyncDisposable {
  /** A folder for the test's own files; the state folder is in it. */
  readonly folder: string
  readonly home: string
  readonly #cleanUp: () => void
  readonly #args: readonly string[]
  #clients: Cluster[] = []
  #client: Cluster | undefined

  private constructor(name: string, args: readonly string[], at?: string) {
    const { folder, home, cleanUp } = temporaryHome(name)
    this.folder = folder
    this.home = at ?? home
    this.#cleanUp = cleanUp
    this.#args = args
  }

  /** Starts one, with these options of `cox up`; `at`: a state folder elsewhere, which stays. */
  static async start(name: string, args: readonly string[], at?: string): Promise<FaultCluster> {
    const cluster = new FaultCluster(name, args, at)
    try {
      await cluster.up()
      cluster.#client = await cluster.connect()
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
    return cluster
  }

  /** The client that the harness holds. */
  get client(): Cluster {
    return this.#client!
  }

  /** A path in the test's folder. */
  path(name: string): string {
    return join(this.folder, name)
  }

  /** `cox up` on the same state folder, once more. */
  async up(): Promise<void> {
    // One candidate unless a test asks for more: here it is the supervisor's restart that is put to the test.
    const up = await this.cox(['up', '--detach', '--json', '--candidates', '1', ...this.#args])
    assert.equal(up.code, 0, JSON.stringify(up))
  }

  /** Runs a verb on it. */
  cox(args: readonly string[], options: Partial<CoxOptions> = {}): Promise<CoxResult> {
    return cox(args, { home: this.home, ...options })
  }

  /** One more client of it. */
  async connect(options: ConnectOptions = {}): Promise<Cluster> {
    process.env['COX_HOME'] = this.home
    const client = await connect({ local: false, ...options })
    this.#clients.push(client)
    return client
  }

  /** The pid of a node of it now: `candidate-1`, `worker-1`, …, or `supervisor`. */
  pid(name: string): number {
    const up = JSON.parse(readFileSync(join(this.home, 'up.json'), 'utf8')) as {
      supervisor: { pid: number }
      nodes: { name: string; pid: number }[]
    }
    const pid = name === 'supervisor' ? up.supervisor.pid : up.nodes.find(node => node.name === name)?.pid
    assert.ok(pid, `${name} is not there`)
    return pid
  }

  /** Sends a signal to a node, and gives its pid. */
  async signal(name: string, fault: Fault): Promise<number> {
    const pid = this.pid(name)
    process.kill(pid, fault)
    if (fault === 'SIGKILL') await until(`${name} (${pid}) is dead`, () => !alive(pid))
    return pid
  }

  /** Kills the leader, and gives the status of the next one. */
  async killLeader(): Promise<StatusView> {
    const { epoch, pid } = (await this.client.status()).leader
    process.kill(pid, 'SIGKILL')
    await until(`the leader (${pid}) is dead`, () => !alive(pid))
    return until('the next leader', async () => {
      const status = await this.client.status()
      return status.leader.epoch > epoch && status
    })
  }

  /** Waits until this worker is registered with a pid other than the one given. */
  workerAgain(name: string, otherThanPid: number): Promise<number> {
    return until(`${name} is back`, async () => {
      const worker = (await this.client.workers()).find(one => one.id === name)
      return worker !== undefined && worker.state === 'ready' && worker.pid !== otherThanPid && worker.pid
    })
  }

  /** Pids of the executors' own processes, of all workers or of the one with this pid. */
  executors(worker?: number): number[] {
    return processesOf(this.home).filter(pid => {
      const words = commandLine(pid)
      // Between the worker and the executor stands a shell, which has the same words in its arguments.
      const executor = !words[0]!.endsWith('/sh') && words.some(word => /executors\/main\.[jt]s$/.test(word))
      return executor && (worker === undefined || parentOf(parentOf(pid)) === worker)
    })
  }

  /** What a node wrote to its log. */
  log(name: string): string {
    return linesOf(join(this.home, 'logs', `${name}.log`)).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client.close()
    if (existsSync(join(this.home, 'up.json'))) await this.cox(['down', '--force', '--json'])
    this.#cleanUp()
  }
}
