// Owns three etcd members on hosts of their own, with mutual TLS: started, killed, stopped, asked as an administrator would.
// Must not know of Coxswain.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { type Certificates, makeCertificates } from '../../test/services/certificates.ts'
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
  readonly #agent: Agent
  /** What its clients show and trust. */
  readonly tls: Certificates

  constructor(hosts: Hosts, folder: string) {
    this.#hosts = hosts
    this.#folder = folder
    this.tls = makeCertificates(join(folder, 'etcd-tls'), etcdHosts.map(host => `IP:${hosts.address(host)}`).join())
    this.#agent = new Agent({ ca: this.tls.ca, cert: this.tls.cert, key: this.tls.key })
  }

  /** The address of the journal in it. */
  get journal(): string {
    return `etcds://${etcdHosts.map(host => `${this.#hosts.address(host)}:${clientPort}`).join(',')}/hosts`
  }

  #url(host: number, port: number): string {
    return `https://${this.#hosts.address(host)}:${port}`
  }

  /** Starts a member, also again on what it kept. */
  start(host: number): void {
    const log = openSync(join(this.#folder, `etcd-${host}.txt`), 'a')
    const cluster = etcdHosts.map(one => `member${one}=${this.#url(one, peerPort)}`).join(',')
    const { ca, serverCert, serverKey } = this.tls.files
    const args = [
      ...['--name', `member${host}`, '--data-dir', join(this.#folder, `etcd-${host}`), '--log-level', 'warn', '--unsafe-no-fsync'],
      ...['--listen-client-urls', this.#url(host, clientPort), '--advertise-client-urls', this.#url(host, clientPort)],
      ...['--listen-peer-urls', this.#url(host, peerPort), '--initial-advertise-peer-urls', this.#url(host, peerPort)],
      ...['--initial-cluster', cluster, '--initial-cluster-state', 'new', '--client-cert-auth', '--peer-client-cert-auth'],
      ...['--trusted-ca-file', ca, '--cert-file', serverCert, '--key-file', serverKey],
      ...['--peer-trusted-ca-file', ca, '--peer-cert-file', serverCert, '--peer-key-file', serverKey],
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
  ask(host: number, path: string, body: object = {}): Promise<Record<string, unknown>> {
    const method = path.startsWith('/v3') ? 'POST' : 'GET'
    return new Promise((resolve, reject) => {
      const asked = request(`${this.#url(host, clientPort)}${path}`, { method, agent: this.#agent, timeout: askWithinMs }, response => {
        let text = ''
        response.setEncoding('utf8').on('data', piece => (text += String(piece)))
        response.on('error', reject).on('end', () => {
          if (response.statusCode === 200) resolve(JSON.parse(text) as Record<string, unknown>)
          else reject(new Error(`${path} of member ${host}: ${response.statusCode} ${text}`))
        })
      })
      asked.on('timeout', () => asked.destroy(new Error(`${path} of member ${host}: no answer`)))
      asked.on('error', reject)
      asked.end(method === 'POST' ? JSON.stringify(body) : undefined)
    })
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
    this.#agent.destroy()
    for (const host of this.#processes.keys()) await this.kill(host)
  }
}
