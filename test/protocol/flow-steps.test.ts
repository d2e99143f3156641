// Shows that the steps of a large plan, which are read one by one from their bytes, are those of a small one: written, read, checked, refused.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FlowStep, flowPlan, Reader, Writer } from '../../src/protocol/index.ts'

function steps(count: number): FlowStep[] {
  return Array.from({ length: count }, (_, step) => ({
    kind: step % 7 === 3 ? ('sleep' as const) : ('tasks' as const),
    stage: step % 5,
    count: step % 3,
    name: step % 11 === 0 ? `step ${step}` : '',
    amount: step % 4,
    needs: step % 2 === 0 ? [] : [{ kind: 'value' as const, step: step - 1 }],
  }))
}

function bytesOf(count: number): Buffer {
  const writer = new Writer()
  flowPlan.write(writer, { steps: steps(count), output: count - 1 })
  return writer.finish()
}

describe('steps of a plan', () => {
  for (const count of [1, 256, 257, 3000]) {
    it(`${count} of them come back as they were, as often as they are looked at, and are written as they came`, () => {
      const bytes = bytesOf(count)
      const plan = flowPlan.read(new Reader(bytes))
      assert.equal(plan.steps.length, count)
      assert.equal(plan.output, count - 1)
      assert.deepEqual([...plan.steps], steps(count))
      assert.deepEqual([...plan.steps], steps(count))
      const again = new Writer()
      flowPlan.write(again, plan)
      assert.deepEqual(again.finish(), bytes)
    })
  }

  it('what follows them in a message is found', () => {
    const reader = new Reader(Buffer.concat([bytesOf(500), Buffer.of(7)]))
    flowPlan.read(reader)
    assert.equal(reader.byte(), 7)
    reader.finish()
  })

  it('bytes that are none, in the middle or cut off, are refused when they arrive and not later', () => {
    const bytes = bytesOf(500)
    const damaged = Buffer.from(bytes)
    damaged[2] = 99
    assert.throws(() => flowPlan.read(new Reader(damaged)), { code: 'FRAME_MALFORMED' })
    assert.throws(() => flowPlan.read(new Reader(bytes.subarray(0, bytes.length - 40))), { code: 'FRAME_MALFORMED' })
    const claimed = new Writer()
    claimed.varint(2 ** 31)
    assert.throws(() => flowPlan.read(new Reader(claimed.finish())), { code: 'FRAME_MALFORMED' })
  })
})
