// Owns a standby in a process of its own: it begins with the newest snapshot, reads the tail, and begins anew where rows it needs are gone.
// Must not claim unless it is told to.
import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setImmediate as turn } from 'node:timers/promises'
import { openSqliteStore } from '../../src/journal/index.ts'

/** Rows that one read may give: few, so that many are needed. */
const rowsPerRead = 50

const store = await openSqliteStore({ folder: process.argv[2]! })
let state: Uint8Array = Buffer.alloc(32)
let index = 0
let begins = 0
let reads = 0

/** Takes the newest snapshot for what was applied. */
async function begin(): Promise<void> {
  const snapshot = await store.snapshots.latest()
  begins++
  if (snapshot === undefined) return
  state = snapshot.state
  index = snapshot.index
}

async function follow(): Promise<void> {
  const rows = await store.journal.read(index + 1, rowsPerRead)
  reads++
  for (const { firstIndex, count, records } of rows) {
    if (firstIndex !== index + 1) return begin()
    state = createHash('sha256').update(state).update(records).digest()
    index = firstIndex + count - 1
  }
}

const told: string[] = []
createInterface({ input: process.stdin }).on('line', line => told.push(line))
await begin()
writeSync(1, `following ${index}\n`)
for (;;) {
  await follow()
  await turn()
  const [word, number] = told[0]?.split(' ') ?? []
  if (word === 'index') writeSync(1, `index ${index} ${begins} ${reads}\n`)
  else if (word === 'until' && index >= Number(number))
    writeSync(1, `reached ${index} ${Buffer.from(state).toString('hex')} ${begins} ${reads}\n`)
  else if (word === 'close') break
  else continue
  told.shift()
}
await store.close()
writeSync(1, 'closed\n')
process.stdin.destroy()
