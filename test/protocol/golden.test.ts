// Holds the bytes of one sample of each message and record. Journals of old releases are read for ever: these bytes do not change.
// `node test/protocol/golden.test.ts --rewrite` writes golden.json anew: right only for what is new or under a new version.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { type Codec, decodeMessage, encodeMessage, protocolVersion, recordVersion } from '../../src/protocol/index.ts'
import { allCodecs, samplesOf } from './samples.ts'

const file = new URL('./golden.json', import.meta.url)

interface Golden {
  protocolVersion: number
  recordVersion: number
  /** Bytes in hex by the name of the message or record. */
  bytes: Record<string, string>
}

/** Messages and records, not the parts that they are made of. */
const whole = new Set([
  'hello',
  'welcome',
  'clientToLeader',
  'leaderToClient',
  'workerToLeader',
  'leaderToWorker',
  'candidateToLeader',
  'leaderToCandidate',
  'record',
  'jobPlan',
  'stagePlan',
  'storedSubmission',
  'storedJob',
])

function samples(): { path: string; codec: Codec<unknown>; sample: unknown }[] {
  return allCodecs()
    .filter(([name]) => whole.has(name))
    .flatMap(([name, codec]) => samplesOf(name, codec).map(([path, sample]) => ({ path, codec, sample })))
}

if (process.argv.includes('--rewrite')) {
  const bytes = Object.fromEntries(samples().map(({ path, codec, sample }) => [path, encodeMessage(codec, sample).toString('hex')]))
  writeFileSync(file, `${JSON.stringify({ protocolVersion, recordVersion, bytes } satisfies Golden, null, 2)}\n`)
}

describe('golden bytes', () => {
  const golden = JSON.parse(readFileSync(file, 'utf8')) as Golden

  it('are of this protocol and record version', () => {
    assert.deepEqual([golden.protocolVersion, golden.recordVersion], [protocolVersion, recordVersion])
  })

  it('are there for every message and record, and for nothing else', () => {
    const names = samples().map(({ path }) => path)
    assert.deepEqual(Object.keys(golden.bytes).sort(), names.sort())
  })

  for (const { path, codec, sample } of samples()) {
    it(path, () => {
      const expected = golden.bytes[path] ?? ''
      assert.equal(encodeMessage(codec, sample).toString('hex'), expected, 'the bytes of this message or record have changed')
      assert.deepEqual(decodeMessage(codec, Buffer.from(expected, 'hex')), sample)
    })
  }
})
