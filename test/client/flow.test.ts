// Holds `workflow()` and `flow` to the plans that they make, and to what they refuse.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assemble } from '../../src/client/flow/assemble.ts'
import { dryRun, type Flow, task, workflow } from '../../src/client/index.ts'
import { signalItem } from '../../src/client/telling.ts'
import { decodeTemplate, decodeValue, type FlowStep, limits, readTemplate } from '../../src/protocol/index.ts'

const add = task({ name: 'add', run: ({ a, b }: { a: number; b: number }) => a + b })
const one = task({ name: 'one', run: (n: number) => n })
const list = task({ name: 'list', run: (n: number) => [n] })
const sum = task({ name: 'sum', run: (numbers: number[]) => numbers.length })

function planned(build: (flow: Flow, input: undefined) => unknown): ReturnType<typeof assemble> {
  return assemble(workflow({ name: 'tested', build }).plan(undefined, true))
}

/** Steps as `kind task×count: needs`. */
function lines({ plan, stages }: ReturnType<typeof assemble>): string[] {
  return plan.steps.map((step: FlowStep) => {
    const what = step.kind === 'tasks' ? `${stages[step.stage]!.task}×${step.count}` : step.kind
    return [what, ...step.needs.map(need => `${need.kind} ${need.step}`)].join(' ')
  })
}

function refused(build: (flow: Flow, input: undefined) => unknown, message: RegExp): void {
  assert.throws(() => planned(build), { code: 'INVALID_WORKFLOW', message })
}

describe('a plan', () => {
  test('has a step for each call, in which a Ref is a need and a hole', () => {
    const made = planned(flow => flow.run(add, { a: flow.run(one, 1), b: flow.run(one, 2) }))
    assert.deepEqual(lines(made), ['one×1', 'one×1', 'add×1 value 0 value 1'])
    assert.equal(made.plan.output, 2)
    assert.equal(made.stages.length, 2, 'steps of one task share a stage')
    const template = readTemplate(made.items[1]![0]!)!
    assert.deepEqual(
      decodeTemplate(template.value, hole => `hole ${hole}`),
      { a: 'hole 0', b: 'hole 1' },
    )
    assert.equal(decodeValue(made.items[0]![0]!, 1), 1)
  })

  test('has one need for a Ref that stands in several places', () => {
    assert.deepEqual(
      lines(
        planned(flow => {
          const ref = flow.run(one, 1)
          return flow.run(add, { a: ref, b: ref })
        }),
      ),
      ['one×1', 'add×1 value 0'],
    )
  })

  test('of a map has tasks for the items, those of a list that is not there yet, or of another map', () => {
    const made = planned(flow => {
      const first = flow.map(one, [1, 2, 3])
      const second = flow.map(one, flow.run(list, 4))
      return flow.run(sum, flow.map(one, second)) && flow.run(sum, first)
    })
    assert.deepEqual(lines(made), ['one×3', 'list×1', 'one×0 spread 1', 'one×0 each 2', 'sum×1 all 3', 'sum×1 all 0'])
    assert.equal(readTemplate(made.items[1]![0]!)!.spread, true)
  })

  test('of a map over Refs has a step for each', () => {
    const made = planned(flow => flow.run(sum, flow.map(one, [flow.run(one, 1), 2])))
    assert.deepEqual(lines(made), ['one×1', 'one×1 value 0', 'one×1', 'sum×1 value 1 value 2'])
  })

  test('of a reduce is a tree over tasks, also where what is reduced is one value', () => {
    assert.deepEqual(lines(planned(flow => flow.reduce(sum, flow.map(one, [1, 2]) as never, { fanIn: 7 }))), ['one×2', 'sum×0 fold 0'])
    assert.deepEqual(lines(planned(flow => flow.reduce(sum, flow.run(list, 1) as never))), [
      'list×1',
      'coxswain.identity×0 spread 0',
      'sum×0 fold 1',
    ])
  })

  test('of a branch guards all steps of it, and chooses', () => {
    const made = planned(flow =>
      flow.when(
        flow.run(one, 1),
        () => flow.run(one, flow.run(one, 2)),
        () => 'no',
      ),
    )
    assert.deepEqual(lines(made), [
      'one×1',
      'one×1 taken 0',
      'one×1 value 1 taken 0',
      'coxswain.identity×1 untaken 0',
      'choice option 2 option 3',
      'coxswain.identity×1 value 4',
    ])
  })

  test('of a catch runs the handler on failure only, and it gets the error', () => {
    const made = planned(flow => flow.run(one, flow.catch(flow.run(one, 1), error => flow.run(sum, [error] as never)) as never))
    assert.deepEqual(lines(made), ['one×1', 'sum×1 failure 0', 'choice option 0 option 1', 'one×1 value 2'])
  })

  test('has order, pauses, signals and compensations', () => {
    const made = planned(flow => {
      const a = flow.run(one, 1)
      flow.onFailure(a, one)
      flow.onFailure(a, add, { a, b: 2 })
      const go = flow.waitFor<number>('go', { timeout: '5s' })
      return flow.after([flow.sleep('1m'), a], () => flow.run(add, { a: go, b: 1 }))
    })
    assert.deepEqual(lines(made), [
      'one×1',
      'one×1 value 0 undo 0',
      'add×1 value 0 undo 0',
      'signal',
      'sleep',
      'add×1 value 3 after 4 after 0',
    ])
    assert.deepEqual([made.plan.steps[3]!.amount, made.plan.steps[4]!.amount], [5000, 60_000])
  })

  test('gives what is returned as its output, put together by a step where it is no single result', () => {
    assert.deepEqual(lines(planned(flow => ({ x: flow.run(one, 1), y: flow.all([flow.run(one, 2), 7]) }))), [
      'one×1',
      'one×1',
      'coxswain.identity×1 value 0 value 1',
    ])
    assert.deepEqual(lines(planned(() => 5)), ['coxswain.identity×1'])
    assert.equal(planned(flow => flow.map(one, [1, 2])).plan.output, 0)
  })

  test('is the same for the same input', () => {
    const build = (flow: Flow): unknown => flow.map(one, flow.run(list, 3))
    assert.deepEqual(planned(build), planned(build))
  })
})

describe('what cannot be', () => {
  test('is refused with the line where it is', () => {
    refused(
      flow => (flow.run(one, 1) as unknown as { length: number }).length,
      /the field "length" of a step's result was read.*flow\.test\.ts:\d+/,
    )
    refused(flow => ({ ...(flow.run(one, 1) as object) }), /spread with/)
  })

  test('an async build', () => refused(async flow => flow.run(one, 1), /build is async/))

  test('a build that never ends', () =>
    refused(flow => {
      for (;;) flow.run(one, 1)
    }, /more than 200000 steps/))

  test('an awaited Ref', async () => {
    let ref: unknown
    planned(flow => (ref = flow.run(one, 1)))
    await assert.rejects(async () => await (ref as PromiseLike<unknown>), { code: 'INVALID_WORKFLOW', message: /awaited/ })
  })

  test('a Ref of another workflow', () => {
    let stray: unknown
    planned(flow => (stray = flow.run(one, 1)))
    refused(flow => flow.run(one, stray as number), /another run of it/)
  })

  test('what is no task, no array, no Ref, no name, no number', () => {
    refused(flow => flow.run({ name: 'x' } as never, 1 as never), /neither a task nor a workflow/)
    refused(flow => flow.map(one, 'abc' as never), /no array/)
    refused(flow => flow.onFailure(5 as never, one), /no result of a step/)
    refused(flow => flow.waitFor(''), /no name of a signal/)
    refused(flow => flow.sleep('soon' as never), /flow\.sleep/)
    refused(flow => flow.reduce(sum as never, [1], { fanIn: 1 }), /fanIn is 1/)
    refused(flow => flow.run(one, 1, { retries: -1 }), /retries is -1/)
  })

  test('two definitions of one name', () => {
    const other = task({ name: 'one', module: 'file:///other.ts', run: (n: number) => n })
    refused(flow => [flow.run(one, 1), flow.run(other, 2)], /two definitions that it uses are named one/)
  })

  test('an input that cannot travel', () => {
    assert.throws(() => planned(flow => flow.run(one, (() => 1) as never)), { code: 'VALUE_CANNOT_TRAVEL' })
  })
})

describe('a signal', () => {
  test('has a name that a step can wait for', () => {
    for (const name of ['', 'x'.repeat(limits.nameBytesMax + 1), 7 as never])
      assert.throws(() => signalItem(name, 1), { code: 'INVALID_ARGUMENT', message: /name/ })
    assert.ok(signalItem('go', 1).length > 0)
  })
})

describe('a dry run', () => {
  const build = (flow: Flow, n: number): unknown => flow.run(sum, flow.map(one, [n, n + 1, n + 2]))

  test('gives the steps and sends nothing', async () => {
    const steps = await dryRun(workflow({ name: 'dry', build }), 1)
    assert.deepEqual(
      steps.map(({ name, kind, status, tasks, needs }) => [name, kind, status, tasks?.total, needs]),
      [
        ['one', 'tasks', 'waiting', 3, []],
        ['sum', 'tasks', 'waiting', 1, [{ kind: 'all', step: 0 }]],
      ],
    )
  })

  test('refuses what is no workflow, and what cannot be built', async () => {
    await assert.rejects(dryRun(one as never), { code: 'INVALID_WORKFLOW' })
    await assert.rejects(dryRun(workflow({ name: 'broken', build: flow => flow.run(sum, flow.map(one, 7 as never)) })), {
      code: 'INVALID_WORKFLOW',
    })
  })

  test('tells what a build function throws as its own', async () => {
    const broken = workflow({ name: 'throws', build: (flow, input: { n: number }) => flow.run(one, input.n) })
    await assert.rejects(dryRun(broken, undefined as never), { code: 'INVALID_WORKFLOW', message: /throws: build threw TypeError: .*'n'/ })
  })
})
