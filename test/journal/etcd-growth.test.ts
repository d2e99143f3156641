// Shows that a journal in etcd stays bounded however much is written: rows go behind snapshots, payloads when they are dropped, old revisions after a while.
// Must not sleep: the simulated server's time runs by itself.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { TestLeader } from '../../src/journal/conformance/index.ts'
import { verifyStore } from '../../src/journal/index.ts'
import { EtcdBench } from './etcd-place.ts'

it('a journal in etcd stays bounded under 20,000 appends', async () => {
  const bench = new EtcdBench()
  try {
    const rowBytesKept = 64 << 10
    const store = await bench.open({ rowBytesKept })
    const leader = await TestLeader.claim(store)
    const peak = { keys: 0, bytes: 0 }
    for (let block = 0; block < 40; block++) {
      const written: number[] = []
      for (let group = 0; group < 10; group++) {
        await Promise.all(
          Array.from({ length: 50 }, () => {
            const payload = leader.payload(200)
            written.push(payload.payload)
            const drops = written.length > 20 ? written.splice(0, 10) : []
            return leader.append({ payloads: [payload], drops, recordBytes: 100 })
          }),
        )
      }
      await leader.append({ drops: written })
      await leader.snapshot(Buffer.alloc(20_000, block))
      await store.journal.compact(leader.epoch, leader.next)
      // As long as such work takes with a real quorum.
      await bench.pass(2000)
      peak.keys = Math.max(peak.keys, bench.server.state.keyCount)
      peak.bytes = Math.max(peak.bytes, bench.server.state.dbBytes)
    }
    const { payloads, rowBytes } = await store.journal.size()
    assert.equal(payloads, 0)
    assert.ok(rowBytes < rowBytesKept + 600 * 300, `${rowBytes} bytes of rows`)
    // What two snapshots span, and nothing of what was before.
    assert.ok(peak.keys < 3000, `${peak.keys} keys`)
    // What is written within twice the time that old revisions are kept.
    assert.ok(peak.bytes < 24 << 20, `${peak.bytes} bytes`)
    assert.deepEqual((await verifyStore(store)).problems, [])
  } finally {
    bench.end()
  }
})
