// Owns the tests of bad input that need a real cluster; the table says where each kind of bad input is tested.
// Must not repeat what another file shows.
//
// | bad input | test |
// | --- | --- |
// | two tasks of one name | here (two modules of one program, and `cox run`); test/client/define.test.ts |
// | negative, NaN resources | test/client/define.test.ts, test/core/jobs.test.ts; here the exit code |
// | impossible resources | here: memory, cpus, a named resource nobody has; test/cli/cluster.test.ts |
// | inputs and results that do not travel | here; test/protocol/values.test.ts, test/client/run.test.ts, test/client/map.test.ts |
// | schema violations | client: test/client/run.test.ts and map.test.ts; server, from a client that skips them: here |
// | job id reuse | test/cli/cluster.test.ts, test/client/run.test.ts; after a restart of the leader: crash.test.ts |
// | a program that does not bundle | test/cli/cluster.test.ts; here from the SDK |
// | … that throws while loading, connects while loading | here |
// | a result after cancel | here |
// | port taken | test/cli/cluster.test.ts |
// | state folder read-only, full, foreign | bad-state.test.ts; test/cli/state.test.ts, test/journal/folder.test.ts and full-disk.test.ts |
// | … owned by a live cluster | test/cli/cluster.test.ts, test/cli/state.test.ts |
// | corrupt journal byte | bad-state.test.ts; each byte: test/journal/damage.test.ts |
// | wrong token | here, from the SDK and by HTTP; test/cli/cluster.test.ts |
// | a newer client, a newer leader | here; test/client/session.test.ts |
// | clock set back | bad-state.test.ts |
// | SIGINT in every phase of `cox up` | test/cli/up.test.ts |
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Home } from '../../src/cli/state/home.ts'
import { readToken } from '../../src/cli/state/tokens.ts'
import { connect, type Task, TaskFailedError } from '../../src/index.ts'
import { nodeTransport } from '../../src/platform/node/index.ts'
import { decodeMessage, encodeMessage, hello, limits, protocolVersion, type Welcome, welcome } from '../../src/protocol/index.ts'
import { errorOf, FaultCluster, linesOf, rejection, until } from './harness.ts'
import { deaf, echo, root, unsendable } from './tasks.ts'

const library = new URL('../../src/index.ts', import.meta.url).href

describe('bad input', { timeout: 90_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('input', ['--workers', '1', '--executors', '1', '--cpus', '2', '--memory', '1gb'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  /** Writes a module that uses our SDK, and gives its path. */
  function module(name: string, source: string): string {
    const path = cluster.path(name)
    writeFileSync(path, `import { connect, task } from ${JSON.stringify(library)}\n${source}`)
    return path
  }

  async function load(path: string): Promise<Record<string, Task<unknown, unknown>>> {
    return (await import(pathToFileURL(path).href)) as Record<string, Task<unknown, unknown>>
  }

  /** The slot and the leader are as they were. */
  async function stillWell(): Promise<void> {
    assert.equal(await cluster.client.run(echo, 'well'), 'well')
  }

  test('two tasks of one name', async () => {
    const twice = module(
      'twice.mjs',
      `export const a = task({ name: 'x', run: () => 1 })\nexport const b = task({ name: 'x', run: () => 2 })\n`,
    )
    const ran = await cluster.cox(['run', `${twice}#a`, '--json'])
    assert.deepEqual([ran.code, errorOf(ran).code], [2, 'DUPLICATE_TASK'])
    assert.match(errorOf(ran).message, /named x: at line 2:.* and at line 3:/)
    module('other.mjs', `export const other = task({ name: 'y', run: () => 1 })\n`)
    const { mine } = await load(
      module('re-exports.mjs', `export * from './other.mjs'\nexport const mine = task({ name: 'y', run: () => 2 })\n`),
    )
    const error = await rejection(cluster.client.run(mine!), 'PROGRAM_LOAD_FAILED')
    assert.match(error.message, /Two tasks of this program are named y/)
    await stillWell()
  })

  test('resources that cannot be', async () => {
    for (const [amount, said] of [
      ['cpus: -1', 'cpus is -1'],
      ['memory: NaN', 'memory is NaN'],
    ] as const) {
      const path = module(`amounts-${amount.length}.mjs`, `export const x = task({ name: 'x', ${amount}, run: () => 1 })\n`)
      const ran = await cluster.cox(['run', path, '--json'])
      assert.deepEqual([ran.code, errorOf(ran).code], [2, 'INVALID_RESOURCES'])
      assert.ok(errorOf(ran).message.includes(said), errorOf(ran).message)
      assert.match(errorOf(ran).advice, /finite, non-negative/)
    }
  })

  test('resources that nobody has: it stays pending, and why says the rule and the numbers', async () => {
    const tasks = await load(
      module(
        'impossible.mjs',
        `export const cpus = task({ name: 'cpus', cpus: 8, run: () => 1 })
         export const memory = task({ name: 'memory', memory: '4gb', run: () => 1 })
         export const licence = task({ name: 'licence', resources: { licence: 3 }, run: () => 1 })\n`,
      ),
    )
    for (const [name, said] of [
      ['cpus', /asks for 8 cpus; .*2 on worker-1/],
      ['memory', /asks for 4096 MiB of memory; .*1024 MiB on worker-1/],
      ['licence', /asks for 3 of licence; .*0 on worker-1/],
    ] as const) {
      const job = await cluster.client.submit(tasks[name]!, undefined, { id: `impossible-${name}` })
      await stillWell()
      const view = await job.status()
      assert.deepEqual([view.state, view.tasks.waiting], ['running', 1])
      const [why] = await cluster.client.why(job.id)
      assert.equal(why!.rule, 'resources-too-large')
      assert.match(why!.text, said)
      await job.cancel()
    }
  })

  test('what does not travel', async () => {
    const error = await rejection(cluster.client.run(echo, { list: [1, { handler: () => 1 }] }), 'VALUE_CANNOT_TRAVEL')
    assert.equal(error.id, 'input.list[1].handler')
    const failed = await rejection(cluster.client.run(unsendable), 'TASK_RESULT_INVALID')
    assert.match(failed.message, /deep\[0\]\.handler/)
    await stillWell()
  })

  test('a schema that its client skips is kept by the worker', async () => {
    assert.equal(await cluster.client.run(root, 16), 4)
    await rejection(cluster.client.run(root, -4), 'SCHEMA_VIOLATION')
    const unchecked = { ...root, input: undefined }
    const error = await rejection(cluster.client.run(unchecked, -4), 'SCHEMA_VIOLATION')
    assert.match(error.message, /must be a number above 0/)
    assert.ok(error instanceof TaskFailedError)
    await stillWell()
  })

  test('a program that does not bundle', async () => {
    const path = module('unbundled.mjs', `export const x = task({ name: 'x', run: async () => (await import('./nowhere.mjs')).y })\n`)
    const error = await rejection(cluster.client.run((await load(path))['x']!), 'PROGRAM_BUILD_FAILED')
    assert.match(error.message, /nowhere\.mjs/)
    assert.match(error.message, /unbundled\.mjs/)
  })

  test('a program that throws while it loads', async () => {
    const path = module(
      'throws.mjs',
      `if (Reflect.has(globalThis, Symbol.for('coxswain.executor'))) throw new Error('no such luck')\nexport const x = task({ name: 'x', run: () => 1 })\n`,
    )
    const { x } = await load(path)
    const error = await rejection(cluster.client.run(x!), 'PROGRAM_LOAD_FAILED')
    assert.match(error.message, /no such luck/)
    assert.ok(error instanceof TaskFailedError)
    assert.match(error.remoteStack, /throws\.mjs:2/)
    await stillWell()
  })

  test('a program that connects while it loads', async () => {
    const path = module(
      'connects.mjs',
      `export const x = task({ name: 'x', run: () => 1 })
const cluster = await connect({ local: false })
try { console.log(await cluster.run(x)) } catch (error) { console.log(error.code + ' ' + error.advice) }
await cluster.close()\n`,
    )
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path], {
      env: { ...process.env, COX_HOME: cluster.home },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said] = await Promise.all([text(child.stdout), once(child, 'close')])
    assert.match(said, /^CONNECT_WHILE_LOADING .*import\.meta\.main/)
    await stillWell()
  })

  test('a result after cancel changes nothing', async () => {
    const { client } = cluster
    const trace = cluster.path('deaf-trace')
    const open = cluster.path('deaf-gate')
    const job = await client.submit(deaf, { trace, open })
    await until('it runs', () => linesOf(trace).length === 1)
    await job.cancel('changed my mind')
    writeFileSync(open, '')
    await rejection(job.result(), 'TASK_CANCELLED')
    await until('it ends all the same', () => linesOf(trace).length === 2)
    await stillWell()
    const view = await job.status()
    assert.deepEqual([view.state, view.reason, view.tasks.succeeded, view.tasks.cancelled], ['cancelled', 'changed my mind', 0, 1])
    await rejection(job.result(), 'TASK_CANCELLED')
  })

  test('a wrong token, or none', async () => {
    const { address } = (await cluster.client.status()).leader
    const error = await rejection(connect({ url: address, token: 'x'.repeat(43) }), 'UNAUTHENTICATED')
    assert.match(error.advice, /COX_TOKEN_FILE/)
    // The nodes' secret does not make a client.
    await rejection(connect({ url: address, token: readToken(new Home(cluster.home), 'node') }), 'FORBIDDEN')
    const http = address.replace('ws:', 'http:')
    assert.equal((await fetch(`${http}/healthz`)).status, 200)
    for (const path of ['/', '/status', '/healthz/..%2f', '//healthz', '/metrics'])
      assert.equal((await fetch(http + path)).status, 401, path)
    assert.equal((await fetch(`${http}/healthz`, { method: 'POST' })).status, 401)
    const [worker] = await cluster.client.workers()
    for (const path of ['/', `/blocks/${'0'.repeat(64)}`, '/blocks/..%2f..%2ftokens%2fuser'])
      assert.equal((await fetch(worker!.blocks + path)).status, 401, path)
  })

  test('a newer client is refused in words, whatever else it says', async () => {
    const { address } = (await cluster.client.status()).leader
    const answer = Promise.withResolvers<Welcome>()
    const ended = Promise.withResolvers<void>()
    const connection = nodeTransport.connect(address, readToken(new Home(cluster.home), 'user'), limits.frameBytesMax, {
      opened() {
        const greeting = {
          protocol: protocolVersion + 1,
          release: '99.0.0',
          role: 'client' as const,
          name: 'newer',
          cluster: '',
          epochSeen: 0,
        }
        connection.send(encodeMessage(hello, { ...greeting, session: 'of-another-age' }))
      },
      frame: bytes => answer.resolve(decodeMessage(welcome, bytes)),
      closed: () => ended.resolve(),
    })
    const refused = await answer.promise
    assert.ok(refused.kind === 'refused')
    assert.equal(refused.code, 'VERSION_MISMATCH')
    assert.match(
      refused.message,
      new RegExp(`protocol ${protocolVersion + 1} \\(release 99\\.0\\.0\\); this leader speaks ${protocolVersion} `),
    )
    await ended.promise
    await stillWell()
  })
})
