// Owns a candidate in a process of its own: it opens a folder's journal and does what it is told, line by line.
// Must not do anything by itself.
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { openSqliteStore } from '../../src/journal/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'

const [folder, name] = process.argv.slice(2)
const store = await openSqliteStore({ folder: folder! })
writeSync(1, 'open\n')
let seenEpoch = 0
let next = 1

function append(epoch: number) {
  return { epoch, firstIndex: next, count: 1, records: Buffer.from(`${name} ${epoch}`), payloads: [], drops: [] }
}

const commands: Record<string, () => Promise<string>> = {
  async look() {
    const { epoch, leader, pid } = await store.leadership.view()
    const { lastIndex } = await store.journal.size()
    seenEpoch = epoch
    next = lastIndex + 1
    return `${epoch} ${leader} ${pid} ${lastIndex}`
  },
  async claim() {
    const opening = append(seenEpoch + 1)
    const claim = { seenEpoch, leader: name!, pid: process.pid, processStart: '17', address: '', opening }
    const outcome = await store.leadership.claim(claim)
    if (outcome === 'claimed') {
      seenEpoch++
      next++
    }
    return outcome
  },
  async append() {
    const outcome = await store.journal.append(append(seenEpoch))
    if (outcome === 'durable') next++
    return outcome
  },
  async resign() {
    await store.leadership.resign()
    return 'resigned'
  },
  async read() {
    return String((await store.journal.read(Math.max(1, next - 5), 10)).length)
  },
  async snapshot() {
    return String((await store.snapshots.latest())?.index ?? 0)
  },
  async close() {
    await store.close()
    return 'closed'
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await commands[line]!().catch((error: unknown) => (error instanceof CoxswainError ? error.code : String(error)))
  writeSync(1, `${answer}\n`)
}
