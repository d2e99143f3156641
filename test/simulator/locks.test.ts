// Holds the simulator's checker of locks to histories made by hand: each illegal one must be flagged, each legal one must pass.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkLocks } from '../../simulator/checkers/locks.ts'
import { type GrantSeen, History } from '../../simulator/history.ts'

/** A grant with when it was asked for, given, believed in, and given back if it was. */
interface Seen {
  mode?: GrantSeen['mode']
  token: number
  asked: number
  granted: number
  believed?: number[]
  released?: [number, number]
  wrote?: [number, number]
  /** When it became durable, if not in between. */
  durable?: number
  /** The token that it had to have. */
  turn?: number
}

function rules(seen: readonly Seen[], drift = 0): string[] {
  const history = new History()
  const granted = new Map<string, { token: number; atMs: number }>()
  const beliefs: { grant: GrantSeen; atMs: number }[] = []
  for (const [number, one] of seen.entries()) {
    const { mode = 'write', token, asked: askedMs, granted: grantedMs, believed = [], released, wrote } = one
    const id = `g${number}`
    granted.set(id, { token: one.turn ?? token, atMs: one.durable ?? grantedMs })
    const grant: GrantSeen = { lock: 'l', id, token, mode, permits: mode === 'permit' ? 2 : 0, askedMs, grantedMs, writes: [] }
    if (wrote) grant.writes.push({ fromMs: wrote[0], toMs: wrote[1] })
    if (released) grant.released = { fromMs: released[0], toMs: released[1] }
    history.grants.push(grant)
    beliefs.push(...believed.map(atMs => ({ grant, atMs })))
  }
  history.beliefs.push(...beliefs.sort((one, other) => one.atMs - other.atMs))
  checkLocks(history, { granted }, drift)
  return history.violations.map(one => one.rule)
}

describe('locks, as their holders saw them', () => {
  it('pass where one follows the other, readers share, and as many hold a semaphore as may', () => {
    assert.deepEqual(
      rules([
        { token: 1, asked: 0, granted: 1, believed: [1, 5], released: [6, 8] },
        { token: 2, asked: 2, granted: 8, believed: [8] },
      ]),
      [],
    )
    assert.deepEqual(
      rules([
        { mode: 'read', token: 1, asked: 0, granted: 1, believed: [1, 9] },
        { mode: 'read', token: 2, asked: 2, granted: 3, believed: [3, 8] },
        { mode: 'write', token: 3, asked: 4, granted: 20, believed: [20] },
      ]),
      [],
    )
    assert.deepEqual(
      rules([
        { mode: 'permit', token: 1, asked: 0, granted: 1, believed: [1, 30] },
        { mode: 'permit', token: 2, asked: 2, granted: 3, believed: [3], released: [4, 5] },
        { mode: 'permit', token: 3, asked: 2, granted: 5, believed: [6] },
      ]),
      [],
    )
  })

  it('pass where one was lost, and its holder did not believe in it any more', () => {
    assert.deepEqual(
      rules([
        { token: 1, asked: 0, granted: 1, believed: [1, 5] },
        { token: 2, asked: 2, granted: 9, believed: [9] },
      ]),
      [],
    )
  })

  it('S7: two hold what one may, and the second gives it back before the first', () => {
    const first: Seen = { token: 1, asked: 0, granted: 1, released: [9, 10] }
    assert.deepEqual(rules([first, { token: 2, asked: 2, granted: 5 }]), ['S7'])
    assert.deepEqual(
      rules([
        { ...first, mode: 'read' },
        { token: 2, asked: 2, granted: 5 },
      ]),
      ['S7'],
    )
    const permit = { ...first, mode: 'permit' as const }
    assert.deepEqual(rules([permit, { ...permit, token: 2 }, { ...permit, token: 3, asked: 2, granted: 5 }]), ['S7'])
  })

  it('S7: somebody writes under a lock that another has by now', () => {
    const other: Seen = { token: 2, asked: 2, granted: 9 }
    assert.deepEqual(rules([{ token: 1, asked: 0, granted: 1, wrote: [3, 10] }, other]), [])
    assert.deepEqual(rules([{ token: 1, asked: 0, granted: 1, wrote: [10, 11] }, other]), ['S7'])
  })

  it('S7: a token that does not grow', () => {
    assert.deepEqual(
      rules([
        { token: 2, asked: 0, granted: 1, released: [2, 3] },
        { token: 1, asked: 4, granted: 5 },
      ]),
      ['S7'],
    )
  })

  it('S13: somebody believes in a grant beside or after another one', () => {
    const late: Seen[] = [
      { token: 1, asked: 0, granted: 1, believed: [1, 30] },
      { token: 2, asked: 2, granted: 9, believed: [9] },
    ]
    assert.deepEqual(rules(late), ['S7', 'S13'])
    // Their clocks do not run alike.
    assert.deepEqual(rules(late, 0.1), [])
    const permits = [1, 2, 3].map(token => ({ mode: 'permit' as const, token, asked: 0, granted: token, believed: [token, 30] }))
    assert.deepEqual(rules(permits), ['S7', 'S13'])
  })

  it('S13: somebody overtakes; S3: a grant that is not durable is told', () => {
    assert.deepEqual(rules([{ token: 1, turn: 2, asked: 0, granted: 1 }]), ['S13'])
    assert.deepEqual(rules([{ token: 1, asked: 0, granted: 1, durable: 5 }]), ['S3'])
  })
})
