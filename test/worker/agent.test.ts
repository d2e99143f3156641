// Owns the tests of an agent against a leader that keeps to docs/protocol.md: greeting, registration, orders, draining.
// Must not test what user code can do.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { nodeTransport } from '../../src/platform/node/index.ts'
import { Agent } from '../../src/worker/index.ts'
import { chunkOf } from '../fakes/values.ts'
import { FakeLeader, failureAt, plan, programOf, stand, testPlatform, values } from './fakes.ts'

const tasks = programOf({
  echo: 'input => input',
  fail: 'input => { throw new TypeError("cannot " + input, { cause: new Error("deeper") }) }',
  wait: 'async (input, ctx) => { if (input.path) (await import("node:fs")).writeFileSync(input.path, "x"); await new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason))) }',
  gate: `async input => {
    const { existsSync, appendFileSync } = await import("node:fs")
    appendFileSync(input + ".started", "x")
    while (!existsSync(input)) await new Promise(r => setTimeout(r, 5))
    return "opened"
  }`,
  context: 'async (_, ctx) => ({ attempt: ctx.attempt, job: ctx.job, task: ctx.task, token: ctx.fencingToken, worker: ctx.worker })',
  surroundings: `() => ({
    environment: Object.keys(process.env).sort(), canary: process.env.CANARY, given: process.env.GIVEN, cwd: process.cwd(), home: process.env.HOME,
    main: import.meta.main, mark: globalThis[Symbol.for("coxswain.executor")], arguments: process.argv.slice(2),
  })`,
})

describe('greeting', () => {
  test('says who it is, remembers the epoch, and refuses a leader of a lower one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cox-worker-'))
    const leader = new FakeLeader()
    leader.epoch = 7
    {
      await using first = await stand({ folder, fake: leader })
      assert.equal(first.leader.greeting?.name, 'w1')
      assert.equal(first.leader.greeting?.role, 'worker')
      assert.equal(first.leader.greeting?.epochSeen, 0)
      assert.deepEqual(JSON.parse(readFileSync(join(folder, 'epoch.json'), 'utf8')), { cluster: 'c1', epoch: 7 })
    }
    const old = new FakeLeader()
    old.epoch = 6
    await old.listen()
    const platform = testPlatform(old.transport)
    const options = { name: 'w1', folder, leader: async () => ({ address: old.address, token: 'node-token' }) }
    const rest = { capacity: { cpuMillis: 1000, memoryBytes: 1 << 30, gpuMillis: 0, named: [] }, labels: [], blockHost: '127.0.0.1' }
    const agent = new Agent({ ...options, ...rest }, platform)
    const started = agent.start()
    started.catch(() => undefined)
    let greetings = 0
    await old.until(() => {
      if (old.greeting) greetings++
      old.greeting = undefined
      return greetings === 3
    })
    assert.deepEqual(old.messages, [], 'it never registered')
    await agent.stop('test', 0)
    await assert.rejects(started, { code: 'INTERRUPTED' })
    await old.close()
    rmSync(folder, { recursive: true })
  })

  test('a refusal before the first registration is told to whoever starts it', async () => {
    const leader = new FakeLeader()
    await leader.listen()
    leader.refusal = { code: 'VERSION_MISMATCH', message: 'too old' }
    await assert.rejects(stand({ fake: leader }), { code: 'VERSION_MISMATCH' })
  })

  test('another cluster than the one it belongs to is refused', async () => {
    await assert.rejects(stand({ cluster: 'c2' }), { code: 'WRONG_CLUSTER' })
  })

  test('a wrong token is told', async () => {
    const leader = new FakeLeader()
    await leader.listen()
    await assert.rejects(stand({ fake: leader, leader: async () => ({ address: leader.address, token: 'wrong' }) }), {
      code: 'UNAUTHENTICATED',
    })
  })

  test('a damaged epoch file is no epoch 0', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cox-worker-'))
    writeFileSync(join(folder, 'epoch.json'), '{"cluster":"c1","epo')
    await assert.rejects(stand({ folder }), { code: 'STATE_FOLDER_UNUSABLE' })
    rmSync(folder, { recursive: true })
  })
})

describe('orders', () => {
  test('those of a leader that has a successor, or for another incarnation, are ignored', async () => {
    await using cluster = await stand()
    const { leader } = cluster
    const program = leader.program(tasks)
    leader.epoch = 0
    const stale = leader.assign(plan(program, 'echo'), [1])
    leader.epoch = 1
    leader.incarnation = 9
    const foreign = leader.assign(plan(program, 'echo'), [2])
    leader.incarnation = 1
    const lane = leader.assign(plan(program, 'echo'), [3])
    assert.deepEqual(values(await leader.ended(lane, 1)), [3])
    assert.equal(leader.lane(stale).ended.length + leader.lane(foreign).ended.length, 0)
  })

  test('heartbeats tell how the machine is', async () => {
    const leader = new FakeLeader()
    leader.pulseMs = 10
    await using _ = await stand({ fake: leader })
    await leader.until(() => leader.messages.filter(one => one.kind === 'heartbeat').length >= 5)
    const beats = leader.messages.filter(one => one.kind === 'heartbeat')
    const last = beats.at(-1)!
    assert.equal(last.sequence, beats.length)
    assert.ok(last.memoryFreeBytes > 0 && last.memoryUsedBytes > 0 && last.diskFreeBytes > 0)
    assert.ok(last.cpuShare >= 0 && last.cpuShare <= 1)
  })

  test('a silent leader is left for a new connection', async () => {
    const leader = new FakeLeader()
    leader.pulseMs = 20
    leader.pulses = false
    await using _ = await stand({ fake: leader })
    const first = leader.connection
    await leader.until(() => leader.connection && leader.connection !== first)
    await leader.until(() => leader.messages.filter(one => one.kind === 'register').length === 2)
  })

  test('bytes that are no message end the connection, not the worker', async () => {
    await using cluster = await stand()
    const { leader } = cluster
    leader.connection!.send(Buffer.from([255, 1, 2, 3]))
    await leader.until(() => leader.messages.filter(one => one.kind === 'register').length === 2)
  })

  test('cancelled: what waits is skipped, what runs gets its signal', async () => {
    await using cluster = await stand()
    const { leader } = cluster
    const program = leader.program(tasks)
    const lane = leader.assign(plan(program, 'wait'), [1], { job: 'a' })
    leader.assign(plan(program, 'wait'), [2], { job: 'b', lane })
    leader.send({ kind: 'cancel', epoch: leader.epoch, lane, job: 'a', stage: undefined, ranges: [] })
    leader.send({ kind: 'cancel', epoch: leader.epoch, lane, job: 'b', stage: 0, ranges: [{ first: 0, count: 1 }] })
    assert.deepEqual((await leader.ended(lane, 2)).ended, ['skipped', 'skipped'])

    const path = join(cluster.folder, 'runs')
    const running = leader.assign(plan(program, 'wait'), [{ path }, 2])
    await waitForFile(path)
    leader.send({ kind: 'cancel', epoch: leader.epoch, lane: running, job: 'job', stage: undefined, ranges: [] })
    const log = leader.lane(running)
    await leader.until(() => log.ended.length === (log.returnedFrom ?? 2))
    assert.ok(log.ended.every(one => one === 'skipped'))
  })
})

describe('registration', () => {
  test('what runs when the connection is lost runs on, once, and is reported after', async () => {
    await using cluster = await stand()
    const { leader, folder } = cluster
    const program = leader.program(tasks)
    const gate = join(folder, 'gate')
    const lane = leader.assign(plan(program, 'gate'), [gate])
    await waitForFile(`${gate}.started`)
    leader.connection!.close('cut')
    await leader.until(() => leader.messages.filter(one => one.kind === 'register').length === 2)
    const again = leader.messages.filter(one => one.kind === 'register').at(-1)!
    assert.deepEqual(again.lanes, [
      { lane, received: 1, reported: 0, acknowledged: 0, runs: [{ job: 'job', stage: 0, first: 0, count: 1, attempt: 1 }] },
    ])
    writeFileSync(gate, '')
    assert.deepEqual(values(await leader.ended(lane, 1)), ['opened'])
    assert.equal(readFileSync(`${gate}.started`, 'utf8'), 'x')
  })

  test('what was not acknowledged is reported again to the next leader', async () => {
    await using cluster = await stand()
    const { leader } = cluster
    leader.acknowledges = false
    const program = leader.program(tasks)
    const lane = leader.assign(plan(program, 'echo'), ['a', 'b'])
    await leader.ended(lane, 2)
    leader.lanes.clear()
    leader.epoch = 2
    leader.connection!.close('a new leader comes')
    assert.deepEqual(values(await leader.ended(lane, 2)), ['a', 'b'])
    leader.send({ kind: 'acknowledge', lanes: [{ lane, count: 2 }] })
    leader.connection!.close('once more')
    await leader.until(() => leader.messages.filter(one => one.kind === 'register').length === 3)
    assert.deepEqual(leader.messages.filter(one => one.kind === 'register').at(-1)!.lanes, [])
  })

  test('dismissed: it drops what it runs and registers anew', async () => {
    await using cluster = await stand()
    const { leader, folder } = cluster
    const program = leader.program(tasks)
    const gate = join(folder, 'gate')
    const lane = leader.assign(plan(program, 'gate'), [gate])
    await waitForFile(`${gate}.started`)
    leader.incarnation = 2
    leader.send({ kind: 'dismissed', reason: 'silent' })
    await leader.until(() => leader.messages.filter(one => one.kind === 'register').length === 2)
    assert.deepEqual(leader.messages.filter(one => one.kind === 'register').at(-1)!.lanes, [])
    writeFileSync(gate, '')
    const next = leader.assign(plan(program, 'echo'), ['anew'])
    assert.deepEqual(values(await leader.ended(next, 1)), ['anew'])
    assert.equal(leader.lane(lane).ended.length, 0)
  })
})

describe('the end of a worker', () => {
  test('drained by the leader: finishes what runs, gives back the rest, ends', async () => {
    await using cluster = await stand({ executors: 1 })
    const { leader, folder, agent } = cluster
    const program = leader.program(tasks)
    const gate = join(folder, 'gate')
    const lane = leader.assign(plan(program, 'gate'), [gate, gate])
    await waitForFile(`${gate}.started`)
    leader.send({ kind: 'drain', epoch: leader.epoch })
    await leader.until(() => leader.lane(lane).returnedFrom === 1)
    writeFileSync(gate, '')
    assert.equal(await agent.ended, 'drained')
    assert.deepEqual(values(leader.lane(lane)), ['opened'])
  })

  test('stopped: what does not end in time is aborted, killed, and not reported as failed', async () => {
    await using cluster = await stand()
    const { leader, agent, folder } = cluster
    const program = leader.program(tasks)
    const gate = join(folder, 'gate')
    const polite = leader.assign(plan(program, 'wait'), [1])
    const stubborn = leader.assign(plan(program, 'gate'), [gate])
    await waitForFile(`${gate}.started`)
    await agent.stop('shutting down', 50)
    assert.equal(leader.lane(polite).ended.length + leader.lane(stubborn).ended.length, 0)
    assert.equal(await agent.ended, 'shutting down')
  })
})

describe('user code', () => {
  test('fails with its own stack and causes', async () => {
    await using cluster = await stand()
    const { leader } = cluster
    const lane = leader.assign(plan(leader.program(tasks), 'fail'), ['fly'])
    const failure = failureAt(await leader.ended(lane, 1), 0)
    assert.equal(failure.code, 'TASK_FAILED')
    assert.equal(failure.message, 'TypeError: cannot fly')
    assert.match(failure.stack, /TypeError: cannot fly\n {4}at .*\.mjs/)
    assert.match(failure.stack, /Caused by: Error: deeper/)
    assert.ok(!failure.stack.includes('executors/inside'), failure.stack)
    assert.equal(failure.retryable, true)
  })

  test('knows its attempt, and a token that grows', async () => {
    const leader = new FakeLeader()
    leader.epoch = 3
    await using _ = await stand({ fake: leader })
    const lane = leader.assign(plan(leader.program(tasks), 'context'), [0, 0], { first: 5, attempt: 2 })
    const [first, second] = values(await leader.ended(lane, 2)) as { task: string }[]
    assert.deepEqual(first, { attempt: 2, job: 'job', task: 'job/5', token: 3 * 2 ** 20 + 2, worker: 'w1' })
    assert.equal(second!.task, 'job/6')
  })

  test('sees nothing of its worker but what it was given', async () => {
    process.env['CANARY'] = 'secret'
    process.env['COX_ENV_GIVEN'] = 'on purpose'
    await using cluster = await stand()
    const { leader, folder } = cluster
    const lane = leader.assign(plan(leader.program(tasks), 'surroundings'), [0])
    const [seen] = values(await leader.ended(lane, 1)) as [Record<string, unknown>]
    const expected = ['GIVEN', 'HOME', 'LANG', 'PATH', 'PWD', 'SHLVL', 'TMPDIR', 'TZ', '_', 'OLDPWD']
    for (const name of seen['environment'] as string[]) assert.ok(expected.includes(name), name)
    assert.equal(seen['canary'], undefined)
    assert.equal(seen['given'], 'on purpose')
    assert.ok(String(seen['cwd']).startsWith(join(folder, 'executors')))
    assert.equal(seen['home'], seen['cwd'])
    assert.equal(seen['main'], false)
    assert.equal(seen['mark'], true)
    assert.deepEqual(seen['arguments'], [])
    delete process.env['CANARY']
    delete process.env['COX_ENV_GIVEN']
  })

  test('is kept compiled where all workers look for it; where nothing can be kept, it runs all the same', async () => {
    const shared = mkdtempSync(join(tmpdir(), 'cox-compiled-'))
    writeFileSync(join(shared, 'file'), '')
    for (const compiled of [join(shared, 'executors'), join(shared, 'file', 'executors')]) {
      await using cluster = await stand({ compiled })
      const { leader } = cluster
      const lane = leader.assign(plan(leader.program(tasks), 'echo'), [3])
      assert.deepEqual(values(await leader.ended(lane, 1)), [3])
      while (existsSync(compiled) && readdirSync(compiled, { recursive: true }).length < 2) await new Promise(r => setTimeout(r, 5))
      assert.equal(existsSync(join(cluster.folder, 'compiled')), false)
    }
    assert.ok(existsSync(join(shared, 'executors')))
    rmSync(shared, { recursive: true })
  })

  test('executors do not outlive their agent, busy or not', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cox-worker-'))
    const leader = new FakeLeader(nodeTransport)
    await leader.listen(0)
    const { spawn } = await import('node:child_process')
    const script = join(import.meta.dirname, 'agent-process.ts')
    const child = spawn(process.execPath, [script, folder, leader.address], { stdio: ['ignore', 'ignore', 'inherit'] })
    const program = leader.program(
      programOf({ spin: 'async input => { (await import("node:fs")).writeFileSync(input, String(process.pid)); for (;;); }' }),
    )
    await leader.until(() => leader.messages.some(one => one.kind === 'register'))
    const file = join(folder, 'pid')
    leader.assign(plan(program, 'spin'), [file])
    await waitForFile(file)
    const pid = Number(readFileSync(file, 'utf8'))
    process.kill(pid, 0)
    child.kill('SIGKILL')
    while (alive(pid)) await new Promise(resolve => setImmediate(resolve))
    await leader.close()
    rmSync(folder, { recursive: true, maxRetries: 5 })
  })
})

test('over the real transport, 10,000 tasks come back in order', async () => {
  const leader = new FakeLeader(nodeTransport)
  await leader.listen(0)
  await using _ = await stand({ fake: leader })
  const program = leader.program(tasks)
  const expected: number[] = []
  const seen: unknown[] = []
  for (let first = 0; first < 10_000; first += 2_000) {
    const inputs = Array.from({ length: 2_000 }, (_, i) => first + i)
    expected.push(...inputs)
    // What goes back because the machine is busy is put in line again, as a leader does.
    for (let at = 0; at < inputs.length; ) {
      const lane = leader.assignChunk(plan(program, 'echo'), chunkOf(inputs.slice(at)), inputs.length - at, { first: first + at })
      const log = leader.lane(lane)
      await leader.until(() => log.ended.length === (log.returnedFrom ?? inputs.length - at))
      seen.push(...values(log))
      at += log.ended.length
    }
  }
  assert.deepEqual(seen, expected)
})

async function waitForFile(path: string): Promise<void> {
  while (!existsSync(path) || readFileSync(path).length === 0) await new Promise(resolve => setImmediate(resolve))
}

function alive(pid: number): boolean {
  try {
    // A process that has ended and was not waited for yet is no process any more.
    return existsSync(`/proc/${pid}/stat`) ? !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')) : process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('tasks that take a fraction of a cpu', () => {
  const program = programOf({
    meet: `async (input, ctx) => {
      const all = globalThis.all ??= []
      all.push(input)
      console.log("here is", input)
      while (all.length < 4) await new Promise(r => setTimeout(r, 1))
      console.log("met by", input)
      return process.pid
    }`,
    fall: 'async input => { if (input === "bad") { await 1; process.abort() } await new Promise(r => setTimeout(r, 50)); return input }',
  })

  test('run side by side in one process, each with its own lines', async () => {
    await using cluster = await stand({ executors: 1 })
    const { leader } = cluster
    const stage = plan(leader.program(program), 'meet', { cpuMillis: 250 })
    const lanes = ['a', 'b', 'c', 'd'].map(input => leader.assign(stage, [input], { job: input }))
    const pids = new Set<unknown>()
    for (const lane of lanes) pids.add(values(await leader.ended(lane, 1))[0])
    assert.equal(pids.size, 1)
    leader.send({ kind: 'readLogs', request: 1, job: 'c', stage: undefined, index: undefined, follow: false })
    await leader.until(() => leader.messages.some(one => one.kind === 'logLines' && one.ended))
    assert.deepEqual(
      leader.logs.map(line => line.text),
      ['here is c', 'met by c'],
    )
  })

  test('do not pay for the one among them that kills the process', async () => {
    await using cluster = await stand({ executors: 1 })
    const { leader } = cluster
    const stage = plan(leader.program(program), 'fall', { cpuMillis: 250 })
    const lanes = ['a', 'bad', 'c'].map(input => leader.assign(stage, [input]))
    const [a, bad, c] = await Promise.all(lanes.map(lane => leader.ended(lane, 1)))
    assert.deepEqual([...values(a!), ...values(c!)], ['a', 'c'])
    assert.equal(failureAt(bad!, 0).code, 'TASK_CRASHED')
    assert.match(failureAt(bad!, 0).message, /SIGABRT/)
  })
})
