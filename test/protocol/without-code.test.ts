// Shows that messages and records are read and written alike where no code may be made from text.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { encodeRecords, type JournalRecord } from '../../src/protocol/index.ts'

const record: JournalRecord = {
  kind: 'TasksAssigned',
  lane: 7,
  worker: 'w1',
  incarnation: 2,
  runs: [
    { job: 'j', stage: 0, first: 3, count: 1, attempt: 1 },
    { job: 'j', stage: 1, first: 9, count: 4, attempt: 2 },
    { job: 'k', stage: 0, first: 0, count: 1, attempt: 1 },
  ],
  adopted: false,
}

const script = `
const { decodeRecords, encodeRecords } = await import(process.argv[1])
const record = JSON.parse(process.argv[2])
let refused = false
try { new Function('return 1') } catch { refused = true }
const bytes = encodeRecords([record])
process.stdout.write(JSON.stringify({ refused, bytes: bytes.toString('hex'), back: decodeRecords(bytes, 1)[0] }))
`

test('structs are walked where code may not be made from text, to the same bytes', async () => {
  const protocol = new URL('../../src/protocol/index.ts', import.meta.url).href
  const args = ['--disallow-code-generation-from-strings', '--input-type=module', '-e', script, protocol, JSON.stringify(record)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const told = JSON.parse(stdout) as { refused: boolean; bytes: string; back: JournalRecord }
  assert.equal(told.refused, true)
  assert.equal(told.bytes, encodeRecords([record]).toString('hex'))
  assert.deepEqual(told.back, record)
})
