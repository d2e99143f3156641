// Owns a leader in a process of its own that gets a signal in the middle of a transaction, when part of it is in the write-ahead log already.
// Must not get beyond that signal.
import { writeSync } from 'node:fs'
import { Ledger } from '../../src/journal/sqlite/ledger.ts'

const [folder, signal] = process.argv.slice(2)
const ledger = new Ledger(folder!, () => undefined)
const { epoch, lastIndex } = ledger.leader()
const append = (count: number) => ({
  epoch: epoch + 1,
  firstIndex: lastIndex + count,
  count: 1,
  records: Buffer.from('half'),
  payloads: [],
  drops: [],
})
const claim = { seenEpoch: epoch, leader: 'halfway', pid: process.pid, processStart: '17', address: '' }
writeSync(1, `${ledger.claim(claim, append(1))}\n`)
writeSync(1, `${ledger.commit([append(2)])}\n`)
ledger.transaction(() => {
  // More than SQLite's cache holds, so that it spills into the log.
  const insert = ledger.database.prepare('INSERT INTO payload VALUES (?, 100000, 0, 0, 0, zeroblob(100000))')
  for (let payload = 1_000_000; payload < 1_000_100; payload++) insert.run(payload)
  ledger.database.exec('UPDATE leader SET last_index = last_index + 1000')
  process.kill(process.pid, signal)
  return true
})
writeSync(1, 'beyond the signal\n')
