// Identities that renew themselves, revocation, and the change of the authority across a takeover: real keys and certificates, a clock that moves by hand.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { enrol } from '../../src/cli/authority/enrol.ts'
import { NodeFolder } from '../../src/cli/authority/folder.ts'
import { initCluster } from '../../src/cli/authority/init.ts'
import { NodeKeeper } from '../../src/cli/authority/keeper.ts'
import { LocalAuthority } from '../../src/cli/authority/local-authority.ts'
import { parseJoinToken } from '../../src/cli/authority/token.ts'
import { makeRequest, pemOf, readCertificate } from '../../src/cli/authority/x509.ts'
import { createMemoryStore, type MemoryStore } from '../../src/journal/index.ts'
import { Leader } from '../../src/leader/index.ts'
import type { Clock, Connection, ListenOptions } from '../../src/platform/index.ts'
import {
  type CandidateToLeader,
  candidateToLeader,
  clientToLeader,
  decodeMessage,
  type EnrolAnswer,
  encodeMessage,
  enrolPath,
  hello,
  type LeaderToClient,
  leaderToCandidate,
  leaderToClient,
  leaderToWorker,
  type NodeRole,
  type NodesView,
  type NodeUp,
  nodeUri,
  protocolVersion,
  type WorkerToLeader,
  welcome,
  workerToLeader,
} from '../../src/protocol/index.ts'
import { principals } from '../fakes/principals.ts'
import { World } from '../fakes/world.ts'

const hourMs = 3_600_000
const heartbeat = {
  kind: 'heartbeat',
  ...{ sequence: 1, cpuShare: 0, memoryUsedBytes: 0, memoryFreeBytes: 0, eventLoopDelayMs: 0, diskFreeBytes: 0, executors: 0 },
}
const root = mkdtempSync(join(tmpdir(), 'cox-keeper-'))
after(() => rmSync(root, { recursive: true, force: true }))
let clusters = 0

/** The clock of all keepers: hours pass in it, while the leader's world stands nearly still. */
class HandClock implements Clock {
  nowMs = 0
  readonly #base = new World().platform.clock.wallMs()
  #timers: { atMs: number; callback: () => void }[] = []

  monotonicMs = (): number => this.nowMs
  wallMs = (): number => this.#base + this.nowMs
  soon = (callback: () => void): void => void setImmediate(callback)
  timer = (delayMs: number, callback: () => void): (() => void) => {
    const timer = { atMs: this.nowMs + Math.max(0, delayMs), callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(one => one !== timer)
    }
  }

  advance(ms: number): void {
    const endMs = this.nowMs + ms
    for (;;) {
      const due = this.#timers.filter(one => one.atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (!due) break
      this.#timers = this.#timers.filter(one => one !== due)
      this.nowMs = Math.max(this.nowMs, due.atMs)
      due.callback()
    }
    this.nowMs = endMs
  }
}

/** A node's process, as far as its certificate is concerned. */
class Member {
  readonly keeper: NodeKeeper
  readonly authority: LocalAuthority
  connection: Connection | undefined
  closed: string | undefined
  /** Says that it lives. */
  beat: (() => void) | undefined
  refused: string | undefined

  constructor(site: Site, name: string) {
    const folder = new NodeFolder(site.folder(name))
    const { clock } = site
    this.keeper = new NodeKeeper(folder, { ...site.world.platform, clock, random: { uuid: () => name, number: () => site.chance } })
    this.authority = new LocalAuthority(folder, this.keeper, () => clock.wallMs())
    this.keeper.start()
  }
}

/** A cluster of several machines in a world that moves by hand. */
class Site {
  readonly world = new World()
  readonly clock = new HandClock()
  readonly disk = createMemoryStore()
  readonly path = join(root, `${++clusters}`)
  readonly members = new Map<string, Member>()
  chance = 0
  cluster = ''
  token = ''
  leader!: Leader
  address = ''
  #listening!: ListenOptions<unknown>
  #store!: MemoryStore
  #requests = 0

  static async found(): Promise<Site> {
    const site = new Site()
    const made = await initCluster(
      {
        ...{ folder: site.folder('c1'), cluster: '', name: 'c1', address: 'c1:1' },
        token: { role: 'worker', uses: 100, expiresInMs: 20 * 24 * hourMs },
      },
      site.clock.wallMs(),
    )
    site.cluster = made.cluster
    site.token = made.joinToken
    await site.lead('c1')
    return site
  }

  folder(name: string): string {
    return join(this.path, name, 'node')
  }

  member(name: string): Member {
    const known = this.members.get(name) ?? new Member(this, name)
    this.members.set(name, known)
    return known
  }

  async lead(id: string): Promise<void> {
    const { keeper, authority } = this.member(id)
    const founding = authority.founding()
    this.#store = this.disk.open()
    const platform = {
      ...this.world.platform,
      transport: {
        connect: this.world.transport.connect,
        listen: async <P>(options: ListenOptions<P>) => {
          this.#listening = options as ListenOptions<unknown>
          return this.world.transport.listen(options)
        },
      },
    }
    this.leader = new Leader(
      {
        ...{ id, store: this.#store, host: 'h', port: 0, cluster: this.cluster },
        authenticate: ({ token }) => {
          const member = this.members.get(token)
          if (!member) return principals[token]
          const { cluster, role, name } = member.keeper.node
          const { serial, expiresAtMs } = member.keeper
          return this.leader.principalOf({ uris: [nodeUri({ cluster, role, name })], serial, expiresAtMs })
        },
        announce: async ({ address }) => {
          this.address = address
        },
        nodes: { authority, identity: keeper, ...(founding && { founding }) },
      },
      platform,
    )
    const started = this.leader.start()
    await this.until(() => this.address !== '')
    await started
  }

  /** kill -9 of the leader. */
  async kill(): Promise<void> {
    for (const member of this.members.values()) member.keeper.attach(() => undefined).ended()
    this.#store.kill()
    this.world.cut(this.address)
    this.address = ''
    await this.world.calm()
  }

  /** Keys and disks are real, so what waits for them takes turns of the real loop. */
  async until(condition: () => boolean | Promise<boolean>): Promise<void> {
    for (;;) {
      await this.world.calm()
      for (const { keeper } of this.members.values()) await keeper.settled()
      if (await condition()) return
    }
  }

  /** A machine joins, by a request as `enrol` sends it. */
  async join(name: string, role: NodeRole = 'worker'): Promise<Member> {
    const token = role === 'worker' ? this.token : await this.candidateToken()
    const { token: id, secret } = parseJoinToken(this.token)
    const folder = new NodeFolder(this.folder(name))
    folder.make()
    const { csr, key } = await makeRequest()
    const body = {
      ...(role === 'worker' ? { token: id, secret } : JSON.parse(token)),
      ...{ role, name, address: role === 'candidate' ? `${name}:1` : '', csr: csr.toString('base64') },
      timeMs: this.world.platform.clock.wallMs(),
    }
    let answer: EnrolAnswer | undefined
    const asked = this.#listening.answer!(
      { method: 'POST', path: enrolPath, body: Buffer.from(JSON.stringify(body)), remote: 'there' },
      undefined,
    )
    void asked.then(given => {
      assert.equal(given?.status, 200, String(given?.body))
      answer = JSON.parse(String(given.body)) as EnrolAnswer
    })
    await this.until(() => answer !== undefined)
    const { certificate, authorities, signs, revoked, candidates, keys } = answer!
    const given = authorities.map(one => ({ ...one, certificate: Buffer.from(one.certificate, 'base64') }))
    for (const one of keys) await folder.writeAuthorityKey(one.authority, one.key)
    await folder.writeTrust({ authorities: given, signs, revoked, candidates })
    const issuer = given.find(one => one.authority === signs)!
    await folder.writeIdentity(key, `${pemOf(Buffer.from(certificate, 'base64'))}${pemOf(issuer.certificate)}`)
    await folder.writeNode({ cluster: this.cluster, role, name, address: body.address })
    return this.connect(name)
  }

  async candidateToken(): Promise<string> {
    const made = await this.ask({ kind: 'makeJoinToken', role: 'candidate', uses: 1, expiresInMs: hourMs })
    assert(made.kind === 'joinToken')
    return JSON.stringify({ token: made.token, secret: made.secret })
  }

  /** Its control connection to whoever leads. */
  async connect(name: string): Promise<Member> {
    const member = this.member(name)
    const { role } = member.keeper.node
    const said = (message: object): Uint8Array =>
      role === 'worker'
        ? encodeMessage(workerToLeader, message as WorkerToLeader)
        : encodeMessage(candidateToLeader, message as CandidateToLeader)
    const down = role === 'worker' ? leaderToWorker : leaderToCandidate
    let greeted = false
    let attached: ReturnType<NodeKeeper['attach']> | undefined
    member.closed = undefined
    const connection = this.world.transport.connect(this.address, name, 1 << 20, {
      opened: () =>
        connection.send(
          encodeMessage(hello, {
            ...{ protocol: protocolVersion, release: '0', role, name, cluster: this.cluster, epochSeen: 0, session: `${name}-boot` },
          }),
        ),
      frame: bytes => {
        if (!greeted) {
          greeted = true
          const answer = decodeMessage(welcome, bytes)
          if (answer.kind === 'refused') member.refused = answer.code
          else {
            attached = member.keeper.attach((message: NodeUp) => connection.send(said(message)))
            member.beat = () => connection.send(said(role === 'worker' ? heartbeat : { kind: 'applied', index: 0 }))
          }
          return
        }
        const message = decodeMessage<{ kind: string }>(down as never, bytes)
        if (['trust', 'certificate', 'authorityKey'].includes(message.kind)) attached?.heard(message as never)
      },
      closed: (reason, status) => {
        member.beat = undefined
        member.closed = status === undefined ? reason : String(status)
        attached?.ended()
      },
    })
    member.connection = connection
    await this.until(() => greeted || member.closed !== undefined)
    return member
  }

  /** One request of a user, and its answer. */
  async ask(message: Record<string, unknown>): Promise<LeaderToClient> {
    let answer: LeaderToClient | undefined
    let greeted = false
    const request = ++this.#requests
    const connection = this.world.transport.connect(this.address, 'client', 1 << 20, {
      opened: () =>
        connection.send(
          encodeMessage(hello, {
            ...{ protocol: protocolVersion, release: '0', role: 'client', name: 'me', cluster: '', epochSeen: 0, session: `s${request}` },
          }),
        ),
      frame: bytes => {
        if (!greeted) {
          greeted = true
          return connection.send(encodeMessage(clientToLeader, { ...message, request } as never))
        }
        const heard = decodeMessage(leaderToClient, bytes)
        if ('request' in heard && heard.request === request) answer = heard
      },
      closed: () => undefined,
    })
    await this.until(() => answer !== undefined)
    connection.close('asked')
    await this.world.calm()
    return answer!
  }

  async view(): Promise<NodesView> {
    const answer = await this.ask({ kind: 'ask', view: 'nodes', argument: '{}' })
    assert(answer.kind === 'view')
    return JSON.parse(answer.body) as NodesView
  }

  /** A little time passes, in which everybody who is connected lives. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 500) {
      for (const { beat } of this.members.values()) beat?.()
      await this.world.advance(500)
      this.clock.advance(500)
      for (const { keeper } of this.members.values()) await keeper.settled()
    }
  }

  logged(event: string): number {
    return this.world.logged.filter(one => one === event).length
  }
}

describe('an identity', () => {
  it('renews itself when two thirds of its time are over, and swaps while it runs', async () => {
    const site = await Site.found()
    const { keeper } = await site.join('w1')
    const before = keeper.current()
    let changes = 0
    const stop = keeper.onChange(() => changes++)
    site.clock.advance(16 * hourMs - 60_000)
    assert.equal(site.logged('certificate-renewed'), 0)
    const { serial } = keeper
    site.clock.advance(2 * 60_000)
    await site.until(() => keeper.serial !== serial)
    assert(changes > 0)
    stop()
    const now = keeper.current()
    assert.notEqual(now.key, before.key, 'with a key of its own')
    assert.deepEqual(new NodeFolder(site.folder('w1')).identity(), { key: now.key, certificate: now.certificate }, 'as on the disk')
    const left = keeper.expiresAtMs - site.clock.wallMs()
    assert(left > 23 * hourMs && left <= 24 * hourMs)
    // The leader's own one too, over no connection at all.
    await site.until(() => site.member('c1').keeper.expiresAtMs - site.clock.wallMs() > 23 * hourMs)
    assert.equal(site.logged('certificate-expiring'), 0)
    assert.equal((await site.connect('w1')).refused, undefined, 'the new one is known')
  })

  it('comes a little earlier by chance, and says when it cannot be renewed', async () => {
    const site = await Site.found()
    site.chance = 0.99
    const { keeper } = await site.join('w1')
    await site.kill()
    site.clock.advance(14 * hourMs)
    assert.equal(site.logged('certificate-expiring'), 0)
    site.clock.advance(90 * 60_000)
    const { serial } = keeper
    assert(site.logged('certificate-expiring') > 2, 'it tries again and again')
    const fields = site.world.log.find(one => one.event === 'certificate-expiring')!.fields
    assert.deepEqual([fields['code'], fields['expiresAt']], ['UNAVAILABLE', new Date(keeper.expiresAtMs).toISOString()])
    await site.lead('c1')
    await site.connect('w1')
    site.clock.advance(15 * 60_000)
    await site.until(() => keeper.serial !== serial)
  })

  it('believes nobody of another cluster or role, or who was revoked', async () => {
    const site = await Site.found()
    const { keeper } = await site.join('w1')
    const { keeper: other } = await site.join('w2')
    const shown = (uri: string, serial = 'ab') => keeper.problem({ uris: [uri], serial, expiresAtMs: 0 }, 'worker')
    assert.equal(shown(`coxswain://${site.cluster}/worker/w2`, other.serial), undefined)
    assert.match(shown(`coxswain://${site.cluster}/candidate/c1`)!, /it is a candidate/)
    assert.match(shown('coxswain://elsewhere/worker/w2')!, /another cluster/)
    assert.match(shown('https://w2')!, /names no node/)
    assert.match(keeper.problem({ uris: [], serial: '', expiresAtMs: 0 }, 'worker')!, /names no node/)
    await site.ask({ kind: 'revokeNode', node: 'w2' })
    await site.until(() => shown(`coxswain://${site.cluster}/worker/w2`, other.serial.toUpperCase()) !== undefined)
    assert.match(shown(`coxswain://${site.cluster}/worker/w2`, other.serial)!, /revoked/)
  })

  it('is not used where others can read its key', async () => {
    const site = await Site.found()
    await site.join('w1')
    chmodSync(join(site.folder('w1'), 'identity.pem'), 0o640)
    assert.throws(() => new Member(site, 'w1'), { code: 'STATE_FOLDER_UNUSABLE' })
    assert.throws(() => new Member(site, 'nobody'), { code: 'NOT_ENROLLED' })
    await assert.rejects(enrol(site.token, { name: 'w1', folder: site.folder('w1') }), { code: 'ALREADY_ENROLLED' })
  })

  it('does not take a certificate that is not for its key, or not for it', async () => {
    const site = await Site.found()
    const { keeper } = await site.join('w1')
    const said: NodeUp[] = []
    const attached = keeper.attach(message => void said.push(message))
    site.clock.advance(17 * hourMs)
    await site.until(() => said.length > 0)
    const { serial } = keeper
    const leader = site.member('c1')
    const [first] = said
    assert(first?.kind === 'renewCertificate')
    const authority = leader.authority.keys()[0]!
    const other = await makeRequest()
    const wall = site.clock.wallMs()
    const names = { cluster: site.cluster, role: 'worker', name: 'w1' } as const
    const strange = await leader.authority.sign(authority, other.csr, names)
    attached.heard({ kind: 'certificate', certificate: Buffer.from(strange.certificate), authority, problem: undefined })
    const foreign = await leader.authority.sign(authority, first.csr, { ...names, name: 'w2' })
    attached.heard({ kind: 'certificate', certificate: Buffer.from(foreign.certificate), authority, problem: undefined })
    await keeper.settled()
    assert.equal(keeper.serial, serial)
    const messages = site.world.log.filter(one => one.event === 'certificate-expiring').map(one => one.fields['message'])
    assert.deepEqual(messages, ['The certificate is for another key.', 'The certificate is for another node.'])
    const right = await leader.authority.sign(authority, first.csr, names)
    attached.heard({ kind: 'certificate', certificate: Buffer.from(right.certificate), authority, problem: undefined })
    await keeper.settled()
    assert.equal(keeper.serial, right.serial)
    assert(readCertificate(right.certificate).validFromMs <= wall - 299_000)
  })
})

describe('revocation', () => {
  it('ends the connections of the node at once, and nothing of it comes back', async () => {
    const site = await Site.found()
    const member = await site.join('w1')
    const other = await site.join('w2')
    assert.equal((await site.ask({ kind: 'revokeNode', node: 'nobody' })).kind, 'failed')
    assert.equal((await site.ask({ kind: 'revokeNode', node: 'w1' })).kind, 'done')
    assert.match(member.closed!, /NODE_REVOKED/)
    assert.equal(other.closed, undefined)
    await site.connect('w1')
    assert.equal(member.closed, '401')
    await site.kill()
    await site.lead('c1')
    await site.connect('w1')
    assert.equal(member.closed, '401', 'the next leader knows it')
    await site.connect('w2')
    assert.equal(other.closed, undefined)
    const refused = await site.ask({ kind: 'revokeNode', node: 'c1' })
    assert(refused.kind === 'failed' && refused.error.code === 'INVALID_ARGUMENT', 'not of the leader')
  })
})

describe('the change of the authority', () => {
  it('goes its way without a restart, and across a takeover', async () => {
    const site = await Site.found()
    const worker = await site.join('w1')
    const standby = await site.join('c2', 'candidate')
    const [old] = site.member('c1').authority.keys()
    await site.until(async () => (await site.view()).authorities.length === 1)
    // A worker that is away: it must hear of the new one before anybody uses that.
    await site.join('w2')
    site.member('w2').connection!.close('it is away')
    await site.world.calm()
    assert.equal((await site.ask({ kind: 'rotateAuthority' })).kind, 'done')
    await site.until(() => standby.authority.keys().length === 2 && worker.keeper.current().authorities.length === 2)
    await site.pass(3000)
    assert.deepEqual((await site.view()).rotation, { step: 'believing', waitsFor: ['w2'] })
    // The leader dies in the middle; the one that follows has the key.
    await site.kill()
    await site.lead('c2')
    await site.connect('w1')
    await site.connect('c1')
    await site.connect('w2')
    const signs = async (): Promise<string | undefined> => (await site.view()).authorities.find(one => one.state === 'signs')?.authority
    await site.until(async () => {
      await site.pass(1000)
      return (await signs()) !== old
    })
    await site.until(async () => {
      await site.pass(1000)
      return (await site.view()).authorities.length === 1
    })
    const view = await site.view()
    assert.equal(view.rotation, undefined)
    for (const { name, authority, state } of view.nodes) assert.deepEqual([name, authority !== old, state], [name, true, 'enrolled'])
    for (const [name, { keeper, closed, refused }] of site.members) {
      assert.equal(keeper.current().authorities.length, 1, name)
      assert.deepEqual([closed, refused], [name === 'c2' ? closed : undefined, undefined], `${name} was never sent away`)
    }
    await site.until(() => ['c1', 'c2'].every(name => site.member(name).authority.keys().length === 1))
    assert.notEqual(site.member('c1').authority.keys()[0], old, 'the key of the old one is gone')
    const journal = Buffer.concat((await site.disk.open().journal.read(1, 1e6)).map(row => Buffer.from(row.records)))
    const key = readFileSync(join(site.folder('c2'), `${site.member('c2').authority.keys()[0]}.key.pem`), 'utf8').split('\n')
    for (const line of key.slice(1, 3))
      assert(!journal.includes(line) && !journal.includes(Buffer.from(line, 'base64')), 'a key in the journal')
  })

  it('begins anew where nobody else has the key of the next authority', async () => {
    const site = await Site.found()
    const standby = await site.join('c2', 'candidate')
    standby.connection!.close('it is away')
    await site.world.calm()
    await site.ask({ kind: 'rotateAuthority' })
    const lost = (await site.view()).authorities.at(-1)!.authority
    assert(!standby.authority.keys().includes(lost))
    await site.kill()
    await site.lead('c2')
    await site.until(async () => {
      await site.pass(1000)
      const { authorities } = await site.view()
      return authorities.length === 2 && authorities.at(-1)!.authority !== lost
    })
    assert.equal((await site.ask({ kind: 'rotateAuthority' })).kind, 'failed', 'one at a time')
  })
})
