// A naive model of nodes: every certificate that was ever given, in their order. Who may join, what counts and which authority may go is found anew
// each time by walking all of them.
import assert from 'node:assert/strict'
import type { Nodes } from '../../src/core/nodes/state.ts'
import { type JournalRecord, nodeRecords, type RecordOf } from '../../src/protocol/index.ts'

interface Given {
  node: string
  life: number
  key: string
  token: string
  serial: string
  expiresAtMs: number
  authority: string
  revoked: boolean
}

type NodeRecord = Extract<JournalRecord, { kind: keyof typeof nodeRecords }>

export class NodeLedger {
  readonly #given: Given[] = []
  readonly #tokens = new Map<string, RecordOf<'JoinTokenMade'>>()
  readonly #lives = new Map<string, { life: number; role: string; believes: string; held: string }>()
  #authorities: string[] = []
  #signs = ''
  #life = 0

  /** True for a fact about nodes of several machines, which it has taken. */
  took(record: JournalRecord, nowMs: number): record is NodeRecord {
    if (!(record.kind in nodeRecords)) return false
    this.#next(record as NodeRecord, nowMs)
    return true
  }

  #next(record: NodeRecord, nowMs: number): void {
    if (record.kind === 'AuthorityAdded') this.added(record)
    else if (record.kind === 'AuthoritySigns') this.signs(record, nowMs)
    else if (record.kind === 'AuthorityDropped') this.dropped(record, nowMs)
    else if (record.kind === 'JoinTokenMade') this.made(record)
    else if (record.kind === 'NodeEnrolled') this.enrolled(record, nowMs)
    else if (record.kind === 'CertificateRenewed') this.renewed(record)
    else if (record.kind === 'NodeRevoked') this.revoked(record)
    else this.held(record)
  }

  made(record: RecordOf<'JoinTokenMade'>): void {
    assert(!this.#tokens.has(record.token), 'a join token was made twice')
    this.#tokens.set(record.token, record)
  }

  added({ authority }: RecordOf<'AuthorityAdded'>): void {
    this.#authorities.push(authority)
    assert(this.#authorities.length <= 2)
  }

  signs({ authority }: RecordOf<'AuthoritySigns'>, nowMs: number): void {
    for (const name of this.#live(nowMs)) assert.equal(this.#lives.get(name)!.believes, authority, `${name} does not believe who signs`)
    assert(this.#authorities.includes(authority))
    this.#signs = authority
  }

  dropped({ authority }: RecordOf<'AuthorityDropped'>, nowMs: number): void {
    const next = this.#authorities.at(-1)
    // Either it is the next one, whose key is lost, or nobody needs it.
    if (authority !== next) {
      for (const name of this.#live(nowMs)) {
        const { held } = this.#lives.get(name)!
        assert.equal(this.#given.find(one => one.serial === held)?.authority, this.#signs, `${name} still needs what is dropped`)
      }
    }
    assert.notEqual(authority, this.#signs)
    this.#authorities = this.#authorities.filter(one => one !== authority)
  }

  enrolled(record: RecordOf<'NodeEnrolled'>, nowMs: number): void {
    const { node, role, token, key } = record
    const known = this.#live(nowMs).includes(node) ? this.#given.findLast(one => one.node === node && !one.revoked) : undefined
    const again = known?.token === token && known.key === key
    assert(!known || again, `two live nodes are called ${node}`)
    if (token !== '') {
      const made = this.#tokens.get(token)
      assert(made && made.role === role && made.expiresAtMs > nowMs, 'somebody joined with a token that is none')
      const users = new Set(this.#given.filter(one => one.token === token).map(one => one.life))
      assert(again || users.size < made.uses, 'a token was used more often than it may be')
    }
    if (!again) this.#lives.set(node, { life: ++this.#life, role, believes: '', held: '' })
    else Object.assign(this.#lives.get(node)!, { believes: '', held: '' })
    this.#give(record)
  }

  renewed(record: RecordOf<'CertificateRenewed'>): void {
    const before = this.#given.findLast(one => one.node === record.node)
    assert(before && !before.revoked, 'a certificate was renewed of a node that is none')
    this.#give({ ...record, token: before.token })
  }

  #give(record: Omit<Given, 'life' | 'revoked'>): void {
    const { node, key, token, serial, expiresAtMs, authority } = record
    assert.equal(authority, this.#signs, 'another authority than the one that signs gave a certificate')
    assert(!this.#given.some(one => one.serial === serial), 'a serial number came twice')
    const { life } = this.#lives.get(node)!
    this.#given.push({ node, life, key, token, serial, expiresAtMs, authority, revoked: false })
  }

  held({ node, serial, authority }: RecordOf<'CertificateHeld'>): void {
    const given = this.#given.find(one => one.serial === serial)
    assert(given?.node === node && !given.revoked, 'a node holds what it was not given')
    Object.assign(this.#lives.get(node)!, { held: serial, believes: authority })
  }

  revoked({ node }: RecordOf<'NodeRevoked'>): void {
    const { life } = this.#lives.get(node)!
    for (const one of this.#given) if (one.life === life) one.revoked = true
    this.#lives.delete(node)
  }

  /** Names of nodes with a certificate that has not expired. */
  #live(nowMs: number): string[] {
    const counts = (one: Given): boolean => !one.revoked && one.expiresAtMs > nowMs && this.#lives.get(one.node)?.life === one.life
    return [...new Set(this.#given.filter(counts).map(one => one.node))]
  }

  /** Throws unless the state says the same of all that has not expired. */
  compare(nodes: Nodes, nowMs: number): void {
    const theirs = [...nodes.byName.values()].filter(node => [...node.certificates.values()].some(one => one.expiresAtMs > nowMs))
    assert.deepEqual(theirs.map(node => node.name).sort(), this.#live(nowMs).sort(), 'nodes')
    for (const one of this.#given) {
      if (one.expiresAtMs <= nowMs) continue
      const known = nodes.byName.get(one.node)?.certificates.has(one.serial) === true
      const ofThisLife = this.#lives.get(one.node)?.life === one.life
      assert.equal(known, !one.revoked && ofThisLife, `certificate ${one.serial} of ${one.node}`)
      if (one.revoked) assert(nodes.revoked.has(one.serial), `${one.serial} is not refused`)
    }
    assert.deepEqual([[...nodes.authorities.keys()], nodes.signs], [this.#authorities, this.#signs], 'authorities')
  }
}
