// Owns the processes of one `cox up`: it starts candidate and workers, tells when tasks can run, restarts what dies, stops all.
// Must not run any of the cluster's work itself, and must leave no process behind.
import { once } from 'node:events'
import { join } from 'node:path'
import { CoxswainError } from '../../protocol/errors.ts'
import { NodeFolder } from '../authority/folder.ts'
import { announcedError } from '../nodes/announce.ts'
import { type CandidateOptions, candidateArguments, type WorkerOptions, workerArguments } from '../nodes/options.ts'
import { type Endpoint, readEndpoint, removeEndpoint } from '../state/endpoint.ts'
import { type Home, prepareHome } from '../state/home.ts'
import { lives, type ProcessIdentity, signalProcess } from '../state/processes.ts'
import { ensureTokens } from '../state/tokens.ts'
import { type NodeDeath, UpHold } from '../state/up-file.ts'
import { LogFile } from './log-file.ts'
import { type NodeEvents, NodeProcessHandle } from './node-process.ts'

/** What `cox up` runs. */
export interface UpPlan {
  /** The first one leads in a new journal. */
  candidates: CandidateOptions[]
  workers: WorkerOptions[]
  /** As given, for up.json. */
  options: Record<string, unknown>
  drainMs: number
}

/** What the supervisor tells its owner. */
export interface SupervisorEvents {
  /** A line of a node's log, as written by it. */
  log(node: string, line: string): void
  /** Something that people must know: a death, a restart, a node left down. */
  notice(line: string): void
}

/** Nothing became of the start within this: it is given up. */
const readyMsMax = 30_000
/** What a node may take to end besides draining. */
const stopMsMax = 5_000
/** So long node processes that lost their supervisor may take to end before they are killed. */
const orphanMsMax = 6_000
const lookEveryMs = 20
const errorPattern = /\bError\b.*:|"level":"error"/
const lastErrorCharactersMax = 300
/** Failures with which starting again makes no sense. */
const finalCodes = new Set([
  'STATE_FOLDER_IN_USE',
  'STATE_FOLDER_UNUSABLE',
  'NETWORK_FILE_SYSTEM',
  'ADDRESS_IN_USE',
  'JOURNAL_CORRUPT',
  'JOURNAL_VERSION',
  'JOURNAL_WRITE_FAILED',
  'WRONG_CLUSTER',
  'FOREIGN_DATA',
  'OBJECT_STORE_FAILED',
  'UNSAFE_ETCD',
  'JOURNAL_UNUSABLE',
  'PACKAGE_MISSING',
  'INVALID_ARGUMENT',
  'ENCRYPTION_KEY_MISSING',
  'ENCRYPTION_KEY_WRONG',
  'ENCRYPTION_KEY_UNUSABLE',
])

/** The processes of one cluster on this machine. */
export class Supervisor {
  readonly #home: Home
  readonly #plan: UpPlan
  readonly #events: SupervisorEvents
  readonly #logs = new Map<string, LogFile>()
  /** The last line of each node that looks like an error: what its failure to start is explained with. */
  readonly #lastErrors = new Map<string, string>()
  readonly #ready = Promise.withResolvers<Endpoint>()
  readonly #deaths = new Map<string, NodeDeath>()
  #candidates: NodeProcessHandle[] = []
  #workers: NodeProcessHandle[] = []
  #hold: UpHold | undefined
  #isReady = false
  #stopped: Promise<void> | undefined

  constructor(home: Home, plan: UpPlan, events: SupervisorEvents) {
    this.#home = home
    this.#plan = plan
    this.#events = events
    // Who stops while it starts does not wait for readiness any more.
    this.#ready.promise.catch(() => undefined)
  }

  get #nodes(): NodeProcessHandle[] {
    return [...this.#candidates, ...this.#workers]
  }

  /** Takes the state folder, starts everything, and resolves when tasks can run. Whoever calls it must call `stop` in any case. */
  async start(): Promise<Endpoint> {
    prepareHome(this.#home)
    this.#hold = UpHold.take(this.#home, this.#plan.options)
    await this.#endOrphans(this.#hold.orphans)
    // On several machines certificates prove nodes, and tokens of their own users.
    if (!new NodeFolder(this.#home.node).node()) ensureTokens(this.#home)
    removeEndpoint(this.#home)
    const events: NodeEvents = {
      started: () => this.#record(),
      announced: (node, announcement, again) => {
        if ('failed' in announcement) this.#failed(node, announcement.failed)
        else this.#becameReady(node, again)
      },
      log: (node, line) => {
        this.#log(node.spec.name).line(line)
        if (errorPattern.test(line)) this.#lastErrors.set(node.spec.name, line.trim().slice(0, lastErrorCharactersMax))
        this.#events.log(node.spec.name, line)
      },
      ended: node => this.#endedWell(node),
      died: (node, how, restartInMs) => this.#died(node, how, restartInMs),
    }
    const { candidates, workers } = this.#plan
    this.#candidates = candidates.map(one => new NodeProcessHandle({ name: one.name, args: candidateArguments(one) }, events))
    this.#workers = workers.map(worker => new NodeProcessHandle({ name: worker.name, args: workerArguments(worker) }, events))
    for (const node of this.#firstNodes) node.start()
    const limit = setTimeout(() => this.#ready.reject(this.#notReady()), readyMsMax)
    try {
      const endpoint = await this.#ready.promise
      // Standbys come when tasks can run: they would only delay that.
      if (!this.#stopped) for (const standby of this.#candidates.slice(1)) standby.start()
      return endpoint
    } finally {
      clearTimeout(limit)
    }
  }

  /** What must be there before tasks can run. */
  get #firstNodes(): NodeProcessHandle[] {
    return [...this.#candidates.slice(0, 1), ...this.#workers]
  }

  /** A worker that was drained is done. A candidate that somebody asked to end has handed over, and stands by again. */
  #endedWell(node: NodeProcessHandle): void {
    if (!this.#candidates.includes(node)) return this.#notice(`${node.spec.name} has ended: it was drained.`)
    this.#notice(`${node.spec.name} was asked to end by somebody else; it starts again.`)
    node.start()
  }

  /** Node processes whose supervisor was killed end by themselves; what they hold has to be free before ours start. */
  async #endOrphans(orphans: readonly ProcessIdentity[]): Promise<void> {
    const startMs = performance.now()
    while (orphans.some(lives) && !this.#stopped) {
      if (performance.now() - startMs > orphanMsMax) for (const orphan of orphans) signalProcess(orphan, 'SIGKILL')
      await new Promise<void>(resolve => setTimeout(resolve, lookEveryMs))
    }
    if (this.#stopped) throw new CoxswainError('INTERRUPTED', 'The start was interrupted.')
  }

  #log(name: string): LogFile {
    let log = this.#logs.get(name)
    if (!log) this.#logs.set(name, (log = new LogFile(join(this.#home.logs, `${name}.log`))))
    return log
  }

  #notice(line: string): void {
    this.#log('up').line(`${new Date().toISOString()} ${line}`)
    this.#events.notice(line)
  }

  #record(): void {
    const nodes = this.#nodes.flatMap(node => (node.identity ? [{ name: node.spec.name, ...node.identity }] : []))
    try {
      this.#hold?.record(nodes, [...this.#deaths.values()])
    } catch (error) {
      this.#log('up').line(`up.json could not be written: ${(error as Error).message}`)
    }
  }

  #notReady(): CoxswainError {
    const missing = this.#firstNodes
      .filter(node => !node.ready)
      .map(({ spec: { name } }) => `${name}${this.#lastErrors.has(name) ? ` (${this.#lastErrors.get(name)})` : ''}`)
    return new CoxswainError(
      'UNAVAILABLE',
      `Not ready within ${readyMsMax / 1000} s: ${missing.join(', ')}. What they say is in ${this.#home.logs}.`,
      { id: this.#home.path },
    )
  }

  #becameReady(node: NodeProcessHandle, again: boolean): void {
    // A standby that is ready for the first time is nothing that people must know.
    if (this.#isReady) return again ? this.#notice(`${node.spec.name} is ready again.`) : undefined
    if (!this.#firstNodes.every(one => one.ready)) return
    // A worker of several machines is ready without a candidate here.
    const nowhere = { address: '', cluster: new NodeFolder(this.#home.node).node()?.cluster ?? '', pid: 0, epoch: 0, startedAtMs: 0 }
    const endpoint = readEndpoint(this.#home) ?? (this.#candidates.length === 0 ? nowhere : undefined)
    if (!endpoint) return this.#ready.reject(this.#notReady())
    this.#isReady = true
    this.#ready.resolve(endpoint)
  }

  #failed(node: NodeProcessHandle, failed: { code: string; message: string; id?: string }): void {
    const said = `${failed.code}: ${failed.message}`
    this.#log(node.spec.name).line(said)
    this.#lastErrors.set(node.spec.name, said.split('\n', 1)[0]!.slice(0, lastErrorCharactersMax))
    if (!this.#isReady && finalCodes.has(failed.code)) this.#ready.reject(announcedError(failed))
    else this.#notice(`${node.spec.name}: ${failed.code}: ${failed.message.split('\n', 1)[0]}`)
  }

  #died(node: NodeProcessHandle, how: string, restartInMs: number | undefined): void {
    const { name } = node.spec
    const lastWords = this.#lastErrors.get(name) ?? ''
    // What it said in this life explains no later death.
    this.#lastErrors.delete(name)
    this.#deaths.set(name, { name, atMs: Date.now(), how, lastWords, leftDown: restartInMs === undefined })
    this.#record()
    const words = lastWords === '' ? '' : ` Its last words: ${lastWords}`
    if (restartInMs !== undefined) return this.#notice(`${name} died (${how}); it starts again in ${restartInMs} ms.${words}`)
    this.#notice(
      `${name} died again and again and IS LEFT DOWN (${how}). What it said is in ${this.#log(name).path}; then: cox down && cox up.${words}`,
    )
    if (this.#isReady) return
    const said = lastWords || how
    this.#ready.reject(
      new CoxswainError('UNAVAILABLE', `${name} cannot start: ${said}; what else it said is in ${this.#log(name).path}.`, { id: name }),
    )
  }

  /** Stops workers, then standbys, then the leader, and lets the folder go. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.#ready.reject(new CoxswainError('INTERRUPTED', 'The start was interrupted.'))
    const drainMs = this.#isReady ? this.#plan.drainMs : 0
    await Promise.all(this.#workers.map(worker => worker.stop(drainMs + stopMsMax)))
    // The leader goes last, so that nobody takes over what is to end.
    const leader = readEndpoint(this.#home)?.pid
    const leads = (node: NodeProcessHandle): boolean => node.identity?.pid === leader
    await Promise.all(this.#candidates.filter(node => !leads(node)).map(node => node.stop(stopMsMax)))
    await Promise.all(this.#candidates.map(node => node.stop(stopMsMax)))
    if (this.#hold) {
      removeEndpoint(this.#home)
      this.#hold.release()
    }
    for (const log of this.#logs.values()) log.close()
  }

  /** Kills everything at once; `stop` then ends soon. */
  force(): void {
    for (const node of this.#nodes) node.kill()
  }
}

/** Resolves when this process's stdin ends: whoever started us is gone. */
export async function stdinEnded(): Promise<void> {
  process.stdin.on('error', () => undefined)
  process.stdin.resume()
  await once(process.stdin, 'close')
}
