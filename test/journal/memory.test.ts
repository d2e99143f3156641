// Holds the journal in memory to the one suite, and to what only it can do: a disk that is held, a handle that is killed.
// Must not test another backend.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { conformance, rejectsWith, TestLeader } from '../../src/journal/conformance/index.ts'
import { createMemoryStore } from '../../src/journal/index.ts'
import { memoryPlace } from './memory-place.ts'

conformance({ name: 'memory', rivalClaim: 'wins', place: async rowBytesKept => memoryPlace(createMemoryStore({ rowBytesKept })) })

describe('a disk in memory', () => {
  it('answers nothing while it is held, and everything in order after that', async () => {
    const disk = createMemoryStore()
    const store = disk.open()
    const leader = await TestLeader.claim(store)
    disk.hold()
    let answered = 0
    const under = Array.from({ length: 3 }, () => store.journal.append(leader.make()).then(() => answered++))
    await new Promise(resolve => setImmediate(resolve))
    assert.equal(answered, 0)
    assert.equal(disk.waiting, 3)
    assert.equal((await store.journal.size()).lastIndex, 1)
    disk.release()
    assert.deepEqual(await Promise.all(under), [0, 1, 2])
    assert.equal((await store.journal.size()).lastIndex, 4)
  })

  it('forgets what a killed handle had under way', async () => {
    const disk = createMemoryStore()
    const store = disk.open()
    const leader = await TestLeader.claim(store)
    await leader.append()
    disk.hold()
    void store.journal.append(leader.make())
    store.kill()
    disk.release()
    const next = await TestLeader.claim(disk.open(), 'two')
    assert.deepEqual([next.epoch, next.next], [2, 4])
  })

  it('fails for good when told to', async () => {
    const disk = createMemoryStore()
    const store = disk.open()
    const leader = await TestLeader.claim(store)
    disk.failing = true
    await rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED')
    disk.failing = false
    await rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED')
    await TestLeader.claim(disk.open(), 'two')
  })
})
