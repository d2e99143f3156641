// Owns the tests of blocks: large results and inputs, the block server, and what happens when bytes are lost or damaged.
// Must not depend on which task asks for them.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { nodeWeb } from '../../src/platform/node/index.ts'
import { blockPathType, decodeValue, encodeValue } from '../../src/protocol/index.ts'
import { BlockServer } from '../../src/worker/blocks/server.ts'
import { BlockStore } from '../../src/worker/blocks/store.ts'
import { blockAt, blockChunk, FakeLeader, failureAt, plan, programOf, type Stand, stand, values } from './fakes.ts'
import { accessTo, capabilityOf, granted } from './grants.ts'

const tasks = programOf({
  make: 'bytes => Buffer.alloc(bytes, 7)',
  nested: 'bytes => ({ rows: [{ data: new Uint8Array(bytes).fill(3) }], text: "é".repeat(10) })',
  text: 'length => "é".repeat(length)',
  many: 'count => Array.from({ length: count }, (_, i) => ({ i, name: "row " + i }))',
  size: 'input => input.length',
})

function reference(value: unknown, holder: string): { block: string; bytes: number; holder: string; data: Buffer } {
  const data = Buffer.concat(encodeValue(value))
  return { block: createHash('sha256').update(data).digest('hex'), bytes: data.length, holder, data }
}

describe('results and inputs that are blocks', () => {
  let cluster: Stand
  let program: string

  before(async () => {
    cluster = await stand()
    program = cluster.leader.program(tasks)
  })
  after(() => cluster[Symbol.asyncDispose]())

  for (const [task, input, length] of [
    ['make', 70_000, 70_000],
    ['nested', 200_000, undefined],
    ['text', 50_000, 50_000],
    ['many', 20_000, 20_000],
  ] as const) {
    test(`a large result is a block on disk before it is reported: ${task}`, async () => {
      const { leader, folder } = cluster
      const lane = leader.assign(plan(program, task), [input])
      const block = blockAt(await leader.ended(lane, 1), 0)
      assert.equal(block.holder, 'w1')
      const bytes = readFileSync(join(folder, 'blocks', block.block))
      assert.equal(bytes.length, block.bytes)
      assert.equal(createHash('sha256').update(bytes).digest('hex'), block.block)
      const value = decodeValue(bytes)
      if (length !== undefined) assert.equal((value as ArrayLike<unknown>).length, length)
      const report = leader.messages.findLast(one => one.kind === 'report' && one.lane === lane)
      assert.ok(report?.kind === 'report' && report.outcomes[0]?.kind === 'finished')
      assert.deepEqual(report.outcomes[0].blocks, [{ index: 0, block: block.block, bytes: block.bytes, holder: 'w1' }])
      const response = await fetch(`${cluster.agent.blocks}/blocks/${block.block}`, { headers: granted() })
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes)
    })
  }

  test('a small result is none', async () => {
    const lane = cluster.leader.assign(plan(program, 'make'), [60_000])
    assert.equal((values(await cluster.leader.ended(lane, 1))[0] as Buffer).length, 60_000)
  })

  test('an input in the own folder is read from there', async () => {
    const { leader, folder } = cluster
    const own = reference(Buffer.alloc(100_000, 9), 'w1')
    writeFileSync(join(folder, 'blocks', own.block), own.data)
    const lane = leader.assignChunk(plan(program, 'size'), blockChunk(own), 1)
    assert.deepEqual(values(await leader.ended(lane, 1)), [100_000])
  })

  test('an input of another worker is fetched and checked', async () => {
    const { leader, folder } = cluster
    await using other = await stand({ name: 'w2', fake: new FakeLeader() })
    leader.locations.set('w2', other.agent.blocks)
    const theirs = reference(Buffer.alloc(300_000, 5), 'w2')
    writeFileSync(join(other.folder, 'blocks', theirs.block), theirs.data)
    const lane = leader.assignChunk(plan(program, 'size'), blockChunk(theirs), 1)
    assert.deepEqual(values(await leader.ended(lane, 1)), [300_000])
    assert.deepEqual(readdirSync(join(folder, 'copies')), [theirs.block])
    assert.ok(!existsSync(join(folder, 'blocks', theirs.block)), 'a copy is not an own block')

    const damaged = reference(Buffer.alloc(300_000, 6), 'w2')
    writeFileSync(join(other.folder, 'blocks', damaged.block), Buffer.alloc(damaged.bytes, 1))
    const bad = leader.assignChunk(plan(program, 'size'), blockChunk(damaged), 1)
    const failure = failureAt(await leader.ended(bad, 1), 0)
    assert.equal(failure.code, 'BLOCK_CORRUPT')
    assert.equal(failure.retryable, true)
    assert.deepEqual(readdirSync(join(folder, 'copies')), [theirs.block])

    const gone = leader.assignChunk(plan(program, 'size'), blockChunk(reference(Buffer.alloc(300_000, 8), 'w2')), 1)
    assert.equal(failureAt(await leader.ended(gone, 1), 0).code, 'BLOCK_LOST')
  })

  test('an own block whose bytes have changed is not used', async () => {
    const { leader, folder } = cluster
    const own = reference(Buffer.alloc(100_000, 4), 'w1')
    own.data[50_000] = 1
    writeFileSync(join(folder, 'blocks', own.block), own.data)
    const lane = leader.assignChunk(plan(program, 'size'), blockChunk(own), 1)
    assert.equal(failureAt(await leader.ended(lane, 1), 0).code, 'BLOCK_CORRUPT')
    assert.ok(existsSync(join(folder, 'blocks', own.block)), 'it is left for people to look at')
  })

  test('what the leader drops is gone, what a killed writer left too', async () => {
    const { leader, folder, options, platform } = cluster
    const lane = leader.assign(plan(program, 'make'), [70_001])
    const { block } = blockAt(await leader.ended(lane, 1), 0)
    const path = join(folder, 'blocks', block)
    const young = blockAt(await leader.ended(leader.assign(plan(program, 'make'), [70_002]), 1), 0).block
    const longAgo = new Date(Date.now() - 60_000)
    utimesSync(path, longAgo, longAgo)
    leader.send({ kind: 'dropBlocks', epoch: leader.epoch, blocks: [young, block], holder: 'w1' })
    while (existsSync(path)) await new Promise(resolve => setImmediate(resolve))
    assert.ok(existsSync(join(folder, 'blocks', young)), 'what was stored just now may be named by a fact that is under way')
    const left = join(folder, 'blocks', `${'0'.repeat(64)}.1.2.tmp`)
    writeFileSync(left, 'half')
    const store = new BlockStore(join(folder, 'blocks'), join(folder, 'copies'))
    await store.open()
    assert.ok(!existsSync(left))
    assert.ok(options.name === 'w1' && platform)
  })

  test('blocks outlive their worker, and are served by its next life', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cox-worker-'))
    let block = ''
    {
      await using first = await stand({ folder })
      const lane = first.leader.assign(plan(first.leader.program(tasks), 'make'), [80_000])
      block = blockAt(await first.leader.ended(lane, 1), 0).block
    }
    await using second = await stand({ folder })
    const response = await fetch(`${second.agent.blocks}/blocks/${block}`, { headers: granted() })
    const bytes = Buffer.from(await response.arrayBuffer())
    assert.equal(createHash('sha256').update(bytes).digest('hex'), block)
    rmSync(folder, { recursive: true })
  })

  test('a result that the disk has no room for fails typed, and leaves nothing', async t => {
    if (process.getuid?.() !== 0 || process.platform !== 'linux') return t.skip('needs to mount a small tmpfs: root on Linux only')
    await using small = await stand()
    const blocks = join(small.folder, 'blocks')
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=700', 'tmpfs', blocks])
    try {
      const other = small.leader.program(tasks)
      const lane = small.leader.assign(plan(other, 'make'), [4 << 20, 100_000])
      const log = await small.leader.ended(lane, 2)
      const failure = failureAt(log, 0)
      assert.equal(failure.code, 'TASK_FAILED')
      assert.match(failure.message, /ENOSPC/)
      assert.deepEqual(readdirSync(blocks), [blockAt(log, 1).block])
    } finally {
      execFileSync('umount', ['-l', blocks])
    }
  })
})

describe('the block server', () => {
  let server: BlockServer
  let folder: string
  let cluster: Stand

  before(async () => {
    cluster = await stand()
    folder = join(cluster.folder, 'more')
    mkdirSync(folder)
    const store = new BlockStore(join(folder, 'blocks'), join(folder, 'copies'))
    await store.open()
    server = new BlockServer(store, { web: nodeWeb, host: '127.0.0.1', name: 'w1', access: accessTo('w1'), tier: undefined })
    await server.listen()
  })
  after(async () => {
    await server.close()
    await cluster[Symbol.asyncDispose]()
  })

  const data = Buffer.from('the bytes of a block')
  const block = createHash('sha256').update(data).digest('hex')

  function ask(method: string, name: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${server.address}/blocks/${name}`, {
      method,
      ...init,
      headers: { ...granted({ operation: method === 'PUT' ? 'write' : 'read' }), ...init.headers },
    })
  }

  test('stores what has the hash it is named by, and gives it back in ranges', async () => {
    assert.equal((await ask('GET', block)).status, 404)
    assert.equal((await ask('PUT', block, { body: data })).status, 201)
    assert.equal((await ask('PUT', block, { body: data })).status, 200)
    assert.equal(statSync(join(folder, 'blocks', block)).mode & 0o777, 0o600)
    const whole = await ask('GET', block)
    assert.deepEqual(Buffer.from(await whole.arrayBuffer()), data)
    const part = await ask('GET', block, { headers: { range: 'bytes=4-8' } })
    assert.equal(part.status, 206)
    assert.equal(part.headers.get('content-range'), `bytes 4-8/${data.length}`)
    assert.equal(await part.text(), 'bytes')
    assert.equal(await (await ask('GET', block, { headers: { range: 'bytes=15-' } })).text(), 'block')
    assert.equal((await ask('GET', block, { headers: { range: 'bytes=99-' } })).status, 416)
    assert.equal((await ask('GET', block, { headers: { range: 'bytes=oops' } })).status, 416)
    const head = await ask('HEAD', block)
    assert.equal(head.headers.get('content-length'), String(data.length))
  })

  test('names the file to who asks for that and is on this machine', async () => {
    const response = await ask('GET', block, { headers: { accept: blockPathType } })
    assert.equal(response.headers.get('content-type'), blockPathType)
    assert.deepEqual(readFileSync(await response.text()), data)
    assert.deepEqual(Buffer.from(await (await ask('GET', block)).arrayBuffer()), data)
  })

  test('refuses bytes that do not have the hash, and keeps nothing of them', async () => {
    const wrong = '1'.repeat(64)
    const response = await ask('PUT', wrong, { body: data })
    assert.equal(response.status, 400)
    assert.equal(((await response.json()) as { code: string }).code, 'BLOCK_CORRUPT')
    assert.ok(readdirSync(join(folder, 'blocks')).every(name => name === block))
  })

  test('takes no name that is not a hash', async () => {
    for (const name of ['', '..', '%2e%2e/epoch.json', '../epoch.json', 'A'.repeat(64), `${block}x`, `${block}/..`, `${block}%00`]) {
      assert.equal((await ask('GET', name)).status, 404, name)
      assert.equal((await ask('PUT', name, { body: data })).status, 404, name)
    }
  })

  test('tells nothing to who brings nothing, or what is no capability', async () => {
    for (const [headers, status] of [
      [{}, 401],
      [{ authorization: 'Bearer wrong' }, 403],
      [{ authorization: `Basic ${capabilityOf()}` }, 401],
    ] as [Record<string, string>, number][]) {
      const response = await fetch(`${server.address}/blocks/${block}`, { headers })
      assert.equal(response.status, status)
    }
  })

  test('takes no other methods, and nothing larger than a block', async () => {
    assert.equal((await ask('DELETE', block)).status, 405)
    const { request } = await import('node:http')
    const status = await new Promise<number | undefined>(resolve => {
      const headers = { ...granted({ operation: 'write' }), 'content-length': 9 * 2 ** 30, expect: '100-continue' }
      const sent = request(`${server.address}/blocks/${'2'.repeat(64)}`, { method: 'PUT', headers }, response => {
        response.resume()
        resolve(response.statusCode)
        sent.destroy()
      })
      sent.on('error', () => undefined)
      sent.flushHeaders()
    })
    assert.equal(status, 413)
  })
})
