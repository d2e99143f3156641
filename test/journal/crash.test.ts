// Shows that what was acknowledged outlives kill -9, and that two leaders never share a folder.
// Must not wait for a time: only for what the other process says.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { rejectsWith, TestLeader } from '../../src/journal/conformance/index.ts'
import { openSqliteReader, openSqliteStore, verifyStore } from '../../src/journal/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'
import { segmentFile, temporaryFolder, withDatabase } from './sqlite-place.ts'

const script = fileURLToPath(new URL('./append-loop.ts', import.meta.url))

interface Acknowledged {
  firstIndex: number
  count: number
  payload: number
  bytes: number
  fill: number
}

/** A leader in another process, and what it was acknowledged. */
class Looper {
  readonly acknowledged: Acknowledged[] = []
  readonly child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(folder: string) {
    this.child = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    assert.notEqual(done, true, 'the other process ended')
    return value
  }

  async until(acknowledgements: number): Promise<void> {
    while (this.acknowledged.length < acknowledgements) this.#note(await this.line())
  }

  /** Kills it, and notes what it had still been acknowledged. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    for (let next = await this.#lines.next(); next.done !== true; next = await this.#lines.next()) this.#note(next.value)
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit')
  }

  #note(line: string): void {
    const numbers = line.split(' ').map(Number)
    // The last line may have been cut off by the kill.
    if (numbers.length < 5) return
    const [firstIndex, count, payload, bytes, fill] = numbers as [number, number, number, number, number]
    this.acknowledged.push({ firstIndex, count, payload, bytes, fill })
  }
}

describe('kill -9 of the leader', () => {
  let folder: string
  before(() => {
    folder = temporaryFolder()
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('loses nothing that was acknowledged, however often', async () => {
    const all: Acknowledged[] = []
    for (const [round, acknowledgements] of [3, 40, 200].entries()) {
      const looper = new Looper(folder)
      assert.match(await looper.line(), new RegExp(`^claimed ${round + 1} `))
      await looper.until(acknowledgements)
      await looper.kill()
      all.push(...looper.acknowledged)
      const reader = await openSqliteReader(folder)
      const report = await verifyStore(reader)
      assert.deepEqual(report.problems, [])
      const kept = new Map<number, number>()
      for (let next = 1; next <= report.lastIndex; ) {
        for (const row of await reader.journal.read(next, 500)) {
          kept.set(row.firstIndex, row.count)
          next = row.firstIndex + row.count
        }
      }
      for (const { firstIndex, count, payload, bytes, fill } of all) {
        assert.equal(kept.get(firstIndex), count, `the append at ${firstIndex}`)
        if (bytes > 0) assert.ok(Buffer.alloc(bytes, fill).equals((await reader.journal.payload(payload))!))
      }
      await reader.close()
    }
  })

  it('leaves a torn tail of a segment that the next leader does not mind', async () => {
    const looper = new Looper(folder)
    await looper.line()
    await looper.until(20)
    await looper.kill()
    const [segment] = withDatabase(folder, database => database.prepare('SELECT max(segment) AS segment FROM payload').all())
    writeFileSync(segmentFile(folder, Number(segment?.['segment'])), 'half of a payload that was never acknowledged', { flag: 'a' })
    writeFileSync(segmentFile(folder, 900_000), 'a whole segment that was never acknowledged')
    writeFileSync(join(folder, 'snapshot-5-00.part'), 'half a snapshot')
    const store = await openSqliteStore({ folder })
    const leader = await TestLeader.claim(store)
    const payload = leader.payload(300_000, 4)
    await leader.append({ payloads: [payload] })
    assert.deepEqual((await verifyStore(store)).problems, [])
    assert.ok(payload.bytes.length === (await store.journal.payload(payload.payload))?.length)
    await store.close()
  })
})

describe('two processes on one folder', () => {
  it('have one leader; the other is told who it is, may read, and takes over when the first is killed', async () => {
    const folder = temporaryFolder()
    const looper = new Looper(folder)
    try {
      await looper.line()
      await looper.until(5)
      const store = await openSqliteStore({ folder })
      await assert.rejects(TestLeader.claim(store, 'two'), (error: unknown) => {
        assert.ok(error instanceof CoxswainError && error.code === 'STATE_FOLDER_IN_USE')
        assert.match(error.message, new RegExp(`looper \\(pid ${looper.child.pid}, ws://127\\.0\\.0\\.1:1\\)`))
        return true
      })
      // A leader that is stopped holds on to its lock: nobody writes beside it.
      looper.child.kill('SIGSTOP')
      await rejectsWith(TestLeader.claim(store, 'two'), 'STATE_FOLDER_IN_USE')
      assert.ok((await store.journal.read(1, 10)).length > 4)
      assert.equal((await store.leadership.view()).leader, 'looper')
      await looper.kill()
      const leader = await TestLeader.claim(store, 'two')
      assert.equal(leader.epoch, 2)
      await leader.append()
      assert.deepEqual((await verifyStore(store)).problems, [])
      await store.close()
    } finally {
      await looper.kill()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
