// Shows that a block is deleted only when nothing named it for a while: storing the same bytes again and letting them go may race.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createState, type State } from '../../src/core/index.ts'
import { BlockDrops, blockGraceMs } from '../../src/leader/drops.ts'
import { Links, type WorkerLink } from '../../src/leader/links.ts'
import { blockHolding, type LeaderToWorker, type Outcome } from '../../src/protocol/index.ts'
import { finished } from '../fakes/worker.ts'
import { House } from './house.ts'

const block = 'a'.repeat(64)

type Worker = State['membership']['workers'] extends Map<string, infer W> ? W : never

function scene() {
  const state = createState()
  const links = new Links()
  const sent: LeaderToWorker[] = []
  const link = { id: 'w', incarnation: 1, sendInOrder: (message: LeaderToWorker) => void sent.push(message) }
  links.workers.set('w', link as unknown as WorkerLink)
  let nowMs = 0
  const clock = { monotonicMs: () => nowMs, wallMs: () => nowMs, timer: () => () => {}, soon: () => {} }
  const drops = new BlockDrops(state, links, clock)
  return {
    state,
    links,
    link,
    drops,
    dropped: () => sent.flatMap(message => (message.kind === 'dropBlocks' ? message.blocks : [])),
    pass(ms: number) {
      nowMs += ms
      drops.flush()
    },
  }
}

test('a block goes when its grace is over, not before', () => {
  const { drops, dropped, pass } = scene()
  drops.add(block, 'w')
  pass(blockGraceMs - 1)
  assert.deepEqual(dropped(), [])
  pass(1)
  assert.deepEqual(dropped(), [block])
  pass(blockGraceMs)
  assert.deepEqual(dropped(), [block], 'it is told once')
})

test('a block that is named again meanwhile stays', () => {
  const { state, drops, dropped, pass } = scene()
  drops.add(block, 'w')
  state.blockUses.set(blockHolding(block, 'w'), 1)
  pass(blockGraceMs)
  assert.deepEqual(dropped(), [])
})

test('the same bytes on another worker do not keep it', () => {
  const { state, drops, dropped, pass } = scene()
  drops.add(block, 'w')
  state.blockUses.set(blockHolding(block, 'other'), 1)
  pass(blockGraceMs)
  assert.deepEqual(dropped(), [block])
})

test('named and let go again, it waits anew', () => {
  const { drops, dropped, pass } = scene()
  drops.add(block, 'w')
  pass(blockGraceMs - 1)
  drops.add(block, 'w')
  pass(blockGraceMs - 1)
  assert.deepEqual(dropped(), [])
  pass(1)
  assert.deepEqual(dropped(), [block])
})

test('a worker that is away is told when it is back', () => {
  const { links, link, drops, dropped, pass } = scene()
  links.workers.clear()
  drops.add(block, 'w')
  pass(blockGraceMs)
  assert.deepEqual(dropped(), [])
  links.workers.set('w', link as unknown as WorkerLink)
  pass(0)
  assert.deepEqual(dropped(), [block])
})

test('of a worker that is lost, another one is told for the durable tier; its own disk when it is back', () => {
  const { state, links, link, drops, dropped, pass } = scene()
  const told: LeaderToWorker[] = []
  links.workers.delete('w')
  links.workers.set('v', {
    id: 'v',
    incarnation: 1,
    sendInOrder: (message: LeaderToWorker) => void told.push(message),
  } as unknown as WorkerLink)
  const known = { id: 'w' } as unknown as Worker
  state.membership.workers.set('w', known)
  const again = 'b'.repeat(64)
  for (const one of [block, again]) drops.add(one, 'w')
  pass(blockGraceMs)
  assert.deepEqual(told, [], 'it may come back')
  state.membership.workers.delete('w')
  pass(0)
  pass(blockGraceMs)
  assert.deepEqual(told, [{ kind: 'dropBlocks', epoch: 0, blocks: [block, again], holder: 'w' }], 'once')
  state.blockUses.set(blockHolding(again, 'w'), 1)
  links.workers.set('w', link as unknown as WorkerLink)
  pass(0)
  assert.deepEqual(dropped(), [block], 'not what is named again')
  pass(blockGraceMs)
  assert.deepEqual(dropped(), [block])
})

test('a block of a result that is refused goes, one of a result that is taken stays', async () => {
  const { house, client, worker } = await House.staffed({ cpus: 2 })
  for (const id of ['kept', 'cancelled']) await house.submit(client, id, 1)
  await client.ask({ kind: 'cancelJob', job: 'cancelled', reason: 'no longer wanted' })
  const names = new Map<string, string>()
  for (const lane of [...worker.work.busy]) {
    const { job } = lane.open[0]!
    const name = (job === 'kept' ? 'a' : 'b').repeat(64)
    names.set(job, name)
    await worker.end([{ ...finished(lane), blocks: [{ index: 0, block: name, bytes: 10, holder: 'w1' }] } as Outcome], lane)
  }
  for (let second = 0; second < 20; second++) {
    await house.world.advance(1000)
    await worker.beat(second + 1)
  }
  const dropped = worker.heard.flatMap(message => (message.kind === 'dropBlocks' ? message.blocks : []))
  assert.deepEqual(dropped, [names.get('cancelled')])
})
