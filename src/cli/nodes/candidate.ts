// Owns the composition of a candidate process: journal, candidate, platform and the endpoint file.
// Must not decide anything: what it wires is decided elsewhere.
import type { Store } from '../../journal/index.ts'
import { Candidate } from '../../leader/index.ts'
import type { Platform } from '../../platform/index.ts'
import { nodePlatform, openKeyring } from '../../platform/node/index.ts'
import type { Sealer } from '../../protocol/index.ts'
import { oidcAuthenticator } from '../oidc/oidc.ts'
import { writeEndpoint } from '../state/endpoint.ts'
import { Home } from '../state/home.ts'
import { identify, signalProcess } from '../state/processes.ts'
import { ensureSecretsKey } from '../state/secrets-key.ts'
import { localPrincipal, readToken, tokenCheck } from '../state/tokens.ts'
import { failure } from './announce.ts'
import { isShared, openJournal } from './journal.ts'
import { live, type NodeLife } from './life.ts'
import { type CandidateOptions, parseNodeOptions } from './options.ts'

const lostLeadershipCode = 1

class CandidateNode implements NodeLife {
  readonly #options: CandidateOptions
  readonly #home: Home
  readonly #platform: Platform
  #store: Store | undefined
  #candidate: Candidate | undefined
  #stopping = false

  constructor(options: CandidateOptions) {
    this.#options = options
    this.#home = new Home(options.home)
    this.#platform = nodePlatform(options.name, options.logLevel)
  }

  /** Resolves when it leads or stands by. */
  async start(): Promise<Record<string, unknown>> {
    const ready = Promise.withResolvers<Record<string, unknown>>()
    const { encryptionKeyFile: file } = this.#options
    const keyring = await openKeyring({ ...(file !== undefined && { file }), environment: process.env })
    const store = await openJournal(this.#home, this.#options, keyring, (level, event, fields) => this.#platform.log(level, event, fields))
    this.#store = store
    const candidate = this.#compose(store, keyring ?? (await openKeyring({ file: ensureSecretsKey(this.#home) })), ready.resolve)
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

  #compose(store: Store, sealer: Sealer | undefined, ready: (what: Record<string, unknown>) => void): Candidate {
    const { name, host, port, priority, firstDelayMs, limits, advertise, oidc } = this.#options
    const role = tokenCheck(this.#home)
    const startedAtMs = Date.now()
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
        ...(advertise !== undefined && { advertise: `ws://${advertise}` }),
        // Those of one machine share its state folder, in which the leader says where it is.
        listensAlways: isShared(this.#options),
        audit: { folder: this.#home.audit },
        ...(oidc && {
          authenticateElsewhere: oidcAuthenticator(oidc, this.#platform.clock, (event, fields) =>
            this.#platform.log('warn', event, fields),
          ),
        }),
        processStart: identify().startedAt,
        authenticate: ({ token }) => localPrincipal(role(token)),
        token: async () => readToken(this.#home, 'node'),
        kill: ({ leader, pid, processStart }) => {
          // Without its start time a pid may be anyone's.
          if (processStart === '' || pid === process.pid || !signalProcess({ pid, startedAt: processStart }, 'SIGKILL')) return
          this.#platform.log('warn', 'leader-killed', { leader, pid, because: 'it was silent and may still have written' })
        },
        announce: async endpoint => {
          writeEndpoint(this.#home, { ...endpoint, pid: process.pid, startedAtMs })
          ready({ ...endpoint })
        },
        standsBy: leader => {
          this.#platform.log('info', 'standing-by', { leader: leader.leader, epoch: leader.epoch })
          ready({ standsBy: leader.leader })
        },
      },
      this.#platform,
    )
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
    await this.#candidate?.stop(reason)
    await this.#store?.close()
  }
}

/** Runs a candidate until its supervisor ends it or it loses the leadership. */
export async function runCandidate(args: string[]): Promise<void> {
  await live(new CandidateNode(parseNodeOptions<CandidateOptions>(args)))
}
