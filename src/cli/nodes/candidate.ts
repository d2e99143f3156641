// Owns the composition of a candidate process: journal, leader, platform and the endpoint file.
// Must not decide anything: what it wires is decided elsewhere.
import { openSqliteStore, type Store } from '../../journal/index.ts'
import { Leader } from '../../leader/index.ts'
import type { Platform } from '../../platform/index.ts'
import { nodePlatform } from '../../platform/node/index.ts'
import { writeEndpoint } from '../state/endpoint.ts'
import { Home } from '../state/home.ts'
import { identify } from '../state/processes.ts'
import { tokenCheck } from '../state/tokens.ts'
import { live, type NodeLife } from './life.ts'
import { type CandidateOptions, parseNodeOptions } from './options.ts'

const lostLeadershipCode = 1

class Candidate implements NodeLife {
  readonly #options: CandidateOptions
  readonly #home: Home
  readonly #platform: Platform
  #store: Store | undefined
  #leader: Leader | undefined
  #stopping = false

  constructor(options: CandidateOptions) {
    this.#options = options
    this.#home = new Home(options.home)
    this.#platform = nodePlatform(options.name, options.logLevel)
  }

  async start(): Promise<Record<string, unknown>> {
    const { name, host, port } = this.#options
    const role = tokenCheck(this.#home)
    const startedAtMs = Date.now()
    let announced: Record<string, unknown> = {}
    const store = await openSqliteStore({
      folder: this.#home.journal,
      log: (level, event, fields) => this.#platform.log(level, event, fields),
    })
    this.#store = store
    const leader = new Leader(
      {
        id: name,
        store,
        host,
        port,
        processStart: identify().startedAt,
        authenticate(token) {
          const whose = role(token)
          if (whose === undefined) return undefined
          return whose === 'user' ? 'client' : 'worker'
        },
        announce: async endpoint => {
          writeEndpoint(this.#home, { ...endpoint, pid: process.pid, startedAtMs })
          announced = { ...endpoint }
        },
      },
      this.#platform,
    )
    this.#leader = leader
    await leader.start()
    void leader.ended.then(reason => {
      if (this.#stopping) return
      this.#platform.log('error', 'leader-ended', { reason })
      const [, code = '', message = reason] = /^([A-Z_]+): (.*)$/s.exec(reason) ?? []
      process.stdout.write(`${JSON.stringify({ failed: { code, message } })}\n`, () => process.exit(lostLeadershipCode))
    })
    return announced
  }

  async stop(reason: string): Promise<void> {
    this.#stopping = true
    await this.#leader?.stop(reason)
    await this.#store?.close()
  }
}

/** Runs a candidate until its supervisor ends it or it loses the leadership. */
export async function runCandidate(args: string[]): Promise<void> {
  await live(new Candidate(parseNodeOptions<CandidateOptions>(args)))
}
