// Owns a cluster of machines on hosts: three members of etcd, three candidates and four workers that joined by tokens, and a client that logged in.
// Must not leave a process or a folder behind.
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Cluster, connect, type StatusView } from '../../src/index.ts'
import { etcdOptions, openEtcd, openEtcdStore, parseEtcdAddress } from '../../src/journal/etcd/index.ts'
import type { Inspectable, Store } from '../../src/journal/index.ts'
import { alive, linesOf, until } from '../../test/faults/harness.ts'
import { etcdHosts, HostEtcd } from './etcd.ts'
import type { Hosts } from './network.ts'

const mainModule = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** The hosts of candidates, of workers, and the one of the client, on which this process runs. */
export const candidateHosts: readonly number[] = [4, 5, 6]
export const workerHosts: readonly number[] = [7, 8, 9, 10]
export const clientHost = 11
export const hostCount = 11

const candidatePort = 4700
const blockPort = 4701

/** How a verb ended. */
export interface VerbResult {
  code: number | null
  stdout: string
  stderr: string
}

/** The cluster of one run. */
export class HostCluster implements AsyncDisposable {
  readonly hosts: Hosts
  readonly folder: string
  readonly etcd: HostEtcd
  #clients: Cluster[] = []
  #client: Cluster | undefined

  private constructor(hosts: Hosts) {
    this.hosts = hosts
    this.folder = mkdtempSync(join(tmpdir(), 'cox-hosts-'))
    this.etcd = new HostEtcd(hosts, this.folder)
  }

  static async start(hosts: Hosts): Promise<HostCluster> {
    const cluster = new HostCluster(hosts)
    try {
      await cluster.#start()
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
    return cluster
  }

  async #start(): Promise<void> {
    for (const host of etcdHosts) this.etcd.start(host)
    await this.etcd.ready()
    const [first, ...others] = candidateHosts as [number, ...number[]]
    const init = ['cluster', 'init', '--advertise', this.address(first), '--name', this.nameOf(first), '--uses', '4', '--role', 'candidate']
    const { joinToken: forCandidates } = await this.json<{ joinToken: string }>(first, init)
    await this.up(first)
    const forWorkers = await this.joinToken('worker')
    await Promise.all([
      ...others.map(async host => {
        await this.json(host, ['join', forCandidates, '--name', this.nameOf(host), '--advertise', this.address(host)])
        await this.up(host)
      }),
      ...workerHosts.map(async host => {
        await this.json(host, ['join', forWorkers, '--name', this.nameOf(host)])
        await this.up(host)
      }),
    ])
    await this.login()
    this.#client = await this.connect()
    await until(
      'four workers',
      async () => (await this.client.workers()).filter(one => one.state === 'ready').length === workerHosts.length,
    )
  }

  /** Tokens with which machines join. */
  async joinToken(role: 'worker' | 'candidate'): Promise<string> {
    return (await this.json<{ joinToken: string }>(candidateHosts[0]!, ['cluster', 'token', '--role', role, '--uses', '8'])).joinToken
  }

  /** The name of the node on a host. */
  nameOf(host: number): string {
    return candidateHosts.includes(host) ? `c${host - candidateHosts[0]! + 1}` : `w${host - workerHosts[0]! + 1}`
  }

  /** The host of a node. */
  hostOf(name: string): number {
    return (name.startsWith('c') ? candidateHosts[0]! : workerHosts[0]!) + Number(name.slice(1)) - 1
  }

  /** Where a candidate, or a worker's blocks, are reached. */
  address(host: number): string {
    return `${this.hosts.address(host)}:${candidateHosts.includes(host) ? candidatePort : blockPort}`
  }

  home(host: number): string {
    return join(this.folder, host === clientHost ? 'client' : this.nameOf(host))
  }

  /** The state folders of all nodes. */
  get homes(): string[] {
    return [...candidateHosts, ...workerHosts].map(host => this.home(host))
  }

  /** The client that the cluster holds. */
  get client(): Cluster {
    return this.#client!
  }

  /** Runs a verb on a host to its end. */
  async cox(host: number, args: readonly string[], home = this.home(host)): Promise<VerbResult> {
    const { COX_URL: _url, COX_TOKEN_FILE: _file, ...inherited } = process.env
    const child = this.hosts.spawn(host, process.execPath, ['--disable-warning=ExperimentalWarning', mainModule, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...inherited, COX_HOME: home },
      cwd: this.folder,
    })
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) child[name]!.setEncoding('utf8').on('data', text => (output[name] += String(text)))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, ...output }
  }

  /** What a verb answers in JSON; throws if it fails. */
  async json<T>(host: number, args: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await this.cox(host, [...args, '--json'])
    if (code !== 0) throw new Error(`cox ${args.slice(0, 2).join(' ')} on host ${host}: ${stdout}${stderr}`)
    return JSON.parse(stdout) as T
  }

  /** `cox up` on a host. */
  async up(host: number): Promise<void> {
    const { ca, cert, key } = this.etcd.tls.files
    const files = ['--etcd-ca-file', ca, '--etcd-cert-file', cert, '--etcd-key-file', key]
    const own = candidateHosts.includes(host) ? ['--journal', this.etcd.journal, ...files] : ['--executors', '1']
    await this.json(host, ['up', '--detach', '--listen', this.address(host), ...own])
  }

  /** Certificates of the authorities that a candidate believes, as PEM. */
  authorities(host = candidateHosts[0]!): string {
    const { authorities } = JSON.parse(readFileSync(join(this.home(host), 'cluster.json'), 'utf8')) as { authorities: string[] }
    return authorities.join('\n')
  }

  /** The wss:// addresses of all candidates. */
  get url(): string {
    return candidateHosts.map(host => `wss://${this.address(host)}`).join(',')
  }

  /** The admin's token, that of the first user. */
  get adminTokenFile(): string {
    return join(this.home(candidateHosts[0]!), 'tokens', 'user')
  }

  /** The client's host is logged in as the admin, with the authorities that there are now. */
  async login(): Promise<void> {
    mkdirSync(this.home(clientHost), { recursive: true, mode: 0o700 })
    const caFile = join(this.folder, 'authorities.pem')
    writeFileSync(caFile, this.authorities())
    await this.json(clientHost, ['login', this.url, '--token-file', this.adminTokenFile, '--ca-file', caFile])
  }

  /** One more client of it, on the client's host. */
  async connect(name = 'client'): Promise<Cluster> {
    process.env['COX_HOME'] = this.home(clientHost)
    const client = await connect({ local: false, name, timeout: '30s' })
    this.#clients.push(client)
    return client
  }

  /** The journal, for an onlooker: it never claims. */
  store(): Promise<Store & Inspectable> {
    const { ca: caFile, cert: certFile, key: keyFile } = this.etcd.tls.files
    return openEtcdStore({ etcd: openEtcd(etcdOptions(parseEtcdAddress(this.etcd.journal), { caFile, certFile, keyFile })) })
  }

  async leader(): Promise<StatusView['leader'] & { host: number }> {
    const { leader } = await this.client.status()
    return { ...leader, host: this.hostOf(leader.id) }
  }

  /** The pid of the node of a host now. */
  pid(host: number): number {
    const up = JSON.parse(readFileSync(join(this.home(host), 'up.json'), 'utf8')) as { nodes: { pid: number }[] }
    const pid = up.nodes[0]?.pid
    if (pid === undefined) throw new Error(`the node of host ${host} does not run`)
    return pid
  }

  /** What the node of a host wrote to its log. */
  log(host: number): string {
    return linesOf(join(this.home(host), 'logs', `${this.nameOf(host)}.log`)).join('\n')
  }

  /** Kills every node, supervisors first; etcd stays. */
  async end(): Promise<void> {
    for (const client of this.#clients) await client.close()
    this.#clients = []
    for (;;) {
      const left = [...candidateHosts, ...workerHosts].flatMap(host => this.hosts.pids(host)).filter(alive)
      if (left.length === 0) return
      for (const pid of left) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It has ended by itself.
        }
      }
      await new Promise<void>(resolve => setTimeout(resolve, 20))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hosts.heal()
    await this.end()
    await this.etcd.close()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
