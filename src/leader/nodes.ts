// Owns the leader's side of certificates: whom nodes are told to believe, renewals, revocations, and the change of the authority.
// Must not decide what counts: that is core's. No key and no secret goes into a log, a record or an audit entry.
import { type Command, newestAuthority, type Reply, rotationOf, type State } from '../core/index.ts'
import type { Platform } from '../platform/index.ts'
import { CoxswainError, type NodeDown, type NodeRole, type NodeUp } from '../protocol/index.ts'
import type { NodeAct, NodeOptions } from './authority.ts'
import type { Loop } from './loop.ts'

/** A node that is connected, as far as its certificate is concerned. */
export interface NodePeer {
  readonly name: string
  readonly role: NodeRole
  /** Serial number of the certificate with which it came. */
  readonly credential: string
  readonly remote: string
  send(message: NodeDown): void
  /** Nothing that it says counts any more. */
  close(reason: string): void
}

/** What the office works with. */
export interface OfficeOptions {
  /** Name of this candidate, and of its node. */
  id: string
  state: State
  loop: Loop
  platform: Platform
  nodes: NodeOptions
}

/** Everything about certificates while one candidate leads. */
export class NodeOffice {
  readonly #options: OfficeOptions
  readonly #peers = new Set<NodePeer>()
  /** Peers whose requests are being signed: one at a time. */
  readonly #renewing = new Set<NodePeer>()
  #own: { heard(message: NodeDown): void; ended(): void } | undefined
  /** What was told last to everybody. */
  #told = ''
  #making = false
  #ended = false

  constructor(options: OfficeOptions) {
    this.#options = options
  }

  /** Founds what `cox cluster init` prepared, and renews this candidate's own certificate from now on. */
  start(): void {
    const { nodes, state } = this.#options
    if (!nodes.founding || state.nodes.authorities.size > 0) return this.#attach()
    const { admin, ...founded } = nodes.founding
    this.#post({ kind: 'foundNodes', ...founded }, () => this.#attach())
    if (!admin) return
    const { user, ...token } = admin
    this.#post({ kind: 'setUser', spec: { user, role: 'admin', scope: { jobPrefixes: [], labels: [] } }, replace: false }, () => {})
    this.#post({ kind: 'issueToken', user, ...token }, () => {})
  }

  #attach(): void {
    if (this.#ended) return
    const { id, nodes, state } = this.#options
    const own: NodePeer = {
      name: id,
      role: 'candidate',
      // It is this process: whichever of its certificates it uses.
      get credential() {
        return [...(state.nodes.byName.get(id)?.certificates.keys() ?? [])].at(-1) ?? ''
      },
      remote: '',
      send: message => this.#own?.heard(message),
      close: () => undefined,
    }
    this.#own = nodes.identity.attach(message => this.heard(own, message))
    this.came(own)
  }

  /** The leadership is over. */
  stop(): void {
    this.#ended = true
    this.#own?.ended()
    this.#peers.clear()
  }

  /** A node is connected: it is told whom to believe. */
  came(peer: NodePeer): void {
    this.#peers.add(peer)
    this.#tell([peer])
  }

  gone(peer: NodePeer): void {
    this.#peers.delete(peer)
  }

  /** What a node says about its certificate. */
  heard(peer: NodePeer, message: NodeUp): void {
    if (message.kind === 'renewCertificate') return void this.#renew(peer, message.csr)
    const { serial, authority } = message
    this.#post({ kind: 'holdCertificate', node: peer.name, serial: serial.toLowerCase(), authority }, () => this.look())
  }

  async #renew(peer: NodePeer, csr: Uint8Array): Promise<void> {
    if (this.#renewing.has(peer)) return
    this.#renewing.add(peer)
    const { state, nodes } = this.#options
    const { name: node, role, credential: presented } = peer
    const authority = state.nodes.signs
    const answer = (outcome: string, given: Pick<Extract<NodeDown, { kind: 'certificate' }>, 'certificate' | 'problem'>): void => {
      this.#renewing.delete(peer)
      this.audit({ act: 'renew', node, outcome, remote: peer.remote })
      if (this.#peers.has(peer)) peer.send({ kind: 'certificate', authority, ...given })
    }
    const refuse = (error: unknown): void => {
      const { code, message } = this.expected(error)
      answer(code, { certificate: undefined, problem: { code, message } })
    }
    try {
      const { certificate, ...signed } = await nodes.authority.sign(authority, csr, { cluster: state.cluster, role, name: node })
      this.#options.loop.post({
        command: { kind: 'renewCertificate', node, presented, authority, ...signed },
        bytes: 0,
        reply: reply => {
          if (reply.kind === 'refused') refuse(reply.error)
          else answer('ok', { certificate: Buffer.from(certificate), problem: undefined })
        },
      })
    } catch (error) {
      refuse(error)
    }
  }

  /** Nothing of the node counts any more: its connections end. Calls back once that is durable. */
  revoke(node: string, answered: (error: CoxswainError | undefined) => void): void {
    this.#ask({ kind: 'revokeNode', node }, { act: 'revoke', node }, error => {
      if (!error) for (const peer of [...this.#peers]) if (peer.name === node) this.#expel(peer)
      answered(error)
    })
  }

  #expel(peer: NodePeer): void {
    this.#peers.delete(peer)
    this.#options.platform.log('warn', 'node-revoked', { node: peer.name })
    peer.close('NODE_REVOKED: its certificate was revoked')
  }

  /** Begins to replace the authority. Calls back once that is durable, or says why it cannot be. */
  async rotate(answered: (error: CoxswainError | undefined) => void): Promise<void> {
    const { nodes, state } = this.#options
    try {
      const made = await nodes.authority.make(state.cluster)
      this.#ask({ kind: 'addAuthority', replaces: '', ...made }, { act: 'rotate', node: '' }, answered)
    } catch (error) {
      answered(this.expected(error))
    }
  }

  /** Goes on with a change of the authority, if there is one: told of every tick, and of every node that has come further. */
  look(): void {
    const { state, nodes, loop } = this.#options
    if (this.#ended || state.nodes.authorities.size < 2) return
    const keys = [...nodes.authority.keys()]
    const newest = newestAuthority(state.nodes)
    // Whoever made it died before anybody else had its key.
    if (newest !== state.nodes.signs && !keys.includes(newest)) return void this.#replace(newest)
    if (rotationOf(state.nodes, state.nowMs)?.waitsFor.length !== 0) return
    loop.post({ command: { kind: 'rotate', keys }, bytes: 0, reply: () => this.#tellIfNew() })
  }

  async #replace(replaces: string): Promise<void> {
    if (this.#making) return
    this.#making = true
    const { nodes, state, platform } = this.#options
    try {
      const made = await nodes.authority.make(state.cluster)
      this.#post({ kind: 'addAuthority', replaces, ...made }, () => {
        this.#making = false
      })
    } catch (error) {
      this.#making = false
      platform.log('error', 'authority-not-made', { error: String(error) })
    }
  }

  /** Posts a command that somebody asked for; audited. */
  #ask(command: Command, act: Pick<NodeAct, 'act' | 'node'>, answered: (error: CoxswainError | undefined) => void): void {
    this.#post(command, reply => {
      const error = reply.kind === 'refused' ? reply.error : undefined
      this.audit({ ...act, outcome: error?.code ?? 'ok', remote: '' })
      answered(error)
    })
  }

  #post(command: Command, replied: (reply: Reply) => void): void {
    this.#options.loop.post({
      command,
      bytes: 0,
      reply: reply => {
        replied(reply)
        this.#tellIfNew()
      },
    })
  }

  /** Tells everybody, if anything changed that they are to know. */
  #tellIfNew(): void {
    const { authorities, signs, revoked } = this.#options.state.nodes
    const now = JSON.stringify([[...authorities.keys()], signs, revoked.size, [...revoked.keys()].at(-1), this.candidates()])
    if (this.#ended || now === this.#told) return
    this.#told = now
    this.#tell([...this.#peers])
  }

  /** What is told is durable: nobody is to believe what a successor may not know. */
  #tell(peers: readonly NodePeer[]): void {
    const { state, nodes, loop } = this.#options
    const { authorities, signs, revoked, byName } = state.nodes
    if (signs === '') return
    const trust: NodeDown = {
      kind: 'trust',
      authorities: [...authorities.values()].map(({ id, certificate }) => ({ authority: id, certificate: Buffer.from(certificate) })),
      signs,
      revoked: [...revoked.keys()],
      candidates: this.candidates(),
    }
    const newest = newestAuthority(state.nodes)
    loop.whenDurable(() => {
      for (const peer of peers) {
        if (!this.#peers.has(peer)) continue
        const lacksKey = peer.role === 'candidate' && byName.get(peer.name)?.believes !== newest && nodes.authority.keys().includes(newest)
        if (lacksKey) peer.send({ kind: 'authorityKey', authority: newest, key: nodes.authority.key(newest) })
        peer.send(trust)
      }
    })
  }

  /** Where candidates can be reached. */
  candidates(): string[] {
    const { state } = this.#options
    return [...state.nodes.byName.values()].flatMap(({ role, address }) => (role === 'candidate' && address !== '' ? [address] : []))
  }

  /** The authority that is to be pinned by whoever joins. */
  get pinned(): string {
    return this.#options.state.nodes.signs
  }

  audit(act: NodeAct): void {
    this.#options.nodes.audit?.(act)
  }

  /** An error as it may be told: an unexpected one tells no internals. */
  expected(error: unknown): CoxswainError {
    if (error instanceof CoxswainError) return error
    this.#options.platform.log('error', 'certificate-not-signed', { error: String(error instanceof Error ? error.stack : error) })
    return new CoxswainError('UNAVAILABLE', 'The certificate could not be signed; the log of the leader says why.', { retryAfterMs: 1000 })
  }
}
