// Owns a leader and a worker with real ports in this process, for mutants to be sent to.
// Must not be anybody's cluster: nothing of it is kept.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMemoryStore } from '../src/journal/index.ts'
import { Leader } from '../src/leader/index.ts'
import type { Platform } from '../src/platform/index.ts'
import { listenLimits, makeNodeTransport, makeNodeWeb, nodePlatform } from '../src/platform/node/index.ts'
import { everything, nodeRoles, type Principal } from '../src/protocol/index.ts'
import { Agent } from '../src/worker/index.ts'

/** Who comes with which token. */
export const tokens: Readonly<Record<string, Principal>> = {
  user: { kind: 'user', name: 'local', role: 'admin', scope: everything, credential: 'local' },
  node: { kind: 'node', name: '', roles: nodeRoles, credential: 'local' },
}

/** Nobody is locked out: the mutants behind the first wrong token are to be read too. */
const limits = { ...listenLimits, failuresMax: Number.MAX_SAFE_INTEGER, unprovedPerAddressMax: Number.MAX_SAFE_INTEGER }

/** Whole, and both of its ports. */
export class FuzzedCluster {
  readonly #folder = mkdtempSync(join(tmpdir(), 'cox-fuzz-'))
  readonly #disk = createMemoryStore()
  readonly #platform: Platform
  readonly agent: Agent
  #leader: Leader | undefined
  #closing = false
  address = ''
  /** Leaders so far: a mutant of a hello may say that there is a newer one. */
  leaders = 0

  private constructor() {
    this.#platform = {
      ...nodePlatform('fuzzed', 'error'),
      transport: makeNodeTransport(undefined, { limits }),
      web: makeNodeWeb(undefined, () => undefined, limits),
      log: () => undefined,
    }
    this.agent = new Agent(
      {
        name: 'w1',
        folder: join(this.#folder, 'w1'),
        leader: async () => ({ address: this.address, token: 'node' }),
        executors: 1,
        capacity: { cpuMillis: 1000, memoryBytes: 1 << 30, gpuMillis: 0, named: [] },
        labels: [],
        blockHost: '127.0.0.1',
      },
      this.#platform,
    )
  }

  static async start(): Promise<FuzzedCluster> {
    const cluster = new FuzzedCluster()
    await cluster.#lead()
    await cluster.agent.start()
    return cluster
  }

  async #lead(): Promise<void> {
    const store = this.#disk.open()
    const leader = new Leader(
      {
        id: `candidate-${++this.leaders}`,
        host: '127.0.0.1',
        port: 0,
        store,
        authenticate: ({ token }) => (Object.hasOwn(tokens, token) ? tokens[token] : undefined),
        announce: async ({ address }) => void (this.address = address),
      },
      this.#platform,
    )
    await leader.start()
    this.#leader = leader
    void leader.ended.then(async () => {
      await store.close()
      if (!this.#closing) await this.#lead()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true
    await this.agent.stop('the mutants are through', 0)
    await this.#leader?.stop('the mutants are through')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
