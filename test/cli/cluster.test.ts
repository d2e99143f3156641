// Owns the tests of `cox` on a real cluster: up in the background, every verb that talks to it, down.
// Must not leave a process behind.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { JobView, StatusView, StoryLine, WhyView, WorkerView } from '../../src/protocol/index.ts'
import { type CoxResult, cox, processesOf, startCox, temporaryHome, until } from './cox.ts'

const tasks = fileURLToPath(new URL('./fixtures/tasks.ts', import.meta.url))
const { folder, home, cleanUp } = temporaryHome('cluster')

function run(args: readonly string[], stdin?: string): Promise<CoxResult> {
  return cox(args, { home, stdin: stdin ?? '' })
}

async function json<T>(args: readonly string[]): Promise<T> {
  const result = await run([...args, '--json'])
  assert.equal(result.code, 0, JSON.stringify(result))
  return JSON.parse(result.stdout) as T
}

function errorCode(result: CoxResult): string {
  return (JSON.parse(result.stdout) as { error: { code: string } }).error.code
}

describe('cox on a cluster', () => {
  before(async () => {
    const up = await run(['up', '--detach', '--workers', '2', '--labels', 'fast', '--json'])
    assert.equal(up.code, 0, JSON.stringify(up))
    const ready = JSON.parse(up.stdout) as { ready: boolean; home: string; workers: unknown[] }
    assert.deepEqual([ready.ready, ready.home, ready.workers.length], [true, home, 2])
  })
  after(async () => {
    const down = await run(['down', '--json'])
    assert.equal(down.code, 0, JSON.stringify(down))
    assert.deepEqual(processesOf(home), [])
    assert.equal(existsSync(join(home, 'up.json')), false)
    assert.equal(existsSync(join(home, 'cluster.json')), false)
    const verified = await json<{ ok: boolean; records: number }>(['journal', 'verify'])
    assert.equal(verified.ok, true)
    assert.ok(verified.records > 10)
    cleanUp()
  })

  test('status tells leader, candidates, workers and load', async () => {
    const status = await json<StatusView>(['status'])
    assert.equal(status.leader.id, 'candidate-1')
    assert.equal(status.leader.epoch, 1)
    assert.match(status.leader.address, /^ws:\/\/127\.0\.0\.1:\d+$/)
    assert.ok(processesOf(home).includes(status.leader.pid))
    assert.deepEqual(status.workers.map(worker => worker.id).sort(), ['worker-1', 'worker-2'])
    for (const worker of status.workers) assert.ok(processesOf(home).includes(worker.pid))
    assert.ok(status.load >= 0 && status.load <= 1)
    const text = await run(['status'])
    assert.match(text.stdout, /^leader +candidate-1, epoch 1, pid \d+, ws:/m)
    assert.match(text.stdout, /^worker-2 +ready/m)
    const workers = await json<WorkerView[]>(['workers'])
    assert.deepEqual(
      workers.map(worker => worker.labels),
      [['fast'], ['fast']],
    )
  })

  test('run prints the result on stdout and the logs on stderr', async () => {
    const result = await run(['run', `${tasks}#greet`, '--input', '"世界"'])
    assert.deepEqual([result.code, result.stdout], [0, '"hello 世界"\n'])
    assert.match(result.stderr, /^greeting 世界$/m)
    assert.match(result.stderr, /^attempt 1$/m)
    const quiet = await run(['run', `${tasks}#greet`, '--input', '"x"', '--quiet'])
    assert.equal(quiet.stderr, '')
  })

  test('inputs come from stdin and files; what JSON has no word for goes both ways', async () => {
    const input = { $map: [[1, { $bigint: '2' }]] }
    writeFileSync(join(folder, 'input 数.json'), JSON.stringify(input))
    const expected = { input, map: { $map: [['a', { $bigint: '1' }]] }, bytes: { $buffer: 'aGk=' }, nothing: { $undefined: true } }
    assert.deepEqual(JSON.parse((await run(['run', `${tasks}#odd`, '--input', `@${join(folder, 'input 数.json')}`])).stdout), expected)
    assert.deepEqual(JSON.parse((await run(['run', `${tasks}#odd`, '--input', '-'], JSON.stringify(input))).stdout), expected)
    const bad = await run(['run', `${tasks}#odd`, '--input', '{nope', '--json'])
    assert.deepEqual([bad.code, errorCode(bad)], [2, 'USAGE'])
    const missing = await run(['run', `${tasks}#odd`, '--input', `@${join(folder, 'missing')}`, '--json'])
    assert.deepEqual([missing.code, errorCode(missing)], [2, 'USAGE'])
  })

  test('a task that is not there suggests the nearest', async () => {
    const near = await run(['run', `${tasks}#gret`])
    assert.equal(near.code, 2)
    assert.match(near.stderr, /^cox: TASK_NOT_FOUND: .* exports no task gret: did you mean greet\?/)
    const none = await run(['run', fileURLToPath(new URL('./fixtures/several.mjs', import.meta.url)), '--json'])
    assert.deepEqual([none.code, errorCode(none)], [2, 'TASK_NOT_FOUND'])
    const file = await run(['run', join(folder, 'missing.ts#greet'), '--json'])
    assert.deepEqual([file.code, errorCode(file)], [2, 'USAGE'])
    writeFileSync(join(folder, 'broken.mjs'), 'export const x = ;')
    const broken = await run(['run', join(folder, 'broken.mjs#x'), '--json'])
    assert.deepEqual([broken.code, errorCode(broken)], [2, 'PROGRAM_BUILD_FAILED'])
  })

  test('a failing task ends with 1, the remote stack, the attempts and the story', async () => {
    const text = await run(['run', `${tasks}#fails`])
    assert.deepEqual([text.code, text.stdout], [1, ''])
    assert.match(text.stderr, /cox: TASK_FAILED: .*no such luck/)
    assert.match(text.stderr, /fixtures\/tasks\.ts:\d+/)
    assert.match(text.stderr, /attempt 1 on worker-\d/)
    const story = /Its story: cox story (\S+)/.exec(text.stderr)?.[1]
    assert.ok(story)
    const told = await json<{ lines: StoryLine[] }>(['story', story])
    assert.ok(told.lines.length > 1)
    const parsed = JSON.parse((await run(['run', `${tasks}#fails`, '--json'])).stdout) as {
      error: { code: string; attempts: unknown[]; remoteStack: string }
    }
    assert.equal(parsed.error.code, 'TASK_FAILED')
    assert.match(parsed.error.remoteStack, /no such luck/)
  })

  test('submit, jobs, job, result, logs and story of one job', async () => {
    const submitted = await run(['submit', `${tasks}#greet`, '--input', '"you"', '--id', 'greeting-1', '--labels', 'a,b'])
    assert.deepEqual([submitted.code, submitted.stdout], [0, 'greeting-1\n'])
    const again = await json<{ job: string }>(['submit', `${tasks}#greet`, '--input', '"you"', '--id', 'greeting-1', '--labels', 'a,b'])
    assert.equal(again.job, 'greeting-1')
    const other = await run(['submit', `${tasks}#greet`, '--input', '"other"', '--id', 'greeting-1', '--json'])
    assert.deepEqual([other.code, errorCode(other)], [4, 'JOB_ID_REUSED'])
    assert.equal((await run(['result', 'greeting-1'])).stdout, '"hello you"\n')
    assert.equal((await run(['result', 'greeting-1'])).stdout, '"hello you"\n')
    const job = await json<JobView>(['job', 'greeting-1'])
    assert.deepEqual([job.name, job.state, job.labels, job.tasks.succeeded], ['greet', 'succeeded', ['a', 'b'], 1])
    assert.match((await run(['job', 'greeting-1'])).stdout, /greeting-1 {2}greet {2}succeeded/)
    const labelled = await json<JobView[]>(['jobs', '--label', 'a'])
    assert.deepEqual(
      labelled.map(one => one.id),
      ['greeting-1'],
    )
    assert.match((await run(['jobs', '--limit', '5'])).stdout, /^JOB +NAME +STATE/)
    const logs = await run(['logs', 'greeting-1'])
    assert.match(logs.stdout, /greeting-1\/0 #1 out greeting you$/m)
    const kinds = (await json<{ lines: StoryLine[]; complete: boolean }>(['story', 'greeting-1'])).lines.map(line => line.kind)
    for (const kind of ['JobSubmitted', 'TasksAssigned', 'TasksFinished', 'JobFinished'])
      assert.ok(kinds.includes(kind), `${kind} in ${kinds}`)
  })

  test('a large result is the same bytes', async () => {
    const result = await run(['run', `${tasks}#large`, '--input', '3000000', '--json'])
    const { $buffer } = JSON.parse(result.stdout) as { $buffer: string }
    const bytes = Buffer.from($buffer, 'base64')
    assert.equal(bytes.length, 3_000_000)
    assert.ok(bytes.every(byte => byte === 7))
  })

  test('cancel ends a running job, and its result says so', async () => {
    assert.equal((await run(['submit', `${tasks}#endless`, '--input', '"c"', '--id', 'endless-1'])).code, 0)
    const following = startCox(['logs', 'endless-1', '-f'], { home })
    await following.wrote(/started c/)
    const waiting = startCox(['result', 'endless-1', '--json'], { home })
    assert.equal((await run(['cancel', 'endless-1', '--reason', 'wrong day'])).stdout, 'Cancelled: endless-1.\n')
    const ended = await waiting.ended
    assert.deepEqual([ended.code, errorCode(ended)], [1, 'TASK_CANCELLED'])
    assert.equal((await following.ended).code, 0)
    const job = await json<JobView>(['job', 'endless-1'])
    assert.deepEqual([job.state, job.reason], ['cancelled', 'wrong day'])
  })

  test('Ctrl-C in run cancels the job', async () => {
    const running = startCox(['run', `${tasks}#endless`, '--input', '"i"', '--id', 'interrupted-1'], { home })
    await running.wrote(/started i/)
    running.child.kill('SIGINT')
    const ended = await running.ended
    assert.deepEqual([ended.code, ended.stdout], [130, ''])
    assert.match(ended.stderr, /cox: INTERRUPTED/)
    assert.equal((await json<JobView>(['job', 'interrupted-1'])).state, 'cancelled')
  })

  test('Ctrl-C in result leaves the job running', async () => {
    assert.equal((await run(['submit', `${tasks}#endless`, '--input', '"r"', '--id', 'endless-2'])).code, 0)
    const following = startCox(['logs', 'endless-2', '-f'], { home })
    await following.wrote(/started r/)
    following.child.kill('SIGINT')
    assert.equal((await following.ended).code, 130)
    assert.equal((await json<JobView>(['job', 'endless-2'])).state, 'running')
    assert.equal((await run(['cancel', 'endless-2'])).code, 0)
  })

  test('--timeout lets the job fail, which ends with 1', async () => {
    const late = await run(['run', `${tasks}#endless`, '--input', '"t"', '--id', 'late-1', '--timeout', '300ms', '--json'])
    assert.deepEqual([late.code, errorCode(late)], [1, 'RUN_TIMEOUT'])
    assert.equal((await json<JobView>(['job', 'late-1'])).state, 'failed')
    assert.equal((await run(['submit', `${tasks}#endless`, '--input', '"t"', '--id', 'late-2', '--timeout', '300ms'])).code, 0)
    assert.equal(errorCode(await run(['result', 'late-2', '--json'])), 'RUN_TIMEOUT')
  })

  test('--key, --concurrency and --when-busy limit runs; wrong values are refused before anything is done', async () => {
    const keyed = (id: string, ...more: string[]): string[] => [
      'submit',
      `${tasks}#endless`,
      '--input',
      '"k"',
      '--id',
      id,
      '--key',
      'k',
      ...more,
    ]
    assert.equal((await run(keyed('keyed-1', '--labels', 'limited', '--priority', '3'))).code, 0)
    const { labels, priority } = await json<JobView>(['job', 'keyed-1'])
    assert.deepEqual([labels, priority], [['limited'], 3])
    assert.equal((await run(keyed('keyed-2'))).code, 0)
    assert.equal((await json<JobView>(['job', 'keyed-2'])).queuedFor, 'k')
    const refused = await run([...keyed('keyed-3', '--when-busy', 'reject'), '--json'])
    assert.deepEqual([refused.code, errorCode(refused)], [4, 'KEY_BUSY'])
    const other = await run([...keyed('keyed-4', '--concurrency', '2'), '--json'])
    assert.deepEqual([other.code, errorCode(other)], [4, 'LIMIT_CONFLICT'])
    assert.equal((await run(keyed('keyed-5', '--when-busy', 'cancel'))).code, 0)
    for (const id of ['keyed-1', 'keyed-2']) assert.equal((await json<JobView>(['job', id])).state, 'cancelled')
    assert.equal((await run(['cancel', 'keyed-5'])).code, 0)
    for (const wrong of [
      ['--when-busy', 'reject'],
      ['--concurrency', '2'],
      ['--key', 'k', '--concurrency', '0'],
      ['--key', 'k', '--when-busy', 'no'],
    ]) {
      const result = await run(['submit', `${tasks}#endless`, ...wrong])
      assert.equal(result.code, 2, result.stderr)
    }
    const empty = await run(['submit', `${tasks}#endless`, '--input', '"k"', '--key', '', '--json'])
    assert.equal(errorCode(empty), 'INVALID_ARGUMENT')
  })

  test('why names the rule and the numbers', async () => {
    assert.equal((await run(['submit', `${tasks}#greedy`, '--id', 'greedy-1'])).code, 0)
    const reasons = await json<WhyView[]>(['why', 'greedy-1'])
    assert.ok(reasons.length > 0)
    assert.match(reasons[0]!.text, /4096 cpus/)
    assert.match((await run(['why', 'greedy-1'])).stdout, /4096 cpus/)
    assert.equal((await run(['cancel', 'greedy-1'])).code, 0)
  })

  test('ids that are not there are NOT_FOUND with 1', async () => {
    for (const verb of ['job', 'result', 'cancel', 'story', 'why', 'logs', 'drain']) {
      const result = await run([verb, 'no-such-id', '--json'])
      assert.deepEqual([verb, result.code, errorCode(result)], [verb, 1, 'NOT_FOUND'])
    }
  })

  test('a wrong token is refused', async () => {
    writeFileSync(join(folder, 'token'), 'x'.repeat(43))
    const result = await run(['status', '--token-file', join(folder, 'token'), '--json'])
    assert.deepEqual([result.code, errorCode(result)], [4, 'UNAUTHENTICATED'])
  })

  test('COX_URL and COX_TOKEN_FILE reach it from another state folder', async () => {
    const { leader } = await json<StatusView>(['status'])
    const env = { COX_URL: leader.address, COX_TOKEN_FILE: join(home, 'tokens', 'user') }
    const elsewhere = await cox(['workers', '--json'], { home: join(folder, 'elsewhere'), env, stdin: '' })
    assert.equal((JSON.parse(elsewhere.stdout) as unknown[]).length, 2)
  })

  test('a second up on the folder is refused, naming pid and address', async () => {
    const { leader } = await json<StatusView>(['status'])
    for (const args of [
      ['up', '--json'],
      ['up', '--detach', '--json'],
    ]) {
      const second = await run(args)
      assert.deepEqual([second.code, errorCode(second)], [4, 'STATE_FOLDER_IN_USE'])
      assert.ok(second.stdout.includes(leader.address))
      assert.match(second.stdout, /pid \d+/)
    }
    assert.equal((await json<StatusView>(['status'])).leader.pid, leader.pid)
  })

  test('a port that is taken is refused before anything runs', async () => {
    const { leader } = await json<StatusView>(['status'])
    const other = join(folder, 'other')
    const up = await cox(['up', '--port', new URL(leader.address).port, '--json'], { home: other, stdin: '' })
    assert.deepEqual([up.code, errorCode(up)], [4, 'ADDRESS_IN_USE'])
    assert.deepEqual(processesOf(other), [])
  })

  test('the journal can be read while the leader runs', async () => {
    assert.equal((await json<{ ok: boolean }>(['journal', 'verify'])).ok, true)
    const dump = await run(['journal', 'dump', '--json', '--limit', '3'])
    const lines = dump.stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as { index: number; kind: string })
    assert.deepEqual(lines.map(line => [line.index, line.kind]).slice(0, 1), [[1, 'LeaderClaimed']])
    assert.equal(lines.length, 3)
    assert.match((await run(['journal', 'dump', '--from', '2', '--limit', '1'])).stdout, /^#2 epoch 1 {2}\w+/)
  })

  test('secrets are nowhere but in their files', async () => {
    const secrets = ['user', 'node'].map(name => readFileSync(join(home, 'tokens', name), 'utf8').trim())
    for (const pid of processesOf(home)) {
      const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8')
      for (const secret of secrets) assert.equal(text.includes(secret), false)
    }
    for (const log of readdirSync(join(home, 'logs'))) {
      const path = join(home, 'logs', log)
      assert.equal(statSync(path).mode & 0o777, 0o600)
      for (const secret of secrets) assert.equal(readFileSync(path, 'utf8').includes(secret), false)
    }
  })

  test('a leader that is killed comes back with the next epoch, and nothing acknowledged is lost', async () => {
    assert.equal((await run(['submit', `${tasks}#endless`, '--input', '"k"', '--id', 'over-the-kill'])).code, 0)
    const following = startCox(['logs', 'over-the-kill', '-f'], { home })
    await following.wrote(/started k/)
    const before = await json<StatusView>(['status'])
    process.kill(before.leader.pid, 'SIGKILL')
    const next = await json<StatusView>(['status'])
    assert.equal(next.leader.epoch, before.leader.epoch + 1)
    assert.notEqual(next.leader.pid, before.leader.pid)
    assert.equal((await run(['result', 'greeting-1'])).stdout, '"hello you"\n')
    assert.equal((await json<JobView>(['job', 'over-the-kill'])).state, 'running')
    assert.equal((await run(['run', `${tasks}#greet`, '--input', '"again"'])).stdout, '"hello again"\n')
    assert.equal((await run(['cancel', 'over-the-kill'])).code, 0)
    following.child.kill('SIGKILL')
    const reports = readFileSync(join(home, 'logs', 'up.log'), 'utf8')
    assert.match(reports, /candidate-1 died \(killed by SIGKILL\); it starts again in 100 ms/)
  })

  test('drain lets a worker take no new work', async () => {
    assert.equal((await run(['drain', 'worker-2'])).stdout, 'Draining: worker-2.\n')
    const workers = await json<WorkerView[]>(['workers'])
    assert.notEqual(workers.find(worker => worker.id === 'worker-2')?.state, 'ready')
    assert.equal((await run(['run', `${tasks}#greet`, '--input', '"one"'])).stdout, '"hello one"\n')
    await until(() => /worker-2 has ended: it was drained/.test(readFileSync(join(home, 'logs', 'up.log'), 'utf8')))
  })
})
