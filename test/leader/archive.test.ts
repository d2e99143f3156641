// Shows that snapshots and compaction under load keep the journal short and lose nothing, and that inputs which are no longer in memory
// are read back from the store.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeSnapshot } from '../../src/core/index.ts'
import { Archivist, lookEveryMs, recordsPerSnapshot } from '../../src/leader/archivist.ts'
import { recover } from '../../src/leader/index.ts'
import { cachedBytesMax } from '../../src/leader/payloads.ts'
import { inputs } from '../fakes/plans.ts'
import { House } from './house.ts'

describe('a snapshot', () => {
  it('taken under load lets old rows go, and what is recovered is what there was', async () => {
    const { house, client, worker } = await House.staffed({ disk: { rowBytesKept: 0 } })
    await house.submit(client, 'first', 1)
    const archivist = new Archivist(house.store, house.state, house.world.platform)
    for (let round = 0; round < 12; round++) {
      await house.submit(client, `job-${round}`, 3)
      // Taken while the next appends are under way.
      const looking = archivist.look(1)
      await worker.finish()
      await house.world.advance(20)
      await looking
      await client.say({ kind: 'releaseResults', job: `job-${round}`, stage: 0, ranges: [{ first: 0, count: 3 }] })
    }
    assert(house.disk.snapshots.length === 2)
    assert(house.disk.rows[0]!.firstIndex > 20, 'the oldest rows are still there')
    assert(house.world.logged.includes('snapshot-taken'))
    await house.world.advance(100)
    const before = encodeSnapshot(house.state)
    await house.kill()
    const recovered = await recover(house.disk.open())
    assert.deepEqual(encodeSnapshot(recovered), before)
    await house.start()
    await worker.connect(house.address)
    await worker.finishAll()
    assert.equal(worker.work.lanes.size, 0)
    const [story] = (await (await house.client()).view('story', { id: 'job-11' })).lines
    assert(story)
  })

  it('is taken by the leader itself once enough was written, and not before', async () => {
    const { house, client } = await House.ready({ checking: false, limits: { finishedJobsMax: 10 } })
    await house.world.advance(5_000)
    assert.equal(house.disk.snapshots.length, 0)
    let number = 0
    while (house.disk.lastIndex < recordsPerSnapshot + 10) {
      const jobs = Array.from({ length: 2000 }, () => ({
        plan: house.plan(`job-${number++}`),
        inputs: [inputs(0)],
        flow: undefined,
        policies: [],
        run: undefined,
        watch: false,
      }))
      await client.ask({ kind: 'submitJobs', jobs })
    }
    await house.world.advance(lookEveryMs + 1_000)
    assert.equal(house.disk.snapshots.length, 1)
  })

  it('that fails is tried again later', async () => {
    const { house } = await House.ready()
    const archivist = new Archivist(house.store, house.state, house.world.platform)
    house.disk.failing = true
    await archivist.look(0)
    assert(house.world.logged.includes('snapshot-failed'))
  })

  it('waits for its records to be durable, and gives up when they are not for long', async () => {
    const { house, client } = await House.ready()
    house.disk.hold()
    await house.submit(client, 'job', 1)
    const archivist = new Archivist(house.store, { ...house.state, index: house.state.index }, house.world.platform)
    const looking = archivist.look(0)
    const again = archivist.look(0)
    await house.world.advance(1_000)
    await looking
    await again
    house.disk.release()
    await house.world.calm()
    assert.equal(house.disk.snapshots.length, 0)
  })
})

describe('a journal', () => {
  it('of a newer release is not used', async () => {
    const { house } = await House.ready()
    await house.kill()
    const opening = { epoch: 2, firstIndex: house.disk.lastIndex + 1, count: 1, records: Buffer.from([250]), payloads: [], drops: [] }
    const successor = house.disk.open()
    await successor.leadership.claim({ seenEpoch: 1, leader: 'newer', pid: 1, processStart: '', address: '', opening })
    await assert.rejects(house.start(), { code: 'JOURNAL_VERSION' })
  })

  it('with a damaged row is not used, and the row is named', async () => {
    const { house } = await House.ready()
    await house.kill()
    house.disk.corruptRow(2)
    await assert.rejects(house.start(), { code: 'JOURNAL_CORRUPT' })
  })
})

describe('inputs that are no longer in memory', () => {
  const mebibyte = 1 << 20
  /** More than stay in memory: payloads of a mebibyte each. */
  const count = Math.ceil(cachedBytesMax / mebibyte) + 10

  async function fullHouse() {
    const { house, client } = await House.ready({ limits: { assignBytesMax: 4 * mebibyte } })
    await house.submit(client, 'job', 0, { inputs: [inputs(0, { open: true })] })
    for (let first = 0; first < count; first++) {
      const answer = await client.ask({ kind: 'addTasks', job: 'job', inputs: inputs(1, { first, itemBytes: mebibyte, open: true }) })
      assert.equal(answer?.kind, 'done')
    }
    return { house, client }
  }

  it('are read from the store, and what follows for the worker waits behind them', async () => {
    const { house, client } = await fullHouse()
    const worker = await house.worker()
    let received = 0
    while (worker.work.busy.length > 0) {
      await worker.finish()
    }
    for (const { inputs } of worker.of('assign')) received += inputs.reduce((sum, bytes) => sum + bytes.length, 0)
    assert(received > count * mebibyte)
    assert.deepEqual(
      worker.of('assign').flatMap(({ runs }) => runs.flatMap(run => Array.from({ length: run.count }, (_, i) => run.first + i))),
      Array.from({ length: count }, (_, i) => i),
    )
    assert.equal((await client.view('job', { job: 'job' })).tasks.succeeded, count)
  })

  it('and are gone, because their worker and their job are, harm nobody', async () => {
    const { house, client } = await fullHouse()
    const worker = await house.worker()
    const { journal } = house.store
    const read = journal.payload.bind(journal)
    const gate = Promise.withResolvers<void>()
    journal.payload = async payload => {
      await gate.promise
      return read(payload)
    }
    // The leader must read the first inputs from the store; before they come the worker is lost and the job cancelled.
    await worker.hangUp()
    await worker.connect(house.address)
    await worker.hangUp()
    await client.ask({ kind: 'cancelJob', job: 'job', reason: '' })
    gate.resolve()
    await house.world.calm()
    assert.equal(house.ended, undefined)
  })

  it('and are gone because a successor has released them are no damage: the news of it is late', async () => {
    const { house, client } = await House.ready()
    await house.submit(client, 'job', 1)
    for (const [deposed, reason] of [
      [1, /^FENCED/],
      [0, /^JOURNAL_CORRUPT: Inputs cannot be read/],
    ] as const) {
      await house.kill()
      await house.start()
      const { journal, leadership } = house.store
      const view = await leadership.view()
      leadership.view = async () => ({ ...view, epoch: view.epoch + deposed })
      journal.payload = async () => undefined
      await house.worker()
      await house.world.calm()
      assert.match(house.ended!, reason)
    }
  })

  it('and are damaged end the leadership', async () => {
    const { house } = await fullHouse()
    const [oldest] = [...house.disk.payloads.keys()].filter(payload => house.disk.payloads.get(payload)!.bytes.length > mebibyte)
    house.disk.corruptPayload(oldest!)
    await house.worker()
    await house.world.calm()
    assert.match(house.ended!, /^JOURNAL_CORRUPT: Inputs cannot be read/)
  })
})
