// A naive model of locks: everyone who asked for one, in their order. Who holds it is found anew each time, by walking that line.
import assert from 'node:assert/strict'
import type { Grants } from '../../src/core/grants/state.ts'
import type { RecordOf } from '../../src/protocol/index.ts'

interface Asked extends RecordOf<'LockAsked'> {
  token: number
}

export class LockLedger {
  #asked: Asked[] = []
  /** The token of each grant that ever had its turn. */
  readonly tokens = new Map<string, number>()
  #token = 0

  asked(record: RecordOf<'LockAsked'>): void {
    assert(!this.#asked.some(one => one.grant === record.grant), `${record.grant} asked twice`)
    this.#asked.push({ ...record, token: 0 })
    this.#serve(record.lock)
  }

  ended(record: RecordOf<'GrantEnded'>): void {
    const grant = this.#asked.find(one => one.grant === record.grant)
    assert(grant, `${record.grant} ended and was never asked for`)
    this.#asked = this.#asked.filter(one => one !== grant)
    this.#serve(grant.lock)
  }

  #serve(lock: string): void {
    const line = this.#asked.filter(one => one.lock === lock)
    for (const one of line) {
      if (one.token > 0) continue
      const holders = line.filter(other => other.token > 0)
      const room =
        one.mode === 'permit' ? holders.length < one.permits : holders.every(other => one.mode === 'read' && other.mode === 'read')
      if (!room) return
      one.token = ++this.#token
      this.tokens.set(one.grant, one.token)
    }
  }

  /** Throws unless the state says the same. */
  compare(grants: Grants): void {
    const own = this.#asked.map(({ grant, lock, token }) => [grant, lock, token])
    const theirs = [...grants.byId.values()].map(({ id, lock, token }) => [id, lock.name, token])
    assert.deepEqual(theirs.sort(), own.sort(), 'locks')
  }
}
