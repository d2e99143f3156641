// Owns a leader in a process of its own: it claims a folder's journal and appends until it is killed, and prints what was acknowledged.
// Must not end by itself.
import { writeSync } from 'node:fs'
import { TestLeader } from '../../src/journal/conformance/index.ts'
import { openSqliteStore } from '../../src/journal/index.ts'

const store = await openSqliteStore({ folder: process.argv[2]! })
const leader = await TestLeader.claim(store, 'looper')
writeSync(1, `claimed ${leader.epoch} ${leader.next - 1}\n`)

/** After so many it waits to be killed. */
const appendsMax = Number(process.argv[3] ?? Number.POSITIVE_INFINITY)
let begun = 0

/** Sizes in turn: none, one in SQLite's rows, one in a segment. */
const payloadBytes = [0, 2000, 300_000]

async function appendOn(turn: number): Promise<void> {
  for (let i = turn; begun++ < appendsMax; i++) {
    const bytes = payloadBytes[i % payloadBytes.length]!
    const payloads = bytes === 0 ? [] : [leader.payload(bytes, i % 251)]
    const append = leader.make({ count: (i % 4) + 1, payloads })
    if ((await store.journal.append(append)) !== 'durable') throw new Error('fenced')
    writeSync(1, `${append.firstIndex} ${append.count} ${payloads[0]?.payload ?? 0} ${bytes} ${i % 251}\n`)
  }
}

await Promise.all([0, 1, 2].map(appendOn))
setInterval(() => undefined, 1 << 30)
