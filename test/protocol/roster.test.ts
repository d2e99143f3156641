// In which order candidates are dialled by who looks for the leader.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Roster } from '../../src/protocol/index.ts'

const [a, b, c] = ['wss://a', 'wss://b', 'wss://c'] as const

it('each in its turn, and who is said to lead first', () => {
  const roster = new Roster([a, b, c])
  assert.equal(roster.dial(), a)
  roster.leader(c)
  assert.equal(roster.dial(), c)
  roster.leader(c)
  assert.equal(roster.dial(), c, 'the connection was lost: it may be there again')
})

it('one that leads and gives no answer is passed over for some dials, whoever says that it leads', () => {
  const roster = new Roster([a, b, c])
  assert.equal(roster.dial(), a)
  roster.leader(a)
  assert.equal(roster.dial(), a)
  const dialled: string[] = []
  for (let i = 0; i < 8; i++) {
    dialled.push(roster.dial())
    roster.leader(a)
  }
  assert.ok(!dialled.slice(0, 6).includes(a), dialled.join())
  assert.ok(dialled.includes(a), 'it may be back')
  assert.ok(dialled.includes(b) && dialled.includes(c))
})

it('another that is said to lead is dialled at once, also meanwhile', () => {
  const roster = new Roster([a, b, c])
  roster.dial()
  roster.leader(a)
  roster.dial()
  assert.notEqual(roster.dial(), a)
  roster.leader(c)
  assert.equal(roster.dial(), c)
})

it('the only one there is is dialled again and again', () => {
  const roster = new Roster([a])
  assert.deepEqual([roster.dial(), roster.dial(), roster.dial()], [a, a, a])
})
