// Owns the tests of rows 33 to 38 of the fault matrix the whole way: what a task does to itself arrives at its caller as a typed error.
// Must not judge how the worker contains it: test/worker does.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type CoxswainError, type ErrorCode, TaskFailedError } from '../../src/index.ts'
import { FaultCluster, rejection } from './harness.ts'
import { echo, type Misdeed, misbehave, overrun, poisonous } from './tasks.ts'

/** What each misdeed is called when it arrives. */
const crashes: Record<Exclude<Misdeed, 'loop' | 'backtracking' | 'flood'>, [ErrorCode, RegExp]> = {
  heap: ['TASK_OUT_OF_MEMORY', /heap of \d+ MiB/],
  buffers: ['TASK_OUT_OF_MEMORY', /\d+ MiB are allowed/],
  forks: ['TASK_CRASHED', /\d+ processes/],
  exit: ['TASK_CRASHED', /exit code 3/],
  abort: ['TASK_CRASHED', /SIGABRT/],
  segfault: ['TASK_CRASHED', /SIGSEGV/],
  killParent: ['TASK_CRASHED', /SIGKILL/],
}

describe('a task that misbehaves', { timeout: 90_000 }, () => {
  let cluster: FaultCluster
  let worker: number
  before(async () => {
    // One executor: whatever comes next uses the same slot.
    cluster = await FaultCluster.start('containment', ['--workers', '1', '--executors', '1', '--cpus', '1'])
    worker = cluster.pid('worker-1')
  })
  after(() => cluster[Symbol.asyncDispose]())

  /** The call fails as said, and the next one on the slot does not. */
  async function fails(call: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<CoxswainError> {
    const error = await rejection(call, code)
    assert.match(error.message, message)
    assert.ok(error instanceof TaskFailedError)
    assert.deepEqual(
      error.attempts.map(attempt => [attempt.attempt, attempt.worker, attempt.code]),
      [[1, 'worker-1', code]],
    )
    assert.equal(await cluster.client.run(echo, 'next'), 'next')
    assert.equal(cluster.pid('worker-1'), worker)
    return error
  }

  for (const [how, [code, message]] of Object.entries(crashes)) {
    test(`${how} is ${code}`, async () => {
      await fails(cluster.client.run(misbehave, how as Misdeed), code, message)
    })
  }

  for (const how of ['loop', 'backtracking'] as const) {
    test(`${how} ends at its deadline`, async () => {
      await fails(cluster.client.run(overrun, how), 'TASK_TIMEOUT', /300 ms/)
    })
  }

  test('a gigabyte of log lines is cut, and the task succeeds', async () => {
    const job = await cluster.client.submit(misbehave, 'flood')
    assert.equal(await job.result(), 'flooded')
    let bytes = 0
    let last = ''
    for await (const line of job.logs()) {
      bytes += line.text.length
      last = line.text
    }
    assert.ok(bytes > 500_000 && bytes < 2_000_000, `${bytes} bytes are kept`)
    assert.match(last, /more lines \(\d+ bytes\) were dropped/)
    assert.equal(await cluster.client.run(echo, 'next'), 'next')
    assert.equal(cluster.pid('worker-1'), worker)
  })

  test('a poisonous task is quarantined while the others finish', async () => {
    const inputs = [1, 2, 3, 4, 5, 6]
    const outcomes: unknown[] = []
    for await (const outcome of cluster.client.map(poisonous, inputs, { errors: 'yield' })) outcomes.push(outcome)
    const [poisoned] = outcomes.splice(2, 1) as [TaskFailedError]
    assert.deepEqual(outcomes, [1, 2, 4, 5, 6])
    assert.ok(poisoned instanceof TaskFailedError)
    assert.equal(poisoned.code, 'TASK_POISONED')
    assert.equal(poisoned.attempts.length, 3)
    for (const attempt of poisoned.attempts) assert.match(attempt.message, /exit code 9/)
    assert.match(poisoned.advice, /quarantined/)
    const story = (await cluster.client.story(poisoned.task)).lines.map(line => line.kind)
    assert.ok(story.includes('TaskFailed'))
    assert.equal(cluster.pid('worker-1'), worker)
  })
})
