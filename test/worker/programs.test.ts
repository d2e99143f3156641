// Owns the tests of programs that cannot be loaded or do not hold what they should, and of schemas around tasks.
// Must not test how programs are built.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Programs } from '../../src/worker/programs.ts'
import { World } from '../fakes/world.ts'
import { failureAt, plan, programOf, type Stand, stand, values } from './fakes.ts'

describe('programs', () => {
  let cluster: Stand

  before(async () => {
    cluster = await stand({ executors: 1 })
  })
  after(() => cluster[Symbol.asyncDispose]())

  async function failureOf(source: string, task = 'echo', input: unknown = 1): Promise<ReturnType<typeof failureAt>> {
    const { leader } = cluster
    const lane = leader.assign(plan(leader.program(source), task), [input, input])
    const log = await leader.ended(lane, 2)
    assert.deepEqual(failureAt(log, 1).code, failureAt(log, 0).code)
    return failureAt(log, 0)
  }

  test('one that throws while loading', async () => {
    const failure = await failureOf(programOf({ echo: 'x => x' }, 'throw new RangeError("not today")'))
    assert.equal(failure.code, 'PROGRAM_LOAD_FAILED')
    assert.match(failure.message, /not today/)
    assert.match(failure.stack, /RangeError: not today/)
    assert.equal(failure.retryable, false)
  })

  test('one that is no JavaScript', async () => {
    assert.equal((await failureOf('this is not a program')).code, 'PROGRAM_LOAD_FAILED')
  })

  test('one that ends the process while loading', async () => {
    const failure = await failureOf(programOf({ echo: 'x => x' }, 'process.exit(9)'))
    assert.equal(failure.code, 'PROGRAM_LOAD_FAILED')
    assert.match(failure.message, /exit code 9/)
  })

  test('one that exports no tasks', async () => {
    assert.equal((await failureOf('export default 1')).code, 'PROGRAM_LOAD_FAILED')
  })

  test('one whose package the worker lacks', async () => {
    const failure = await failureOf(programOf({ echo: 'x => x' }, 'import "no-such-package"'))
    assert.equal(failure.code, 'MODULE_MISSING')
    assert.match(failure.message, /no-such-package/)
    assert.equal(failure.retryable, false)
  })

  test('one that connects while loading says so', async () => {
    const before = 'throw Object.assign(new Error("connect() while loading"), { code: "CONNECT_WHILE_LOADING" })'
    assert.equal((await failureOf(programOf({ echo: 'x => x' }, before))).code, 'CONNECT_WHILE_LOADING')
  })

  test('one that the leader does not know', async () => {
    const { leader } = cluster
    const lane = leader.assign(plan('f'.repeat(64), 'echo'), [1])
    const failure = failureAt(await leader.ended(lane, 1), 0)
    assert.equal(failure.code, 'PROGRAM_MISSING')
    assert.equal(failure.retryable, true)
  })

  test('one whose bytes do not have its hash is not loaded', async () => {
    const { leader, folder } = cluster
    const program = 'e'.repeat(64)
    leader.programs.set(program, Buffer.from(programOf({ echo: 'x => x' })))
    const lane = leader.assign(plan(program, 'echo'), [1])
    assert.equal(failureAt(await leader.ended(lane, 1), 0).code, 'PROGRAM_LOAD_FAILED')
    assert.ok(!readdirSync(join(folder, 'programs')).some(name => name.startsWith(program)))
  })

  test('a task that it does not have', async () => {
    const failure = await failureOf(programOf({ echo: 'x => x' }), 'other')
    assert.equal(failure.code, 'TASK_NOT_FOUND')
    assert.equal(failure.retryable, false)
  })

  test('packages of the worker are found', async () => {
    const modules = join(cluster.folder, 'modules')
    mkdirSync(join(modules, 'node_modules', 'tool'), { recursive: true })
    writeFileSync(join(modules, 'node_modules', 'tool', 'package.json'), '{"name":"tool","type":"module","exports":"./tool.js"}')
    writeFileSync(join(modules, 'node_modules', 'tool', 'tool.js'), 'export const twice = x => x * 2')
    await using other = await stand({ modules })
    const program = other.leader.program(programOf({ use: 'x => twice(x)' }, 'import { twice } from "tool"'))
    const lane = other.leader.assign(plan(program, 'use'), [21])
    assert.deepEqual(values(await other.leader.ended(lane, 1)), [42])
  })
})

describe('values and schemas', () => {
  let cluster: Stand
  let program: string
  const schema = (check: string): string => `{ '~standard': { version: 1, vendor: 'test', validate: ${check} } }`
  const checkInput = schema(`value => typeof value.age === 'number' ? { value: { ...value, checked: true } }
    : { issues: [{ message: 'must be a number', path: ['age'] }] }`)
  const checkOutput = schema(
    `async value => value.ok === true ? { value } : { issues: [{ message: 'must be true', path: [{ key: 'ok' }] }] }`,
  )
  const source = `export default { tasks: new Map([
    ['checked', { name: 'checked', input: ${checkInput}, output: ${checkOutput}, run: input => ({ ok: input.age > 17, checked: input.checked }) }],
    ['returns', { name: 'returns', run: kind => kind === 'function' ? { deep: [() => 1] } : new Map([[1, new Set([2n])]]) }],
  ]) }`

  before(async () => {
    cluster = await stand({ executors: 1 })
    program = cluster.leader.program(source)
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('input and output are checked, also by schemas that take their time', async () => {
    const { leader } = cluster
    const lane = leader.assign(plan(program, 'checked'), [{ age: 20 }, { age: 'x' }, { age: 3 }])
    const log = await leader.ended(lane, 3)
    assert.deepEqual(log.ended[0], { value: { ok: true, checked: true } })
    assert.equal(failureAt(log, 1).code, 'SCHEMA_VIOLATION')
    assert.equal(failureAt(log, 1).message, 'input.age: must be a number')
    assert.equal(failureAt(log, 1).retryable, false)
    assert.equal(failureAt(log, 2).code, 'TASK_RESULT_INVALID')
    assert.equal(failureAt(log, 2).message, 'result.ok: must be true')
  })

  test('a result that cannot travel is named by its path', async () => {
    const { leader } = cluster
    const lane = leader.assign(plan(program, 'returns'), ['map', 'function'])
    const log = await leader.ended(lane, 2)
    assert.deepEqual(log.ended[0], { value: new Map([[1, new Set([2n])]]) })
    assert.equal(failureAt(log, 1).code, 'TASK_RESULT_INVALID')
    assert.match(failureAt(log, 1).message, /result\.deep\[0\]/)
    assert.equal(failureAt(log, 1).retryable, false)
  })
})

describe('a disk that refuses a program', () => {
  const bytes = Buffer.from('a program')
  const program = createHash('sha256').update(bytes).digest('hex')

  /** Programs on a disk that refuses so many writes. */
  async function obtained(refusals: number) {
    const world = new World()
    const kept = new Map<string, Buffer>()
    let writes = 0
    const files = {
      ...world.platform.files,
      size: async (path: string) => kept.get(path)?.length,
      list: async () => [],
      writeSynced: async (path: string, pieces: readonly Uint8Array[]) => {
        if (writes++ < refusals) throw new Error('ENOSPC: no space left on device, write')
        kept.set(path, Buffer.concat(pieces))
      },
    }
    const programs = new Programs('/programs', { ...world.platform, files }, async () => bytes)
    const failure = programs.obtain(program)
    await world.advance(5000)
    return { failure: await failure, kept, logged: world.logged }
  }

  test('is tried again a little later', async () => {
    const { failure, kept, logged } = await obtained(2)
    assert.equal(failure, undefined)
    assert.deepEqual([...kept.values()], [bytes])
    assert.deepEqual(logged, ['program-not-kept', 'program-not-kept'])
  })

  test('for longer fails the attempts, for others to run', async () => {
    const { failure } = await obtained(3)
    assert.equal(failure?.code, 'WORKER_DISK_FAILED')
    assert.match(failure.message, /ENOSPC/)
    assert.equal(failure.retryable, true)
  })
})
