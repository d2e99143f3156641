// Owns three etcd members on hosts of their own: started, killed, stopped, asked as an administrator would.
// Must not know of Coxswain.
import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { findEtcd } from '../../test/services/etcd.ts'
import { pauseMs } from '../run.ts'
import type { Hosts } from './network.ts'

const clientPort = 2379
const peerPort = 2380
const readyWithinMs = 60_000
const lookEveryMs = 20
const askWithinMs = 3000

/** The hosts that etcd is on. */
export const etcdHosts: readonly number[] = [1, 2, 3]

/** Members of one etcd. */
export class HostEtcd {
  readonly #hosts: Hosts
  readonly #folder: string
  readonly #processes = new Map<number, ChildProcess>()

  constructor(hosts: Hosts, folder: string) {
    this.#hosts = hosts
    this.#folder = folder
  }

  /** The address of the journal in it. */
  get journal(): string {
    return `etcd://${etcdHosts.map(host => `${this.#hosts.address(host)}:${clientPort}`).join(',')}/hosts`
  }

  #url(host: number, port: number): string {
    return `http://${this.#hosts.address(host)}:${port}`
  }

  /** Starts a member, also again on what it kept. */
  start(host: number): void {
    const log = openSync(join(this.#folder, `etcd-${host}.txt`), 'a')
    const cluster = etcdHosts.map(one => `member${one}=${this.#url(one, peerPort)}`).join(',')
    const args = [
      ...['--name', `member${host}`, '--data-dir', join(this.#folder, `etcd-${host}`), '--log-level', 'warn', '--unsafe-no-fsync'],
      ...['--listen-client-urls', this.#url(host, clientPort), '--advertise-client-urls', this.#url(host, clientPort)],
      ...['--listen-peer-urls', this.#url(host, peerPort), '--initial-advertise-peer-urls', this.#url(host, peerPort)],
      ...['--initial-cluster', cluster, '--initial-cluster-state', 'new'],
    ]
    const env = { ...process.env, GOMAXPROCS: '2' }
    this.#processes.set(host, this.#hosts.spawn(host, findEtcd()!, args, { stdio: ['ignore', log, log], env }))
    closeSync(log)
  }

  /** `ip netns exec` becomes what it runs, so this is the member's own. */
  pid(host: number): number {
    return this.#processes.get(host)!.pid!
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(host: number): Promise<void> {
    const child = this.#processes.get(host)!
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** Asks a member over its JSON gateway. */
  async ask(host: number, path: string, body: object = {}): Promise<Record<string, unknown>> {
    const init = { method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(askWithinMs) }
    const answer = await fetch(`${this.#url(host, clientPort)}${path}`, path.startsWith('/v3') ? init : { signal: init.signal })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path} of member ${host}: ${answer.status} ${text}`)
    return JSON.parse(text) as Record<string, unknown>
  }

  /** Resolves when these members answer linearizable reads. */
  async ready(members: readonly number[] = etcdHosts): Promise<void> {
    const untilMs = performance.now() + readyWithinMs
    for (const host of members) {
      while (!(await this.#healthy(host))) {
        if (performance.now() > untilMs) throw new Error(`etcd member ${host} is not ready; see ${this.#folder}`)
        await pauseMs(lookEveryMs)
      }
    }
  }

  async #healthy(host: number): Promise<boolean> {
    try {
      return (await this.ask(host, '/health'))['health'] === 'true'
    } catch {
      return false
    }
  }

  /** The host of the member that leads. */
  async leader(): Promise<number> {
    for (const host of etcdHosts) {
      const { leader, header } = (await this.ask(host, '/v3/maintenance/status')) as { leader: string; header: { member_id: string } }
      if (leader === header.member_id) return host
    }
    throw new Error('no member of etcd leads')
  }

  /** Forgets all revisions before the newest one; which that is. */
  async compact(): Promise<string> {
    const { header } = (await this.ask(1, '/v3/maintenance/status')) as { header: { revision: string } }
    await this.ask(1, '/v3/kv/compaction', { revision: header.revision, physical: true })
    return header.revision
  }

  async close(): Promise<void> {
    for (const host of this.#processes.keys()) await this.kill(host)
  }
}

/** Whether a tool of etcd is beside it or on the PATH, to be skipped loudly otherwise. */
export function etcdTool(name: string): string | undefined {
  const beside = findEtcd()?.replace(/etcd$/, name)
  for (const path of beside === undefined ? [name] : [beside, name]) {
    try {
      execFileSync(path, ['version'], { stdio: 'ignore' })
      return path
    } catch {
      // It is not there.
    }
  }
  return undefined
}
