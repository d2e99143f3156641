// Shows that what schedules and triggers keep of their runs has a version of its own, and no more in it than a run needs.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { decodeStored, encodeStored } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import { inputs, plan } from '../fakes/plans.ts'

const flow = new Steps()
flow.add()
const stored = { plan: plan('job', { stages: flow.stages }), inputs: [inputs(2)], flow: flow.plan, policies: [], run: undefined }

it('a stored submission reads back as it was, without what belongs to a connection', () => {
  const watched = { ...stored, watch: true }
  assert.deepEqual(decodeStored(encodeStored(watched)), stored)
})

it('one of a version that is not known is refused', () => {
  const bytes = encodeStored(stored)
  assert.equal(bytes[0], 1, 'the version stands first')
  bytes[0] = 99
  assert.throws(() => decodeStored(bytes), { code: 'FRAME_MALFORMED' })
})
