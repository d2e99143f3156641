// Owns a leader in a process of its own that does everything a leader does to its journal, in a fixed order, and prints what was acknowledged.
// Must not print anything before it is acknowledged.
import { writeSync } from 'node:fs'
import { openSqliteStore } from '../src/journal/index.ts'

/** Rounds of appends, each with a snapshot and a compaction at its end; the third snapshot lets go of the first. */
const rounds = 3
const appendsPerRound = 5
/** Payloads in turn: none, one beside the rows, one in a segment. */
const payloadBytes = [0, 2000, 300_000]

const store = await openSqliteStore({ folder: process.argv[2]!, rowBytesKept: 0 })
const { epoch: seenEpoch } = await store.leadership.view()
const epoch = seenEpoch + 1
let next = (await store.journal.size()).lastIndex + 1
const say = (line: string) => writeSync(1, `${line}\n`)

function make(payloads: { payload: number; bytes: Uint8Array }[] = []) {
  const firstIndex = next++
  return { epoch, firstIndex, count: 1, records: Buffer.alloc(500, firstIndex % 251), payloads, drops: [] }
}

const opening = make()
await store.leadership.claim({ seenEpoch, leader: 'writer', pid: process.pid, processStart: '', address: '', opening })
say(`row ${opening.firstIndex}`)
for (let round = 0; round < rounds; round++) {
  for (let i = 0; i < appendsPerRound; i++) {
    const bytes = payloadBytes[i % payloadBytes.length]!
    const payload = epoch * 1000 + next
    const append = make(bytes === 0 ? [] : [{ payload, bytes: Buffer.alloc(bytes, payload % 251) }])
    if ((await store.journal.append(append)) !== 'durable') throw new Error('fenced')
    say(`row ${append.firstIndex}`)
    if (bytes > 0) say(`payload ${payload} ${bytes}`)
  }
  const [row] = await store.journal.read(next - 1, 1)
  await store.snapshots.save({ index: next - 1, epoch, hash: row!.hash, state: Buffer.alloc(5000, (next - 1) % 251) })
  say(`snapshot ${next - 1}`)
  await store.journal.compact(epoch, next)
}
await store.leadership.resign()
await store.close()
say('closed')
