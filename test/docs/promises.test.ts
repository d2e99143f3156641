// Shows what the READMEs promise for the whole: real processes, killed while they work, seen through the public SDK.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Cluster, connect } from '../../src/index.ts'
import { mark, untilThere } from './tasks.ts'

const home = mkdtempSync(join(tmpdir(), 'coxswain-promises-'))
const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const workers = 2
const lookEveryMs = 20
const testTimeoutMs = 90_000

let cluster: Cluster
/** The marks of one test. */
let folder = ''
let tests = 0

function cox(...args: string[]): Promise<string> {
  const options = { env: { ...process.env, COX_HOME: home, COX_URL: '', NO_COLOR: '1' } }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [main, ...args], options, (error, output, complaints) => {
      if (error) reject(new Error(`cox ${args.join(' ')}: ${complaints}`))
      else resolve(output)
    })
  })
}

/** The marks so far, as `INDEX-ATTEMPT`. */
function marks(): string[] {
  return readdirSync(folder)
    .filter(name => name !== 'go')
    .sort()
}

async function untilMarked(count: number): Promise<void> {
  while (marks().length < count) await new Promise(resolve => setTimeout(resolve, lookEveryMs))
}

function go(): void {
  writeFileSync(join(folder, 'go'), '')
}

async function allOf<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of source) all.push(one)
  return all
}

/** How often the journal says of each task of a job that it has a result. */
async function resultsOf(job: string): Promise<Record<number, number>> {
  const found: Record<number, number> = {}
  const { lines } = await cluster.story(job)
  for (const { kind, text } of lines) {
    const range = kind === 'TasksFinished' ? /tasks? (\d+)(?: to (\d+))?/.exec(text) : null
    if (!range) continue
    for (let index = Number(range[1]); index <= Number(range[2] ?? range[1]); index++) found[index] = (found[index] ?? 0) + 1
  }
  return found
}

before(async () => {
  await cox('up', '--detach', '--workers', String(workers), '--executors', '1')
  const { COX_URL: _url, ...env } = process.env
  process.env = { ...env, COX_HOME: home }
  cluster = await connect({ local: false })
})

beforeEach(() => {
  folder = join(home, `marks-${tests++}`)
  mkdirSync(folder)
})

after(async () => {
  await cluster?.close()
  await cox('down', '--force')
  rmSync(home, { recursive: true, force: true })
})

describe('kill -9', { timeout: testTimeoutMs }, () => {
  it('of the leader: no call fails, what ran is not run again, what waited runs', async () => {
    const { leader } = await cluster.status()
    const calls = Array.from({ length: workers * 3 }, (_, index) => cluster.run(mark, { folder, index }))
    const job = await cluster.submit(mark, { folder, index: 100 }, { id: 'acknowledged' })
    await untilMarked(workers)
    process.kill(leader.pid, 'SIGKILL')
    // Answered by the next leader.
    const next = await cluster.status()
    assert.equal(next.leader.epoch, leader.epoch + 1)
    go()
    const results = await Promise.all(calls)
    assert.deepEqual(
      results,
      calls.map((_, index) => ({ index, attempt: 1 })),
    )
    assert.deepEqual(await job.result(), { index: 100, attempt: 1 })
    assert.deepEqual(marks(), [...calls.map((_, index) => `${index}-1`), '100-1'].sort())
  })

  it('of a worker: its task runs again, and each task has one result', async () => {
    const inputs = Array.from({ length: workers * 2 }, (_, index) => ({ folder, index }))
    const results = allOf(cluster.map(mark, inputs, { id: 'workers-die' }))
    await untilMarked(workers)
    const [victim] = await cluster.workers()
    process.kill(victim!.pid, 'SIGKILL')
    const started = marks()
    await untilMarked(started.length + 1)
    go()
    assert.deepEqual(
      (await results).map(({ index }) => index),
      inputs.map(({ index }) => index),
    )
    assert.deepEqual(await resultsOf('workers-die'), { 0: 1, 1: 1, 2: 1, 3: 1 })
  })

  it('of a client: the job that it submitted goes on', async () => {
    const source = `
      const { connect } = await import(${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)})
      const { mark } = await import(${JSON.stringify(new URL('./tasks.ts', import.meta.url).href)})
      const cluster = await connect({ local: false })
      await cluster.submit(mark, { folder: ${JSON.stringify(folder)}, index: 7 }, { id: 'orphan' })
      process.stdout.write('submitted')`
    const client = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(client.stdout, 'data')
    client.kill('SIGKILL')
    await once(client, 'exit')
    await untilThere(join(folder, '7-1'))
    go()
    assert.deepEqual(await cluster.job('orphan').result(), { index: 7, attempt: 1 })
  })

  it('of everything at once: what was acknowledged is there, jobs and results', async () => {
    const done = await cluster.submit(mark, { folder, index: 1 }, { id: 'done-before' })
    go()
    assert.deepEqual(await done.result(), { index: 1, attempt: 1 })
    rmSync(join(folder, 'go'))
    await cluster.submit(mark, { folder, index: 2 }, { id: 'running-then' })
    await untilThere(join(folder, '2-1'))
    const { supervisor, nodes } = JSON.parse(readFileSync(join(home, 'up.json'), 'utf8')) as {
      supervisor: { pid: number }
      nodes: { pid: number }[]
    }
    for (const { pid } of [supervisor, ...nodes]) process.kill(pid, 'SIGKILL')
    await cox('up', '--detach', '--workers', String(workers), '--executors', '1')
    go()
    assert.deepEqual(await cluster.job('done-before').result(), { index: 1, attempt: 1 })
    assert.equal(((await cluster.job('running-then').result()) as { index: number }).index, 2)
  })
})

describe('without a token', () => {
  it('only /healthz answers: not the leader, not a worker', async () => {
    const { leader, workers: known } = await cluster.status()
    const address = leader.address.replace(/^ws/, 'http')
    assert.equal(await (await fetch(`${address}/healthz`)).text(), 'ok\n')
    for (const base of [address, ...known.map(({ blocks }) => blocks)]) {
      for (const path of ['/', '/metrics', '/healthz/', `/blocks/${'a'.repeat(64)}`, '/blocks/..%2f..%2ftokens%2fuser']) {
        for (const method of ['GET', 'PUT', 'POST', 'DELETE']) {
          const { status } = await fetch(base + path, { method, headers: { authorization: 'Bearer guessed' } })
          assert.equal(status, 401, `${method} ${base}${path}: ${status}`)
        }
      }
    }
  })
})
