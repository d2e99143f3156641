// Owns a cluster of several machines in one process, for tests: a founded leader on a journal in memory that answers machines which join over real TLS.
// Must not check anything.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NodeFolder } from '../../src/cli/authority/folder.ts'
import { type InitOptions, initCluster } from '../../src/cli/authority/init.ts'
import { NodeKeeper } from '../../src/cli/authority/keeper.ts'
import { LocalAuthority } from '../../src/cli/authority/local-authority.ts'
import { createMemoryStore, type MemoryStore } from '../../src/journal/index.ts'
import { Leader, type NodeAct } from '../../src/leader/index.ts'
import type { HttpAnswer, ListenOptions, Platform } from '../../src/platform/index.ts'
import { type Identity, nodePlatform } from '../../src/platform/node/index.ts'
import { enrolPath } from '../../src/protocol/index.ts'

export interface MachinesOptions {
  token?: Partial<InitOptions['token']>
  /** How far the leader's clock is ahead. */
  skewMs?: number
}

type Disk = ReturnType<typeof createMemoryStore>

type Answer = (body: Buffer, path: string, method: string) => Promise<HttpAnswer | undefined>

/** A server that hands requests over; it has no certificate yet. */
export async function serve(answer: Answer): Promise<{ server: Server; address: string }> {
  const server = createServer({ minVersion: 'TLSv1.3' }, (request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', async () => {
      const given = await answer(Buffer.concat(parts), request.url ?? '', request.method ?? '')
      response.writeHead(given?.status ?? 404, { 'content-type': given?.type ?? 'text/plain', connection: 'close' }).end(given?.body)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** A founded cluster: its leader answers at `address`. */
export class Machines {
  readonly root = mkdtempSync(join(tmpdir(), 'cox-machines-'))
  readonly acts: NodeAct[] = []
  readonly log: string[] = []
  readonly disk: Disk = createMemoryStore()
  joinToken = ''
  cluster = ''
  address = ''
  leader!: Leader
  keeper!: NodeKeeper
  /** The last to listen takes the requests. */
  #listening: ListenOptions<unknown> | undefined
  #server: Server | undefined
  #store: MemoryStore | undefined

  static async found(options: MachinesOptions = {}): Promise<Machines> {
    const machines = new Machines()
    const { server, address } = await serve(async (body, path, method) =>
      machines.#listening?.answer?.({ method, path, body, remote: '127.0.0.1' }, undefined),
    )
    machines.#server = server
    machines.address = address
    const made = await initCluster({
      folder: machines.folder('c1'),
      cluster: '',
      name: 'c1',
      address,
      token: { role: 'worker', uses: 1, expiresInMs: 3_600_000, ...options.token },
    })
    machines.joinToken = made.joinToken
    machines.cluster = made.cluster
    await machines.#lead(options.skewMs ?? 0)
    machines.show()
    return machines
  }

  /** The server shows what the leader proves itself with. */
  show(identity: Identity = this.keeper.current()): void {
    this.#server!.setSecureContext({ key: identity.key!, cert: identity.certificate! })
  }

  folder(name: string): string {
    return join(this.root, name, 'node')
  }

  async #lead(skewMs: number): Promise<void> {
    const plain = nodePlatform('c1', 'error')
    const platform: Platform = {
      ...plain,
      clock: { ...plain.clock, wallMs: () => Date.now() + skewMs },
      log: (level, event, fields = {}) => this.log.push(JSON.stringify({ level, event, ...fields })),
      transport: {
        connect: plain.transport.connect,
        listen: async options => {
          this.#listening = options as ListenOptions<unknown>
          return { address: `wss://${this.address}`, close: async () => undefined }
        },
      },
    }
    const folder = new NodeFolder(this.folder('c1'))
    this.keeper = new NodeKeeper(folder, platform)
    const authority = new LocalAuthority(folder, this.keeper, () => platform.clock.wallMs())
    await authority.prepare()
    const founding = authority.founding()
    this.#store = this.disk.open()
    this.leader = new Leader(
      {
        id: 'c1',
        store: this.#store,
        host: '127.0.0.1',
        port: 0,
        cluster: this.cluster,
        authenticate: () => undefined,
        announce: async () => undefined,
        nodes: { authority, identity: this.keeper, audit: act => this.acts.push(act), ...(founding && { founding }) },
      },
      platform,
    )
    await this.leader.start()
  }

  /** What the leader answers to a request of one's own making. */
  answer(body: Buffer, method = 'POST'): Promise<HttpAnswer | undefined> {
    return this.#listening!.answer!({ method, path: enrolPath, body, remote: '127.0.0.1' }, undefined)
  }

  /** All bytes of the journal. */
  async bytes(): Promise<Buffer> {
    const rows = await this.disk.open().journal.read(1, 1_000_000)
    return Buffer.concat(rows.map(row => Buffer.from(row.records)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leader.stop('the test is over')
    await new Promise<void>(resolve => {
      this.#server?.close(() => resolve())
      this.#server?.closeAllConnections()
    })
    await this.#store?.close()
    rmSync(this.root, { recursive: true, force: true })
  }
}
