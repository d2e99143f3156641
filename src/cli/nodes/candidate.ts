// Owns the composition of a candidate process: journal, candidate, platform and the endpoint file.
// Must not decide anything: what it wires is decided elsewhere.
import type { Store } from '../../journal/index.ts'
import { Candidate, type Endpoint } from '../../leader/index.ts'
import type { Platform } from '../../platform/index.ts'
import { nodePlatform, openKeyring } from '../../platform/node/index.ts'
import type { Sealer } from '../../protocol/index.ts'
import type { OpenNode } from '../authority/open.ts'
import { oidcAuthenticator } from '../oidc/oidc.ts'
import { writeEndpoint } from '../state/endpoint.ts'
import { Home } from '../state/home.ts'
import { identify, signalProcess } from '../state/processes.ts'
import { ensureSecretsKey } from '../state/secrets-key.ts'
import { readToken } from '../state/tokens.ts'
import { failure } from './announce.ts'
import { isShared, openJournal } from './journal.ts'
import { live, type NodeLife } from './life.ts'
import { candidateAuthenticator, openMachine } from './machines.ts'
import { type CandidateOptions, parseNodeOptions } from './options.ts'

const lostLeadershipCode = 1

/** What a candidate is composed of, besides its options. */
interface Rooms {
  store: Store
  sealer: Sealer | undefined
  machine: OpenNode | undefined
}

class CandidateNode implements NodeLife {
  readonly #options: CandidateOptions
  readonly #home: Home
  #platform: Platform
  #machine: OpenNode | undefined
  #store: Store | undefined
  #candidate: Candidate | undefined
  #stopping = false
  /** What was told last of where the cluster is. */
  #told: Endpoint | undefined

  constructor(options: CandidateOptions) {
    this.#options = options
    this.#home = new Home(options.home)
    this.#platform = nodePlatform(options.name, options.logLevel)
  }

  /** Resolves when it leads or stands by. */
  async start(): Promise<Record<string, unknown>> {
    const ready = Promise.withResolvers<Record<string, unknown>>()
    const { encryptionKeyFile: file, name, logLevel } = this.#options
    const { platform, machine } = await openMachine(this.#home, name, logLevel)
    this.#platform = platform
    this.#machine = machine
    const keyring = await openKeyring({ ...(file !== undefined && { file }), environment: process.env })
    const store = await openJournal(this.#home, this.#options, keyring, (level, event, fields) => platform.log(level, event, fields))
    this.#store = store
    // Candidates on several machines need the same key: its owner gives it to them.
    const sealer = keyring ?? (machine ? undefined : await openKeyring({ file: ensureSecretsKey(this.#home) }))
    const candidate = this.#compose({ store, sealer, machine }, ready.resolve)
    this.#candidate = candidate
    candidate.run().then(
      reason => this.#ended(reason),
      error => {
        ready.reject(error)
        this.#fail(JSON.stringify(failure(error)))
      },
    )
    return ready.promise
  }

  #compose({ store, sealer, machine }: Rooms, ready: (what: Record<string, unknown>) => void): Candidate {
    const { name, host, port, priority, firstDelayMs, limits, advertise, oidc } = this.#options
    const scheme = machine ? 'wss' : 'ws'
    let knows = false
    const startedAtMs = Date.now()
    // Whoever reads the file believes the authorities in it: they change while this process runs.
    machine?.keeper.onChange(() => {
      if (this.#told && !this.#stopping) this.#tellWhere(this.#told, startedAtMs)
    })
    return new Candidate(
      {
        id: name,
        store,
        host,
        port,
        priority,
        firstDelayMs,
        ...(limits && { limits }),
        ...(sealer && { sealer }),
        ...(advertise !== undefined && { advertise: `${scheme}://${advertise}` }),
        ...(machine && { cluster: machine.keeper.node.cluster }),
        ...(machine?.nodes && { nodes: machine.nodes }),
        // Those of one machine share its state folder, in which the leader says where it is.
        listensAlways: isShared(this.#options) || machine !== undefined,
        audit: { folder: this.#home.audit },
        ...(oidc && {
          authenticateElsewhere: oidcAuthenticator(oidc, this.#platform.clock, (event, fields) =>
            this.#platform.log('warn', event, fields),
          ),
        }),
        processStart: identify().startedAt,
        authenticate: candidateAuthenticator(
          this.#home,
          machine,
          one => this.#candidate?.principalOf(one),
          () => knows,
        ),
        // On several machines certificates prove who is a node.
        token: async () => (machine ? '' : readToken(this.#home, 'node')),
        kill: ({ leader, pid, processStart }) => {
          // Other candidates of several machines are elsewhere: their pids are other processes here. The store fences them.
          if (machine) return
          // Without its start time a pid may be anyone's.
          if (processStart === '' || pid === process.pid || !signalProcess({ pid, startedAt: processStart }, 'SIGKILL')) return
          this.#platform.log('warn', 'leader-killed', { leader, pid, because: 'it was silent and may still have written' })
        },
        announce: async endpoint => {
          knows = true
          this.#tellWhere(endpoint, startedAtMs)
          ready({ ...endpoint })
        },
        standsBy: leader => {
          knows = true
          this.#platform.log('info', 'standing-by', { leader: leader.leader, epoch: leader.epoch })
          // Nobody else of this machine says where the cluster is.
          if (machine && advertise !== undefined)
            this.#tellWhere({ address: `wss://${advertise}`, cluster: machine.keeper.node.cluster, epoch: leader.epoch }, startedAtMs)
          ready({ standsBy: leader.leader })
        },
      },
      this.#platform,
    )
  }

  /** Clients and workers of this machine read it. */
  #tellWhere(endpoint: Endpoint, startedAtMs: number): void {
    this.#told = endpoint
    const authorities = this.#machine?.keeper.current().authorities
    writeEndpoint(this.#home, { ...endpoint, pid: process.pid, startedAtMs, ...(authorities && { authorities }) })
  }

  #ended(reason: string): void {
    if (this.#stopping) return
    this.#platform.log('error', 'leader-ended', { reason })
    const [, code = '', message = reason] = /^([A-Z_]+): (.*)$/s.exec(reason) ?? []
    this.#fail(JSON.stringify({ failed: { code, message } }))
  }

  #fail(announcement: string): void {
    if (!this.#stopping) process.stdout.write(`${announcement}\n`, () => process.exit(lostLeadershipCode))
  }

  async stop(reason: string): Promise<void> {
    this.#stopping = true
    this.#machine?.keeper.stop()
    await this.#candidate?.stop(reason)
    await this.#store?.close()
  }
}

/** Runs a candidate until its supervisor ends it or it loses the leadership. */
export async function runCandidate(args: string[]): Promise<void> {
  await live(new CandidateNode(parseNodeOptions<CandidateOptions>(args)))
}
