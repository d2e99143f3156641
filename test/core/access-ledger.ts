// The part of the naive model that knows users: each with what it is and a list of its tokens.
import assert from 'node:assert/strict'
import type { Access } from '../../src/core/access/state.ts'
import type { RecordOf } from '../../src/protocol/index.ts'

interface LedgerToken {
  id: string
  digest: string
  expiresAtMs: number
}

interface LedgerUser {
  what: string
  tokens: LedgerToken[]
}

export class AccessLedger {
  readonly users = new Map<string, LedgerUser>()

  #dropToken(id: string): void {
    const owner = [...this.users.values()].find(user => user.tokens.some(token => token.id === id))
    assert(owner, `token ${id} goes and was never there`)
    owner.tokens = owner.tokens.filter(token => token.id !== id)
  }

  UserSet({ user, role, scope }: RecordOf<'UserSet'>): void {
    const what = JSON.stringify([role, scope.jobPrefixes, scope.labels])
    assert.notEqual(this.users.get(user)?.what, what, `${user} was that already`)
    this.users.set(user, { what, tokens: this.users.get(user)?.tokens ?? [] })
  }

  UserDeleted({ user }: RecordOf<'UserDeleted'>): void {
    assert(this.users.delete(user), `${user} goes and was never there`)
  }

  TokenIssued({ token: id, user, digest, expiresAtMs }: RecordOf<'TokenIssued'>): void {
    const known = this.users.get(user)
    assert(known, `a token for ${user}, who is not there`)
    if (known.tokens.some(token => token.id === id)) this.#dropToken(id)
    for (const other of this.users.values()) assert(!other.tokens.some(token => token.id === id || token.digest === digest))
    known.tokens.push({ id, digest, expiresAtMs })
  }

  TokenRevoked({ token }: RecordOf<'TokenRevoked'>): void {
    this.#dropToken(token)
  }

  TokensForgotten({ tokens }: RecordOf<'TokensForgotten'>): void {
    for (const id of tokens) this.#dropToken(id)
  }

  /** Throws unless the state says the same. */
  compareAccess({ users, tokens }: Access): void {
    const theirs = [...users.values()].map(({ name, role, scope, tokens: ids }) => [
      name,
      JSON.stringify([role, scope.jobPrefixes, scope.labels]),
      [...ids].map(id => {
        const { digest, expiresAtMs } = tokens.get(id)!
        return { id, digest, expiresAtMs }
      }),
    ])
    assert.deepEqual(
      theirs,
      [...this.users].map(([name, { what, tokens: own }]) => [name, what, own]),
      'users',
    )
  }
}
