// Owns the tests of the bytes that a leader reads back: released ones are gone, missing ones are damage.
// Must not start a leader.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Journal } from '../../src/journal/index.ts'
import { Payloads } from '../../src/leader/payloads.ts'

/** A journal that has no payload under any number. */
const empty = { payload: async () => undefined } as unknown as Journal

test('a payload that the store does not have is gone if nothing names it, and damage if the state does', async () => {
  const payloads = new Payloads(empty)
  await assert.rejects(
    payloads.read(7, () => false),
    { code: 'RESULT_GONE', id: '7' },
  )
  await assert.rejects(
    payloads.read(7, () => true),
    { code: 'JOURNAL_CORRUPT', id: '7' },
  )
  await assert.rejects(
    payloads.readPiece({ payload: 8, from: 0, count: 1 }, () => true),
    { code: 'JOURNAL_CORRUPT', id: '8' },
  )
})
