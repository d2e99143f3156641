// Owns real etcd members for tests: one or three on loopback, plain or with mutual TLS, killed, paused and started again one by one.
// Must not outlive its test: whatever ends this process ends the members, and their folder goes with `close`.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, closeSync, constants, globSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request as plainRequest } from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Certificates, hasOpenssl, makeCertificates } from './certificates.ts'

/** Starting three members with TLS takes about 2 s on an idle machine. */
const readyWithinMs = 60_000
const lookAgainMs = 20
const startsMax = 3

/** What members are started. */
export interface EtcdSetup {
  members?: 1 | 3
  /** Mutual TLS, for clients and between members. */
  tls?: boolean
  /** Where the NOSPACE alarm is raised; etcd's own default without it. */
  quotaBytes?: number
  /** Disks are synced: what a kill of all members at once must survive. Without it they are several times faster. */
  fsync?: boolean
  /** Further arguments of each member. */
  args?: readonly string[]
}

/** The etcd that tests run: by COX_TEST_ETCD, below ~/.cache/coxswain-services, or on the PATH. */
export function findEtcd(): string | undefined {
  const named = process.env['COX_TEST_ETCD']
  const cached = globSync(join(homedir(), '.cache/coxswain-services/etcd-*/etcd')).sort().reverse()
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map(folder => join(folder, 'etcd'))
  return (named === undefined ? [...cached, ...onPath] : [named]).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Why such members cannot be started here, to skip a test with; undefined where they can. */
export function whyNoEtcd(setup: EtcdSetup = {}): string | undefined {
  if (findEtcd() === undefined) return 'NO ETCD HERE: name the binary in COX_TEST_ETCD, or have `etcd` on the PATH'
  if (setup.tls && !hasOpenssl()) return 'NO OPENSSL HERE: certificates for etcd are made with the openssl program'
  return undefined
}

/** One member. */
export class EtcdMember {
  readonly endpoint: string
  readonly #binary: string
  readonly #args: readonly string[]
  readonly #log: string
  #process: ChildProcess | undefined
  #watcher: ChildProcess | undefined

  constructor(binary: string, endpoint: string, args: readonly string[], log: string) {
    this.endpoint = endpoint
    this.#binary = binary
    this.#args = args
    this.#log = log
  }

  /** 0 while it does not run. */
  get pid(): number {
    return this.runs ? (this.#process?.pid ?? 0) : 0
  }

  get runs(): boolean {
    return this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** The last words of its log. */
  get lastWords(): string {
    return readFileSync(this.#log, 'utf8').slice(-3000)
  }

  /** Starts it, also again on what it kept. It answers later: see `EtcdService.untilReady`. */
  start(): void {
    const log = openSync(this.#log, 'a')
    const child = spawn(this.#binary, this.#args, { stdio: ['ignore', log, log], env: { ...process.env, GOMAXPROCS: '2' } })
    closeSync(log)
    // Reads until this process is gone, however it ended, and then ends the member.
    const watcher = spawn('sh', ['-c', 'read nothing; kill -9 "$1"', 'sh', String(child.pid)], { stdio: ['pipe', 'ignore', 'ignore'] })
    watcher.stdin!.on('error', () => undefined)
    child.on('error', () => undefined).once('exit', () => watcher.kill('SIGKILL'))
    // Neither keeps a test process alive that forgot to close them.
    child.unref()
    watcher.unref()
    ;(watcher.stdin as unknown as { unref(): void }).unref()
    this.#process = child
    this.#watcher = watcher
  }

  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** SIGTERM: it says goodbye to its clients. Resolves when it is gone. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  /** It stands still, its connections stay open. */
  pause(): void {
    this.#process?.kill('SIGSTOP')
  }

  resume(): void {
    this.#process?.kill('SIGCONT')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    if (child === undefined || !this.runs) return
    child.ref()
    const gone = once(child, 'exit')
    child.kill(signal)
    if (signal !== 'SIGKILL') child.kill('SIGCONT')
    await gone
    this.#watcher?.kill('SIGKILL')
  }
}

/** Members of one cluster. */
export class EtcdService {
  readonly members: readonly EtcdMember[]
  /** Such as `https://127.0.0.1:12001`, one for each member. */
  readonly endpoints: string[]
  /** What a client shows and trusts; undefined without TLS. */
  readonly tls: Certificates | undefined
  readonly #folder: string
  readonly #agent: Agent

  constructor(folder: string, members: readonly EtcdMember[], tls: Certificates | undefined) {
    this.#folder = folder
    this.members = members
    this.endpoints = members.map(member => member.endpoint)
    this.tls = tls
    this.#agent = tls === undefined ? new Agent() : new SecureAgent({ ca: tls.ca, cert: tls.cert, key: tls.key })
  }

  /** Asks one member over its JSON gateway, as an administrator would: `/v3/maintenance/defragment`. */
  ask(path: string, body: object = {}, options: { member?: number; token?: string } = {}): Promise<Record<string, unknown>> {
    const text = JSON.stringify(body)
    const headers = { 'content-length': Buffer.byteLength(text), ...(options.token && { authorization: options.token }) }
    const url = new URL(path, this.endpoints[options.member ?? 0])
    const request = url.protocol === 'https:' ? secureRequest : plainRequest
    return new Promise((resolve, reject) => {
      const sent = request(
        url,
        { method: path.startsWith('/v3') ? 'POST' : 'GET', agent: this.#agent, headers, timeout: 5000 },
        response => {
          const parts: Buffer[] = []
          response.on('data', (part: Buffer) => parts.push(part))
          response.on('error', reject)
          response.on('end', () => {
            const answer = Buffer.concat(parts).toString()
            if (response.statusCode === 200) resolve(JSON.parse(answer) as Record<string, unknown>)
            else reject(new Error(`${path}: ${response.statusCode} ${answer}`))
          })
        },
      )
      sent.on('timeout', () => sent.destroy(new Error(`${path}: no answer`)))
      sent.on('error', reject)
      sent.end(path.startsWith('/v3') ? text : undefined)
    })
  }

  /** Waits until these members (all by default) say that they know a leader and answer linearizable reads. */
  async untilReady(members: readonly number[] = this.members.map((_, at) => at)): Promise<void> {
    const untilMs = performance.now() + readyWithinMs
    for (const member of members) {
      for (;;) {
        const problem = await this.#health(member)
        if (problem === undefined) break
        const { runs, lastWords } = this.members[member]!
        if (!runs || performance.now() > untilMs) throw new Error(`etcd member ${member} is not ready: ${problem}\n${lastWords}`)
        await pause(lookAgainMs)
      }
    }
  }

  async #health(member: number): Promise<string | undefined> {
    try {
      const { health, reason } = await this.ask('/health', {}, { member })
      return health === 'true' ? undefined : String(reason)
    } catch (error) {
      return String(error)
    }
  }

  /** The number of the member that leads, as member 0 or the one that is named knows it. */
  async leader(asked = 0): Promise<number> {
    const { leader } = await this.ask('/v3/maintenance/status', {}, { member: asked })
    for (const at of this.members.keys()) {
      if (!this.members[at]!.runs) continue
      const { header } = (await this.ask('/v3/maintenance/status', {}, { member: at })) as { header: { member_id: string } }
      if (header.member_id === leader) return at
    }
    throw new Error('no running member leads')
  }

  /** Kills what runs and removes what was kept. */
  async close(): Promise<void> {
    this.#agent.destroy()
    for (const member of this.members) await member.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Starts members and waits until they are ready. Ask `whyNoEtcd` first. */
export async function startEtcd(setup: EtcdSetup = {}): Promise<EtcdService> {
  for (let start = 1; ; start++) {
    const service = await spawnMembers(setup)
    try {
      await service.untilReady()
      return service
    } catch (error) {
      await service.close()
      // Another process took one of the ports between the look and the start.
      if (start >= startsMax || !String(error).includes('address already in use')) throw error
    }
  }
}

async function spawnMembers(setup: EtcdSetup): Promise<EtcdService> {
  const binary = findEtcd()
  if (binary === undefined) throw new Error(whyNoEtcd())
  const number = setup.members ?? 1
  const folder = mkdtempSync(join(tmpdir(), 'cox-etcd-'))
  const ports = await freePorts(number * 2)
  const scheme = setup.tls ? 'https' : 'http'
  const tls = setup.tls ? makeCertificates(join(folder, 'tls')) : undefined
  const addresses = Array.from({ length: number }, (_, at) => ({
    client: `${scheme}://127.0.0.1:${ports[at * 2]}`,
    peer: `${scheme}://127.0.0.1:${ports[at * 2 + 1]}`,
  }))
  const common = [
    ...['--initial-cluster', addresses.map(({ peer }, at) => `member${at}=${peer}`).join(',')],
    ...['--initial-cluster-state', 'new', '--log-level', 'warn'],
    ...(setup.fsync ? [] : ['--unsafe-no-fsync']),
    ...(setup.quotaBytes === undefined ? [] : ['--quota-backend-bytes', String(setup.quotaBytes)]),
    ...(tls === undefined ? [] : tlsArguments(tls)),
    ...(setup.args ?? []),
  ]
  const members = addresses.map(({ client, peer }, at) => {
    const own = [
      ...['--name', `member${at}`, '--data-dir', join(folder, `member${at}`)],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
    ]
    return new EtcdMember(binary, client, [...own, ...common], join(folder, `member${at}.txt`))
  })
  for (const member of members) member.start()
  return new EtcdService(folder, members, tls)
}

function tlsArguments({ files }: Certificates): string[] {
  return [
    ...['--client-cert-auth', '--trusted-ca-file', files.ca, '--cert-file', files.serverCert, '--key-file', files.serverKey],
    ...['--peer-client-cert-auth', '--peer-trusted-ca-file', files.ca, '--peer-cert-file', files.serverCert],
    ...['--peer-key-file', files.serverKey],
  ]
}

/** Ports that nobody listens at, below those that outgoing connections take. */
async function freePorts(number: number): Promise<number[]> {
  const found = new Set<number>()
  while (found.size < number) {
    const port = 12_000 + Math.floor(Math.random() * 19_000)
    const server = createServer()
    const free = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise(resolve => server.close(resolve))
    found.add(port)
  }
  return [...found]
}
