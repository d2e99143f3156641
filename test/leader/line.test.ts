// A standby whose leader is silent and still has the lease: when it may claim.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { LeadershipView } from '../../src/journal/index.ts'
import { leaseEnded } from '../../src/leader/line.ts'

const view = (epoch: number, lease: LeadershipView['lease']) => ({ epoch, lease }) as LeadershipView

/** What each look sees, and how many looks there were. */
function looks(...seen: (LeadershipView | undefined)[]): { look(): Promise<LeadershipView | undefined>; made(): number } {
  let made = 0
  return { look: async () => seen[made++], made: () => made }
}

it('a claim comes right behind the end of the lease', async () => {
  const { look, made } = looks(view(3, 'held'), view(3, 'held'), view(3, 'gone'))
  assert.equal(await leaseEnded(3, 20, look), true)
  assert.equal(made(), 3)
})

it('a lease that is kept, another leader and a stop are no reason to claim', async () => {
  assert.equal(await leaseEnded(3, 2, looks(view(3, 'held'), view(3, 'held'), view(3, 'gone')).look), false)
  assert.equal(await leaseEnded(3, 20, looks(view(3, 'held'), view(4, 'gone')).look), false)
  assert.equal(await leaseEnded(3, 20, looks(view(3, 'held'), undefined).look), false)
})
