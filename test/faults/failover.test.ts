// Owns the tests of takeovers with standbys: real processes, real signals, calls under way all the time.
// Must not measure time: `cox drill` does.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { alive, FaultCluster, rejection, until } from './harness.ts'
import { square } from './tasks.ts'

describe('a cluster with standbys', { timeout: 90_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('failover', ['--candidates', '3', '--workers', '2', '--cpus', '2', '--executors', '2'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  /** Waits until two candidates stand by; gives their names. */
  function standbys(): Promise<string[]> {
    return until('two standbys', async () => {
      const { candidates } = await cluster.client.status()
      const ready = candidates.filter(one => one.state === 'standby')
      return ready.length === 2 && ready.map(one => one.id)
    })
  }

  /** Calls, one after the other, until `during` is over; none may fail. */
  async function underLoad(name: string, during: () => Promise<void>): Promise<void> {
    const trace = cluster.path(`${name}-trace`)
    let over = false
    let value = 0
    const calling = (async () => {
      for (; !over; value++) assert.equal(await cluster.client.run(square, { trace, value }), value * value)
    })()
    await during().finally(() => {
      over = true
    })
    await calling
    assert.ok(value > 0)
  }

  test('loses nothing and fails no call while its leaders are killed one after the other', async () => {
    await underLoad('kills', async () => {
      for (let kill = 1; kill <= 4; kill++) {
        await standbys()
        const { id } = (await cluster.client.status()).leader
        const next = await cluster.killLeader()
        assert.notEqual(next.leader.id, id, 'a standby leads, not the one that was started again')
      }
    })
  })

  test('kills a leader that stands still before another one writes', async () => {
    await standbys()
    const { pid, epoch } = (await cluster.client.status()).leader
    await underLoad('freeze', async () => {
      process.kill(pid, 'SIGSTOP')
      await until('another leader', async () => (await cluster.client.status()).leader.epoch > epoch)
      assert.equal(alive(pid), false)
    })
  })

  test('hands over by promote and by SIGTERM, and nobody counts as failed for it', async () => {
    const [to] = await standbys()
    const before = (await cluster.client.status()).leader
    await underLoad('promote', async () => {
      assert.equal((await cluster.client.promote(to!)).id, to)
    })
    const promoted = (await cluster.client.status()).leader
    assert.equal(promoted.epoch, before.epoch + 1)
    await standbys()
    await underLoad('term', async () => {
      process.kill(promoted.pid, 'SIGTERM')
      await until('another leader', async () => (await cluster.client.status()).leader.epoch > promoted.epoch)
    })
    const { leader } = await cluster.client.status()
    const { lines } = await cluster.client.story(leader.id)
    assert.ok(lines.some(line => line.text === `was handed the leadership of epoch ${promoted.epoch}`))
  })

  test('refuses to promote who is not known', async () => {
    await rejection(cluster.client.promote('candidate-9'), 'NOT_FOUND')
  })
})
