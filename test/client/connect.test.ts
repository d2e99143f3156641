// Holds `connect` to which cluster it finds and what it says where there is none, over real sockets.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, describe, test } from 'node:test'
import { connect } from '../../src/client/index.ts'
import type { Listener } from '../../src/platform/index.ts'
import { nodeTransport } from '../../src/platform/node/index.ts'
import { limits } from '../../src/protocol/index.ts'
import { FakeConnection, FakeLeader } from './fake-leader.ts'
import { echo } from './fixture.ts'

const folders: string[] = []
const listeners: Listener[] = []
const { COX_HOME, COX_URL, COX_TOKEN_FILE } = process.env

after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true })
})

/** A state folder in which no cluster is up. */
async function freshHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'connect '))
  folders.push(home)
  return home
}

beforeEach(async () => {
  delete process.env['COX_URL']
  delete process.env['COX_TOKEN_FILE']
  process.env['COX_HOME'] = await freshHome()
})

afterEach(async () => {
  for (const listener of listeners.splice(0)) await listener.close()
  for (const [name, value] of Object.entries({ COX_HOME, COX_URL, COX_TOKEN_FILE })) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
})

/** The leader on a real port of this machine. */
async function listen(leader: FakeLeader): Promise<Listener> {
  const listener = await nodeTransport.listen({
    host: '127.0.0.1',
    port: 0,
    frameBytesMax: limits.frameBytesMax,
    authenticate: ({ token }) => (token === leader.token ? 'client' : undefined),
    healthy: () => true,
    accept(connection) {
      const fake = new FakeConnection(leader, {
        opened: () => undefined,
        frame: bytes => connection.send(bytes),
        closed: reason => connection.close(reason),
      })
      leader.connections.add(fake)
      return { opened: () => undefined, frame: bytes => fake.receive(bytes), closed: reason => fake.end(reason) }
    },
  })
  listeners.push(listener)
  return listener
}

async function writeHome(home: string, address: string, token: string, pid = process.pid): Promise<void> {
  await mkdir(join(home, 'tokens'), { recursive: true })
  await writeFile(join(home, 'tokens', 'user'), `${token}\n`)
  await writeFile(join(home, 'cluster.json'), JSON.stringify({ address, cluster: 'cluster-1', pid, epoch: 1, startedAtMs: 1 }))
}

describe('connect', () => {
  test('to an address with a token, from options or files', async () => {
    const leader = new FakeLeader()
    const { address } = await listen(leader)
    const home = process.env['COX_HOME']!
    await writeFile(join(home, 'my-token'), leader.token)
    {
      await using cluster = await connect({ url: address, token: leader.token, name: 'tester' })
      assert.equal(await cluster.run(echo, 5), 5)
      assert.equal(cluster.id, 'cluster-1')
      assert.equal([...leader.connections][0]!.hello!.name, 'tester')
    }
    {
      await using cluster = await connect({ url: address.replace('ws:', 'http:'), tokenFile: join(home, 'my-token') })
      assert.equal(await cluster.run(echo, 6), 6)
    }
    process.env['COX_URL'] = address
    process.env['COX_TOKEN_FILE'] = join(home, 'my-token')
    await using cluster = await connect()
    assert.equal(await cluster.run(echo, 7), 7)
  })

  test('to the cluster of the state folder, also when it moves', async () => {
    const leader = new FakeLeader()
    const home = process.env['COX_HOME']!
    const first = await listen(leader)
    await writeHome(home, first.address, leader.token)
    await using cluster = await connect()
    assert.equal(await cluster.run(echo, 1), 1)
    await first.close()
    listeners.length = 0
    leader.epoch = 2
    const call = cluster.run(echo, 2)
    await writeHome(home, (await listen(leader)).address, leader.token)
    assert.equal(await call, 2)
  })

  test('a wrong or missing token', async () => {
    const { address } = await listen(new FakeLeader())
    await assert.rejects(connect({ url: address, token: 'wrong' }), { code: 'UNAUTHENTICATED' })
    await assert.rejects(connect({ url: address, tokenFile: '/not/there' }), { code: 'UNAUTHENTICATED', message: /not\/there/ })
    await assert.rejects(connect({ url: address }), { code: 'UNAUTHENTICATED' })
  })

  test('nobody there, a bad address, an abort', async () => {
    await assert.rejects(connect({ local: false }), { code: 'NO_CLUSTER' })
    await assert.rejects(connect({ url: 'ws://127.0.0.1:9', token: 'x', timeout: 50 }), { code: 'UNAVAILABLE' })
    await assert.rejects(connect({ url: 'nonsense', token: 'x' }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(connect({ url: 'ftp://x', token: 'x' }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(connect({ url: 'ws://127.0.0.1:9', token: 'x', timeout: 'soon' }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(connect({ url: 'ws://127.0.0.1:9', token: 'x', signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
    // What a dead leader left behind is no cluster.
    await writeHome(process.env['COX_HOME']!, 'ws://127.0.0.1:9', 'x', 2 ** 22 + 5)
    await assert.rejects(connect({ local: false }), { code: 'NO_CLUSTER' })
  })

  test('in a program on a worker it explains itself', async () => {
    const mark = Symbol.for('coxswain.executor')
    Object.assign(globalThis, { [mark]: true })
    try {
      await assert.rejects(connect(), { code: 'CONNECT_WHILE_LOADING' })
    } finally {
      Reflect.deleteProperty(globalThis, mark)
    }
  })
})
