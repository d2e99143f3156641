// Holds limits, as users write them, to the plain data that they become, and to what is refused.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assemble } from '../../src/client/flow/assemble.ts'
import { type Flow, task, workflow } from '../../src/client/index.ts'
import { parseRunLimits, parseTaskLimits } from '../../src/client/policies.ts'

const one = task({ name: 'one', run: (n: number) => n })
const list = task({ name: 'list', run: (n: number) => [n] })
const inner = workflow({ name: 'inner', build: (flow, n: number) => flow.run(one, n) })
const none = { concurrency: 0, rateLimit: 0, ratePerMs: 0, stepTimeoutMs: 0 }

function planned(build: (flow: Flow, input: undefined) => unknown): ReturnType<typeof assemble> {
  return assemble(workflow({ name: 'tested', build }).plan(undefined, true))
}

function refused(build: (flow: Flow, input: undefined) => unknown, message: RegExp): void {
  assert.throws(() => planned(build), { code: 'INVALID_WORKFLOW', message })
}

describe('limits of a step', () => {
  test('belong to the stage that it has with others of the same limits', () => {
    const { stages, policies } = planned(flow => [
      flow.run(one, 1, { concurrencyKey: 'db' }),
      flow.run(one, 2, { concurrencyKey: 'db' }),
      flow.run(one, 3, { concurrencyKey: 'api', concurrency: 4, rate: { limit: 10, per: '1s' } }),
      flow.run(one, 4, { stepTimeout: '1m' }),
    ])
    assert.equal(stages.length, 4, 'one of them is that which puts the results together')
    assert.deepEqual(policies, [
      { ...none, stage: 0, key: 'db', concurrency: 1 },
      { ...none, stage: 1, key: 'api', concurrency: 4, rateLimit: 10, ratePerMs: 1000 },
      { ...none, stage: 2, key: '', stepTimeoutMs: 60_000 },
    ])
  })

  test('without a key are those of one map, also where that is a step for each item', () => {
    const { policies, plan } = planned(flow => {
      const first = flow.map(one, flow.run(list, 1), { concurrency: 2 })
      const second = flow.map(inner, [1, 2, 3], { concurrency: 2 })
      return [first, second, flow.map(inner, [4, 5], { concurrency: 2 })]
    })
    assert.deepEqual(
      policies.map(({ stage, key, concurrency }) => [stage, key, concurrency]),
      [
        [1, '', 2],
        [2, '', 2],
        [3, '', 2],
      ],
    )
    assert.deepEqual(
      plan.steps.slice(2, 7).map(step => step.stage),
      [2, 2, 2, 3, 3],
    )
  })

  test('that cannot be are refused', () => {
    refused(flow => flow.run(one, 1, { concurrency: 2 }), /one: concurrency and rate of a single step need a concurrencyKey/)
    refused(flow => flow.run(one, 1, { concurrencyKey: '' }), /concurrencyKey must be a text/)
    refused(flow => flow.map(one, [1, 2], { concurrency: 0 }), /concurrency is 0/)
    refused(flow => flow.map(one, [1, 2], { rate: { limit: 1.5, per: '1s' } }), /rate.limit is 1.5/)
    refused(flow => flow.map(one, [1, 2], { rate: { limit: 1, per: 'soon' } }), /rate.per is "soon"/)
    refused(flow => flow.map(one, [1, 2], { rate: { limit: 1, per: 0 } }), /rate.per must be at least 1 ms/)
    refused(flow => flow.run(one, 1, { stepTimeout: 'later' }), /stepTimeout of one/)
  })
})

describe('limits of a run', () => {
  test('are a key of one at a time that queues, unless more is said', () => {
    assert.equal(parseRunLimits({}), undefined)
    assert.deepEqual(parseRunLimits({ concurrencyKey: 'nightly' }), { key: 'nightly', concurrency: 1, whenBusy: 'queue', timeoutMs: 0 })
    assert.deepEqual(parseRunLimits({ timeout: '2s' }), { key: '', concurrency: 0, whenBusy: 'queue', timeoutMs: 2000 })
    assert.deepEqual(parseRunLimits({ concurrencyKey: 'k', concurrency: 3, whenBusy: 'reject', timeout: 5 }), {
      ...{ key: 'k', concurrency: 3, whenBusy: 'reject', timeoutMs: 5 },
    })
  })

  test('that cannot be are refused', () => {
    for (const options of [{ concurrency: 2 }, { whenBusy: 'cancel' as const }, { concurrencyKey: 'k', concurrency: -1 }, { timeout: 0 }])
      assert.throws(() => parseRunLimits(options), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => parseRunLimits({ concurrencyKey: 'k', whenBusy: 'never' as never }), {
      code: 'INVALID_ARGUMENT',
      message: /whenBusy/,
    })
    assert.equal(parseTaskLimits({}, '', 'INVALID_ARGUMENT'), undefined)
  })
})
