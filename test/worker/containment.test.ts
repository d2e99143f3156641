// Owns the tests of what a task can do to its process, and that nobody else pays for it (rows 33 to 38 of the fault matrix).
// Must not depend on how long anything takes.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { failureAt, plan, programOf, type Stand, stand, values } from './fakes.ts'

const tasks = {
  echo: 'input => input',
  exit: 'input => input === "bad" ? process.exit(3) : input',
  exitLater: 'async input => { await 1; if (input === "bad") process.exit(4); return input }',
  abort: 'input => input === "bad" ? process.abort() : input',
  segfault: 'input => { if (input === "bad") process.kill(process.pid, "SIGSEGV"); return input }',
  killParent: `async input => {
    if (input !== "bad") return input
    process.kill(process.ppid, "SIGKILL")
    await new Promise(() => {})
  }`,
  heap: 'input => { if (input !== "bad") return input; const all = []; for (;;) all.push(new Array(10000).fill({ input })) }',
  external: `async input => {
    if (input !== "bad") return input
    const all = []
    for (;;) { all.push(Buffer.alloc(16 << 20, 1)); await new Promise(r => setTimeout(r, 2)) }
  }`,
  loop: 'input => { while (input === "bad"); return input }',
  backtrack: 'input => input === "bad" ? /^(a+)+$/.test("a".repeat(60) + "!") : input',
  ignoring: 'async input => { if (input === "bad") await new Promise(() => {}); return input }',
  stubborn: `async input => {
    if (input !== "bad") return input
    process.on("SIGTERM", () => {})
    await new Promise(() => {})
  }`,
  polite: `async (input, ctx) => {
    if (input !== "bad") return input
    await new Promise((resolve, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)))
  }`,
  forks: `async input => {
    if (input !== "bad") return input
    const { spawn } = await import("node:child_process")
    for (let i = 0; i < 100; i++) spawn("sleep", ["60"], { stdio: "ignore" })
    await new Promise(() => {})
  }`,
  leavesThrow:
    'input => { if (input === "bad") setTimeout(() => { throw new Error("left behind") }, 0); return new Promise(r => setTimeout(r, 30, input)) }',
  rejects:
    'async input => { if (input === "bad") { Promise.reject(new Error("nobody waits")); await new Promise(() => {}) } return input }',
  flood: 'input => { if (input === "bad") for (let i = 0; i < 300000; i++) console.log("x".repeat(100)); return input }',
}

describe('a task that misbehaves fails alone, and the slot goes on', () => {
  let cluster: Stand
  let program: string

  before(async () => {
    cluster = await stand({ executors: 1 })
    program = cluster.leader.program(programOf(tasks))
  })

  after(() => cluster[Symbol.asyncDispose]())

  /** Five tasks of which the third is bad: all others succeed, whatever became of it. */
  async function threeOfFive(task: string, overrides: Parameters<typeof plan>[2] = {}): Promise<ReturnType<typeof failureAt>> {
    const { leader } = cluster
    const stage = plan(program, task, overrides)
    const inputs = [1, 2, 'bad', 4, 5]
    // What is given back because a task takes long is put in line again, as a leader does.
    const ended: unknown[] = []
    let failure: ReturnType<typeof failureAt> | undefined
    for (let first = 0; first < inputs.length; ) {
      const lane = leader.assign(stage, inputs.slice(first), { first })
      const log = leader.lane(lane)
      await leader.until(() => log.ended.length === (log.returnedFrom ?? inputs.length - first))
      log.ended.forEach((one, position) => {
        if (typeof one === 'object' && 'failed' in one) failure = failureAt(log, position)
        else ended.push(...values({ ...log, ended: [one] }))
      })
      first += log.ended.length
    }
    assert.deepEqual(ended, [1, 2, 4, 5])
    const lane = leader.assign(plan(program, 'echo', overrides), ['next'])
    assert.deepEqual(values(await leader.ended(lane, 1)), ['next'])
    assert.ok(failure)
    return failure
  }

  for (const task of ['exit', 'exitLater'] as const) {
    test(`process.exit: ${task}`, async () => {
      const failure = await threeOfFive(task)
      assert.equal(failure.code, 'TASK_CRASHED')
      assert.match(failure.message, /exit code [34]/)
      assert.equal(failure.retryable, true)
    })
  }

  test('abort', async () => {
    const failure = await threeOfFive('abort')
    assert.equal(failure.code, 'TASK_CRASHED')
    assert.match(failure.message, /SIGABRT/)
  })

  test('segmentation fault', async () => {
    const failure = await threeOfFive('segfault')
    assert.equal(failure.code, 'TASK_CRASHED')
    assert.match(failure.message, /SIGSEGV/)
  })

  test('killing the parent process', async () => {
    const failure = await threeOfFive('killParent')
    assert.equal(failure.code, 'TASK_CRASHED')
    assert.match(failure.message, /SIGKILL/)
  })

  test('a full heap', async () => {
    const failure = await threeOfFive('heap')
    assert.equal(failure.code, 'TASK_OUT_OF_MEMORY')
  })

  test('memory outside of the heap', async () => {
    const failure = await threeOfFive('external')
    assert.equal(failure.code, 'TASK_OUT_OF_MEMORY')
    assert.match(failure.message, /MiB are allowed/)
  })

  test('an endless loop is killed after its deadline', async () => {
    const failure = await threeOfFive('loop', { timeoutMs: 100 })
    assert.equal(failure.code, 'TASK_TIMEOUT')
    assert.match(failure.message, /was killed/)
  })

  for (const task of ['backtrack', 'ignoring', 'stubborn'] as const) {
    test(`past its deadline: ${task}`, async () => {
      const { leader } = cluster
      const log = await leader.ended(leader.assign(plan(program, task, { timeoutMs: 100 }), ['bad']), 1)
      assert.equal(failureAt(log, 0).code, 'TASK_TIMEOUT')
      assert.deepEqual(values(await leader.ended(leader.assign(plan(program, 'echo'), [1]), 1)), [1])
    })
  }

  test('a task that listens to its signal ends at its deadline', async () => {
    const failure = await threeOfFive('polite', { timeoutMs: 200 })
    assert.equal(failure.code, 'TASK_TIMEOUT')
    assert.match(failure.message, /within 200 ms/)
  })

  test('too many processes', async () => {
    const failure = await threeOfFive('forks')
    assert.equal(failure.code, 'TASK_CRASHED')
    assert.match(failure.message, /processes/)
  })

  test('an error thrown from a timer fails the task that set it', async () => {
    const failure = await threeOfFive('leavesThrow')
    assert.equal(failure.code, 'TASK_FAILED')
    assert.match(failure.message, /left behind/)
    assert.match(failure.stack, /left behind/)
  })

  test('a rejection that nobody handles fails its task', async () => {
    const failure = await threeOfFive('rejects')
    assert.equal(failure.code, 'TASK_FAILED')
    assert.match(failure.message, /nobody waits/)
  })

  test('a flood of lines is cut and counted', async () => {
    const { leader } = cluster
    const lane = leader.assign(plan(program, 'flood'), ['bad', 2], { job: 'flooding' })
    const log = leader.lane(lane)
    await leader.until(() => log.ended.length === (log.returnedFrom ?? 2))
    assert.deepEqual(values(log)[0], 'bad')
    leader.logs.length = 0
    leader.send({ kind: 'readLogs', request: 9, job: 'flooding', stage: undefined, index: 0, follow: false })
    await leader.until(() => leader.messages.some(message => message.kind === 'logLines' && message.request === 9 && message.ended))
    const bytes = leader.logs.reduce((sum, line) => sum + line.text.length, 0)
    assert.ok(bytes > 1_000_000 && bytes < 1_100_000, `${bytes} bytes kept`)
    assert.match(leader.logs.at(-1)!.text, /more lines \(\d+ bytes\) were dropped/)
    assert.equal(leader.logs.at(-1)!.stream, 'system')
  })
})
