// Holds claims to what stands between their looks at the store: whoever was faster in the middle of one is seen.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createState } from '../../src/core/index.ts'
import { createMemoryStore, type Store } from '../../src/journal/index.ts'
import { claim } from '../../src/leader/claim.ts'
import { World } from '../fakes/world.ts'

const { platform } = new World()

function claimant(id: string, store: Store, replaces: number | undefined) {
  return { id, store, priority: 100, pid: 1, processStart: '', replaces }
}

/** A store in which a rival leads right after the first look at who does. */
function withRival(replaces: number | undefined) {
  const disk = createMemoryStore()
  const own = disk.open()
  const rival = disk.open()
  let looks = 0
  const view: Store['leadership']['view'] = async () => {
    const seen = await own.leadership.view()
    if (looks++ === 0) await claim(claimant('rival', rival, undefined), createState(), 'ws://rival', platform)
    return seen
  }
  const store: Store = { ...own, leadership: { ...own.leadership, view }, close: () => own.close() }
  const state = createState()
  return { state, claimed: claim(claimant('own', store, replaces), state, 'ws://own', platform) }
}

it('a claim of the epoch after the one that it read begins anew where a rival was faster', async () => {
  const { state, claimed } = withRival(undefined)
  await claimed
  assert.deepEqual([state.epoch, state.leader], [2, 'own'])
})

it('a claim that replaces one epoch is FENCED where a rival was faster', async () => {
  const { state, claimed } = withRival(0)
  await assert.rejects(claimed, { code: 'FENCED', message: /rival was faster and leads epoch 1/ })
  assert.deepEqual([state.epoch, state.leader], [1, 'rival'])
})
