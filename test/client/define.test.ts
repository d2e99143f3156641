// Holds `task()` to what it takes and refuses, and schemas to where they are checked.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { durationMs, parseResources, sizeBytes } from '../../src/client/amounts.ts'
import { isTask } from '../../src/client/define.ts'
import {
  collectTasks,
  connect as connectInProgram,
  schedule as scheduleInProgram,
  trigger as triggerInProgram,
} from '../../src/client/in-program.ts'
import { task } from '../../src/client/index.ts'
import { checkInput } from '../../src/client/schema.ts'

const run = (): number => 1

describe('a definition', () => {
  test('holds name, function, policy and the module that made it', () => {
    const made = task({
      name: 'made',
      cpus: 0.5,
      memory: '1gb',
      gpus: 2,
      resources: { licence: 1.5, none: 0 },
      retries: 3,
      timeout: '30s',
      run,
    })
    assert.equal(made.module, import.meta.url)
    assert.deepEqual(made.policy, {
      resources: { cpuMillis: 500, memoryBytes: 2 ** 30, gpuMillis: 2000, named: [{ name: 'licence', millis: 1500 }] },
      retry: { retriesMax: 3, backoffBaseMs: 200, backoffMsMax: 30_000 },
      timeoutMs: 30_000,
    })
    assert.ok(isTask(made))
    assert.ok(Object.isFrozen(made))
    assert.equal(made.run(undefined, {} as never), 1)
  })

  test('says its module where a helper made it', () => {
    assert.equal(task({ name: 'helped', module: 'file:///some/where.ts?version=2', run }).module, 'file:///some/where.ts')
    assert.equal(task({ name: 'helped', module: '/some/数据 x.ts', run }).module, 'file:///some/%E6%95%B0%E6%8D%AE%20x.ts')
  })

  test('may be evaluated again, but two of one name are refused', () => {
    const define = (): unknown => task({ name: 'again', run })
    define()
    define()
    assert.throws(() => task({ name: 'again', run }), { code: 'DUPLICATE_TASK', message: /again.*line \d+:\d+ and at line \d+:\d+/ })
  })

  const flaws: [string, object, string, RegExp][] = [
    ['a name with spaces', { name: 'two words', run }, 'INVALID_TASK', /two words/],
    ['no name', { run }, 'INVALID_TASK', /task name/],
    ['no function', { name: 'x' }, 'INVALID_TASK', /x: run/],
    ['a schema that is none', { name: 'x', input: { parse: 1 }, run }, 'INVALID_TASK', /input is not a Standard Schema/],
    ['negative cpus', { name: 'x', cpus: -1, run }, 'INVALID_RESOURCES', /Task x: cpus is -1/],
    ['no cpus', { name: 'x', cpus: 0, run }, 'INVALID_RESOURCES', /cpus/],
    ['NaN gpus', { name: 'x', gpus: Number.NaN, run }, 'INVALID_RESOURCES', /Task x: gpus is NaN/],
    ['endless memory', { name: 'x', memory: Number.POSITIVE_INFINITY, run }, 'INVALID_RESOURCES', /memory is Infinity/],
    ['memory of no unit', { name: 'x', memory: '12 apples', run }, 'INVALID_RESOURCES', /"12 apples"/],
    ['a negative named resource', { name: 'x', resources: { licence: -1 }, run }, 'INVALID_RESOURCES', /resources\.licence is -1/],
    ['half a retry', { name: 'x', retries: 0.5, run }, 'INVALID_TASK', /retries is 0\.5/],
    ['a timeout of no unit', { name: 'x', timeout: 'soon', run }, 'INVALID_TASK', /timeout is "soon"/],
    ['a negative pause', { name: 'x', backoff: { base: -1 }, run }, 'INVALID_TASK', /backoff\.base is -1/],
  ]
  for (const [what, options, code, message] of flaws) {
    test(`with ${what} is refused`, () => assert.throws(() => task(options as Parameters<typeof task>[0]), { code, message }))
  }
})

test('sizes and durations', () => {
  assert.deepEqual(['512mb', '2GB', '1.5 kb', '7b', '3MiB', 9].map(sizeBytes), [512 << 20, 2 ** 31, 1536, 7, 3 << 20, 9])
  assert.deepEqual(['', 'mb', '-1mb', Number.NaN, -1].map(sizeBytes), [undefined, undefined, undefined, undefined, undefined])
  assert.deepEqual(
    ['250ms', '30s', '5m', '2h', '1d', 7].map(one => durationMs(one, 'x', 'INVALID_TASK')),
    [250, 30_000, 300_000, 7_200_000, 86_400_000, 7],
  )
  assert.equal(parseResources('x', {}).memoryBytes, 256 << 20)
})

test('a program collects the tasks that its modules export, and refuses two of one name', () => {
  const one = task({ name: 'one', run })
  const other = task({ name: 'one', module: 'file:///other.ts', run })
  const { tasks } = collectTasks([{ one, alias: one, other: 5 }, {}])
  assert.deepEqual(Object.keys(tasks), ['one', 'coxswain.identity'])
  assert.throws(() => collectTasks([{ one }, { other }]), { code: 'DUPLICATE_TASK' })
  assert.throws(() => connectInProgram(), { code: 'CONNECT_WHILE_LOADING' })
})

describe('schemas', () => {
  test('name the path of what is wrong', () => {
    const schema = z.object({ users: z.array(z.object({ age: z.number() })) })
    assert.equal(checkInput('t', schema, { users: [{ age: 3 }] }), undefined)
    assert.throws(() => checkInput('t', schema, { users: [{ age: 3 }, { age: 'x' }] }), {
      code: 'SCHEMA_VIOLATION',
      message: /input\.users\[1\]\.age/,
    })
  })

  test('may be asynchronous', async () => {
    const schema = z.string().refine(async text => text === 'good')
    await checkInput('t', schema, 'good')
    await assert.rejects(async () => checkInput('t', schema, 'bad'), { code: 'SCHEMA_VIOLATION' })
  })
})

test('a schedule or trigger in a program is what it was written as', () => {
  assert.deepEqual(triggerInProgram({ name: 'x', event: 'y' }), { name: 'x', event: 'y', kind: 'trigger' })
  assert.deepEqual(scheduleInProgram({ name: 'x', cron: '0 2 * * *' }), { name: 'x', cron: '0 2 * * *', kind: 'schedule' })
})
