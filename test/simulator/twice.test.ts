// Shows that M4 can fail: production code that walks a Map in an order of chance is found, and the same code in a fixed order is not.
import assert from 'node:assert/strict'
import { registerHooks } from 'node:module'
import { test } from 'node:test'
import type { RunResult } from '../../simulator/run.ts'

/** Taken as a module does while it is loaded: neither lint nor trap, which comes later, sees its use. */
const chance = Math.random
let order = (): number => 0
Reflect.set(globalThis, 'plantedOrder', () => order())

const planted = 'of this.#workers.keys()) link.send({ kind'
registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!url.endsWith('/src/leader/sessions.ts')) return loaded
    const source = String(loaded.source)
    assert.ok(source.includes(planted), 'the place for the planted order is gone')
    return {
      ...loaded,
      source: source.replace(planted, planted.replace('keys()', 'keys().toArray().sort(() => globalThis.plantedOrder())')),
    }
  },
})
const { checkSame, runTwice } = await import('../../simulator/twice.ts')
const { drawScenario } = await import('../../simulator/scenario.ts')

const calm = { ...drawScenario(1), workers: 4, faults: [], classes: [], outsiders: [], safetyMs: 1500 }

test('a Map that is walked in an order of chance breaks M4, and nothing else', async () => {
  order = () => chance() - 0.5
  const { violations } = await runTwice(calm)
  assert.deepEqual(
    violations.map(one => one.rule),
    ['M4'],
  )
  assert.match(violations[0]!.text, /two runs differ: \w+ and \w+; (first at|their nodes logged the same)/)
})

test('in an order that is the same each time both runs are the same', async () => {
  order = () => -1
  const { violations, events } = await runTwice(calm)
  assert.deepEqual(violations, [])
  assert.ok(events > 1000)
})

test('M4 says where two runs part', () => {
  const line = (atMs: number) => ({ atMs, node: 'c1', level: 'info', event: 'leading', fields: {} })
  const result = (hash: number, events: number, ...times: number[]): RunResult => ({
    ...{ seed: 1, hash, events, virtualMs: 9, probes: {}, violations: [] },
    story: times.map(line),
  })
  const told = (one: RunResult, other: RunResult): string | undefined => {
    checkSame(one, other)
    return one.violations[0]?.text
  }
  assert.equal(told(result(5, 9, 1, 2), result(5, 9, 1, 2)), undefined)
  assert.match(told(result(5, 9, 1, 2), result(6, 9, 1, 3))!, /first at "2.000 c1 leading {}" and "3.000 c1 leading {}"/)
  assert.match(told(result(5, 9, 1, 2), result(5, 8, 1))!, /and "nothing"/)
  assert.match(told(result(5, 9, 1), result(6, 9, 1))!, /their nodes logged the same/)
})
