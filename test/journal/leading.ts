// Owns a leader in a process of its own under load: appends, payloads in segments, drops, snapshots and compaction, until it is told to stop.
// Must not keep rows for stories: standbys are to be overtaken.
import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { TestLeader } from '../../src/journal/conformance/index.ts'
import { openSqliteStore } from '../../src/journal/index.ts'

/** Appends between two snapshots. */
const appendsPerSnapshot = 150
const largeEvery = 40
const largeBytes = 300_000
const payloadsMax = 30

const store = await openSqliteStore({ folder: process.argv[2]!, rowBytesKept: 0 })
const leader = await TestLeader.claim(store, 'leading')
let state: Uint8Array = Buffer.alloc(32)
let index = 0
const payloads: number[] = []

function apply(records: Uint8Array, lastIndex: number): void {
  state = createHash('sha256').update(state).update(records).digest()
  index = lastIndex
}

let told = ''
createInterface({ input: process.stdin }).on('line', line => (told = line))

const [opening] = await store.journal.read(1, 1)
apply(opening!.records, 1)
writeSync(1, 'leading\n')
for (let i = 1; told !== 'end'; i++) {
  const some = Array.from({ length: 8 }, (_, k) => {
    const written = i % largeEvery === 0 && k === 0 ? [leader.payload(largeBytes, i % 251)] : []
    const drops = payloads.length > payloadsMax ? payloads.splice(0, 1) : []
    payloads.push(...written.map(({ payload }) => payload))
    return leader.make({ count: (k % 3) + 1, recordBytes: 100, payloads: written, drops })
  })
  const outcomes = await Promise.all(some.map(append => store.journal.append(append)))
  if (outcomes.some(outcome => outcome !== 'durable')) throw new Error('fenced')
  for (const { records, firstIndex, count } of some) apply(records, firstIndex + count - 1)
  if (i % appendsPerSnapshot !== 0) continue
  await leader.snapshot(state)
  await store.journal.compact(leader.epoch, leader.next)
  writeSync(1, `compacted ${(await store.journal.size()).firstIndex}\n`)
}
writeSync(1, `end ${index} ${Buffer.from(state).toString('hex')}\n`)
