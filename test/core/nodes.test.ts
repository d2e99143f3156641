// Nodes with certificates: join tokens, enrolment, renewal, revocation and the change of the authority, by scenario and at random against the naive model.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { nodePrincipal } from '../../src/core/nodes/principal.ts'
import { rotationOf } from '../../src/core/nodes/state.ts'
import { decodeSnapshot, encodeSnapshot } from '../../src/core/snapshot.ts'
import { viewNodes } from '../../src/core/views/nodes.ts'
import type { NodeRole } from '../../src/protocol/index.ts'
import { Harness } from './harness.ts'

const dayMs = 24 * 3_600_000
const hash = (letter: string): string => letter.repeat(64)

/** A cluster of several machines that has just been founded. */
class Machines extends Harness {
  #serial = 0
  #key = 0

  found(): void {
    this.ask({
      kind: 'foundNodes',
      authority: { authority: hash('a'), certificate: Buffer.from('A'), expiresAtMs: this.nowMs + 3650 * dayMs },
      node: { node: 'first', address: 'first:1', key: this.key(), serial: this.serial(), expiresAtMs: this.nowMs + dayMs },
      tokens: [],
    })
  }

  serial(): string {
    return `5e${++this.#serial}`
  }

  key(): string {
    return `${++this.#key}`.padStart(64, '0')
  }

  token(token: string, options: { role?: NodeRole; uses?: number; expiresInMs?: number } = {}): string {
    const { role = 'worker', uses = 1, expiresInMs = 3_600_000 } = options
    return this.#said({ kind: 'makeJoinToken', token, secretHash: hash('0'), role, uses, expiresInMs })
  }

  enrol(node: string, token: string, options: { role?: NodeRole; key?: string; authority?: string } = {}): string {
    const { role = 'worker', key = this.key(), authority = this.state.nodes.signs } = options
    const certificate = { node, key, serial: this.serial(), expiresAtMs: this.nowMs + dayMs, authority }
    return this.#said({ kind: 'enrolNode', role, address: role === 'candidate' ? `${node}:1` : '', token, ...certificate })
  }

  renew(node: string, presented = this.newest(node), authority = this.state.nodes.signs): string {
    const certificate = { node, key: this.key(), serial: this.serial(), expiresAtMs: this.nowMs + dayMs, authority }
    return this.#said({ kind: 'renewCertificate', presented, ...certificate })
  }

  newest(node: string): string {
    return [...(this.state.nodes.byName.get(node)?.certificates.keys() ?? [])].at(-1) ?? 'none'
  }

  hold(node: string, authority = [...this.state.nodes.authorities.keys()].at(-1)!): void {
    this.ask({ kind: 'holdCertificate', node, serial: this.newest(node), authority })
  }

  add(letter: string, replaces = ''): string {
    const made = { authority: hash(letter), certificate: Buffer.from(letter), expiresAtMs: this.nowMs + 3650 * dayMs }
    return this.#said({ kind: 'addAuthority', replaces, ...made })
  }

  rotate(...keys: string[]): void {
    this.ask({ kind: 'rotate', keys: keys.map(hash) })
  }

  revoke(node: string): string {
    return this.#said({ kind: 'revokeNode', node })
  }

  #said(command: Parameters<Harness['ask']>[0]): string {
    const reply = this.ask(command)
    return reply.kind === 'refused' ? reply.error.code : reply.kind
  }

  get believed(): string {
    return [...this.state.nodes.authorities.keys()].map(one => (one === this.state.nodes.signs ? one[0]!.toUpperCase() : one[0]!)).join('')
  }

  principal(node: string, serial = this.newest(node), uri = `coxswain://cluster-1/worker/${node}`, behind = false) {
    return nodePrincipal({ uris: [uri], serial }, this.state, behind)
  }
}

function founded(): Machines {
  const machines = new Machines()
  machines.found()
  return machines
}

describe('joining', () => {
  it('needs a token that is known, for this role, in time, and not used up', () => {
    const machines = founded()
    assert.equal(machines.token('t'), 'done')
    assert.equal(machines.enrol('w1', 'other'), 'JOIN_TOKEN_UNKNOWN')
    assert.equal(machines.enrol('c2', 't', { role: 'candidate' }), 'JOIN_ROLE_REFUSED')
    assert.equal(machines.enrol('w/1', 't'), 'INVALID_ARGUMENT')
    assert.equal(machines.enrol('w1', 't'), 'done')
    assert.equal(machines.enrol('w2', 't'), 'JOIN_TOKEN_USED')
    machines.token('soon', { expiresInMs: 1000, uses: 5 })
    machines.advance(1000)
    assert.equal(machines.enrol('w2', 'soon'), 'JOIN_TOKEN_EXPIRED')
    assert.deepEqual(viewNodes(machines.state).tokens, [])
    machines.verify()
  })

  it('is the same joining where its answer was lost, and never a second node of one name', () => {
    const machines = founded()
    machines.token('t', { uses: 2 })
    const key = machines.key()
    assert.equal(machines.enrol('w1', 't', { key }), 'done')
    assert.equal(machines.enrol('w1', 't', { key }), 'done')
    assert.equal(machines.state.nodes.tokens.get('t')!.usesLeft, 1)
    assert.equal(machines.enrol('w1', 't'), 'NODE_NAME_TAKEN')
    assert.equal(machines.enrol('first', 't'), 'NODE_NAME_TAKEN')
    machines.advance(dayMs + 1)
    machines.token('later')
    assert.equal(machines.enrol('w1', 'later'), 'done', 'the one before it has expired')
    machines.verify()
  })

  it('is refused in a cluster of one machine, and tokens have limits', () => {
    const machines = new Machines()
    assert.equal(machines.token('t'), 'NOT_ENROLLED')
    assert.equal(machines.add('b'), 'NOT_ENROLLED')
    machines.found()
    assert.equal(machines.token('t', { uses: 0 }), 'INVALID_ARGUMENT')
    assert.equal(machines.token('t', { expiresInMs: 31 * dayMs }), 'INVALID_ARGUMENT')
    for (let number = 0; number < 1000; number++) machines.token(`t${number}`)
    assert.equal(machines.token('one-more'), 'OVERLOADED')
    assert.equal(machines.believed, 'A')
    machines.found()
    assert.equal(machines.believed, 'A', 'it was founded once')
  })
})

describe('a certificate', () => {
  it('proves the node that it names, as long as the journal knows it', () => {
    const machines = founded()
    machines.token('t')
    machines.enrol('w1', 't')
    const serial = machines.newest('w1')
    const node = { kind: 'node', name: 'w1', roles: ['worker'], credential: serial }
    assert.deepEqual(machines.principal('w1'), node)
    assert.deepEqual(machines.principal('w1', serial.toUpperCase()), node)
    for (const uri of [
      'coxswain://cluster-2/worker/w1',
      'coxswain://cluster-1/candidate/w1',
      'coxswain://cluster-1/worker/w2',
      'coxswain://cluster-1/worker/w1/more',
      'coxswain://cluster-1/worker/',
      'https://cluster-1/worker/w1',
    ])
      assert.equal(machines.principal('w1', serial, uri), undefined, uri)
    assert.equal(nodePrincipal({ uris: [], serial }, machines.state), undefined)
    const two = ['coxswain://cluster-1/worker/w1', 'coxswain://cluster-1/candidate/first']
    assert.equal(nodePrincipal({ uris: two, serial }, machines.state), undefined, 'two names')
    assert.equal(machines.principal('w1', 'ff'), undefined, 'signed with a stolen key of the authority')
    assert(machines.principal('w1', 'ff', undefined, true), 'a standby may be behind')
    machines.renew('w1')
    assert(machines.principal('w1') && machines.principal('w1', serial), 'the one before it counts until it expires')
  })

  it('is renewed by whoever holds one that counts', () => {
    const machines = founded()
    machines.token('t')
    machines.enrol('w1', 't')
    assert.equal(machines.renew('w1'), 'done')
    assert.equal(machines.renew('w1', 'ff'), 'NODE_REVOKED')
    assert.equal(machines.renew('w1', machines.newest('w1'), hash('z')), 'UNAVAILABLE')
    for (let number = 0; number < 30; number++) assert.equal(machines.renew('w1'), 'done')
    assert.equal(machines.renew('w1'), 'OVERLOADED')
    machines.advance(3 * dayMs)
    assert.equal(machines.renew('w1', machines.newest('w1')), 'done')
    assert.equal(machines.state.nodes.byName.get('w1')!.certificates.size, 1, 'those long expired are forgotten')
    machines.verify()
  })

  it('counts no more once its node is revoked, and the worker is lost with it', () => {
    const machines = founded()
    machines.token('t', { uses: 2 })
    machines.enrol('w1', 't')
    machines.join('w1')
    machines.submit('job')
    const serial = machines.newest('w1')
    assert.equal(machines.revoke('nobody'), 'NOT_FOUND')
    assert.equal(machines.revoke('w1'), 'done')
    assert.equal(machines.state.membership.workers.size, 0)
    assert.equal(machines.principal('w1', serial, undefined, true), undefined, 'not by a standby either')
    assert.equal(machines.renew('w1', serial), 'NODE_REVOKED')
    assert.equal(machines.enrol('w1', 't'), 'done', 'it may come back with a token')
    assert.equal(machines.principal('w1', serial), undefined)
    machines.advance(3 * dayMs)
    machines.token('later')
    machines.enrol('w9', 'later')
    assert.equal(machines.state.nodes.revoked.size, 0, 'what expired need not be refused')
    machines.verify()
  })

  it('of the leader is not revoked', () => {
    const machines = founded()
    machines.state.leader = 'first'
    assert.equal(machines.revoke('first'), 'INVALID_ARGUMENT')
  })
})

describe('the change of the authority', () => {
  it('is believed by all, then signs, then the old one goes', () => {
    const machines = founded()
    machines.token('t', { uses: 2 })
    machines.enrol('w1', 't')
    machines.enrol('gone', 't')
    machines.advance(dayMs - 1000)
    machines.renew('first')
    machines.renew('w1')
    assert.equal(machines.add('b'), 'done')
    assert.equal(machines.add('c'), 'INVALID_ARGUMENT')
    machines.rotate('a', 'b')
    machines.hold('first')
    machines.rotate('a', 'b')
    assert.deepEqual(rotationOf(machines.state.nodes, machines.state.nowMs), { step: 'believing', waitsFor: ['w1', 'gone'] })
    machines.hold('w1')
    machines.advance(2000)
    machines.rotate('a')
    assert.equal(machines.believed, 'Ab', 'nobody here has its key')
    machines.rotate('a', 'b')
    assert.equal(machines.believed, 'aB', 'who is gone has expired')
    machines.renew('first')
    machines.hold('first')
    machines.rotate('b')
    assert.deepEqual(rotationOf(machines.state.nodes, machines.state.nowMs), { step: 'renewing', waitsFor: ['w1'] })
    machines.renew('w1')
    machines.rotate('b')
    assert.equal(machines.believed, 'aB', 'it was given one, and may not have got it')
    machines.hold('w1')
    machines.rotate('b')
    assert.equal(machines.believed, 'B')
    machines.verify()
  })

  it('begins anew where the key of the next one is lost', () => {
    const machines = founded()
    machines.add('b')
    assert.equal(machines.add('c', hash('b')), 'done')
    assert.equal(machines.believed, 'Ac')
    assert.equal(machines.add('d', hash('b')), 'done')
    assert.equal(machines.believed, 'Ac', 'that one is not the next any more')
    machines.hold('first')
    machines.rotate('c')
    assert.equal(machines.believed, 'aC')
  })
})

const number = fc.nat({ max: 999 })
const acts = [
  'token',
  'enrol',
  'again',
  'renew',
  'hold',
  'holdOld',
  'revoke',
  'add',
  'replace',
  'rotate',
  'advance',
  'long',
  'snapshot',
] as const

function act(machines: Machines, [what, one, two]: [(typeof acts)[number], number, number]): void {
  const node = `n${one % 4}`
  const { nodes } = machines.state
  const authorities = [...nodes.authorities.keys()]
  const letter = String.fromCharCode(97 + ((one + two) % 26))
  const next = authorities.at(-1) === nodes.signs ? '' : (authorities.at(-1) ?? '')
  if (what === 'token') machines.token(`t${machines.records.length}`, { uses: 1 + (two % 2), expiresInMs: 1000 + one * 100 })
  else if (what === 'enrol') machines.enrol(node, [...nodes.tokens.keys()][two % Math.max(1, nodes.tokens.size)] ?? 'none')
  else if (what === 'again') {
    const known = nodes.byName.get(node)
    if (known) machines.enrol(node, known.token, { key: known.key })
  } else if (what === 'renew') machines.renew(one % 5 === 4 ? 'first' : node)
  else if (what === 'hold') machines.hold(one % 5 === 4 ? 'first' : node)
  else if (what === 'holdOld') machines.hold(node, authorities[0]!)
  else if (what === 'revoke') machines.revoke(node)
  else if (what === 'add') machines.add(letter)
  else if (what === 'replace') machines.add(letter, next)
  else if (what === 'rotate') machines.ask({ kind: 'rotate', keys: two % 5 === 0 ? authorities.slice(0, 1) : authorities })
  else if (what === 'advance') machines.advance(1 + one * 10_000)
  else if (what === 'long') machines.advance(dayMs * (1 + (one % 3)))
  else assert.deepEqual(encodeSnapshot(decodeSnapshot(encodeSnapshot(machines.state))), encodeSnapshot(machines.state))
}

describe('nodes at random', () => {
  it('are as the naive model has them after every record', () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...acts), number, number), { minLength: 20, maxLength: 120, size: 'max' }), script => {
        const machines = founded()
        machines.token('t0', { uses: 50 })
        for (const step of script) act(machines, step)
        machines.verify()
        for (const { kind } of machines.records) seen.add(kind)
      }),
      { seed: 20_261_127, numRuns: 40 },
    )
    for (const kind of ['AuthoritySigns', 'AuthorityDropped', 'NodeRevoked', 'CertificateRenewed', 'CertificateHeld'])
      assert(seen.has(kind), `${kind} never happened: these runs mean nothing`)
  })
})
