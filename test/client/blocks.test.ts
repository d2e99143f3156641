// Holds large values to their way over blocks: stored before they are named, fetched and checked, gone on with where a connection broke.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  blockBearerHeader,
  blockHolderHeader,
  blockPathType,
  decodeValue,
  encodeValue,
  limits,
  type WorkerAddress,
} from '../../src/protocol/index.ts'
import { connected, echo, type Fixture } from './fixture.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => boolean

/** A worker's block server as far as clients see it. */
class BlockStore implements AsyncDisposable {
  readonly blocks = new Map<string, Buffer>()
  readonly requests: string[] = []
  /** Capabilities that begin so are believed. */
  granted = 'first'
  /** True: it has answered. */
  intercept: Handler = () => false
  readonly #server: Server

  constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = request.url!.replace('/blocks/', '')
    this.requests.push(`${request.method} ${request.headers.range ?? ''}`.trim())
    const right = request.method === 'PUT' ? 'to-write' : 'to-read'
    const { authorization, [blockBearerHeader]: bearer } = request.headers
    if (authorization !== `Bearer ${this.granted}-${right}` || bearer !== encodeURIComponent(knownAs))
      return void response.writeHead(403).end('who are you')
    if (this.intercept(request, response)) return
    if (request.method === 'PUT') {
      const pieces: Buffer[] = []
      for await (const piece of request) pieces.push(piece as Buffer)
      const bytes = Buffer.concat(pieces)
      if (createHash('sha256').update(bytes).digest('hex') !== name) return void response.writeHead(400).end('another hash')
      this.blocks.set(name, bytes)
      return void response.writeHead(201).end()
    }
    const bytes = this.blocks.get(name)
    if (!bytes) return void response.writeHead(404).end('no such block')
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length - from }).end(bytes.subarray(from))
  }

  async listen(): Promise<string> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  put(value: unknown): { block: string; bytes: number; holder: string } {
    const bytes = Buffer.concat(encodeValue(value))
    const block = createHash('sha256').update(bytes).digest('hex')
    this.blocks.set(block, bytes)
    return { block, bytes: bytes.length, holder: 'worker-1' }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }
}

/** By which name the leader lets the client ask. */
const knownAs = 'known as'

/** A worker as the leader tells of it. */
function addressOf(worker: string, blocks: string, granted = 'first', holds?: boolean): WorkerAddress {
  return { worker, blocks, bearer: knownAs, read: `${granted}-to-read`, write: `${granted}-to-write`, ...(holds && { holds }) }
}

async function withStore(): Promise<{ f: Fixture; store: BlockStore } & AsyncDisposable> {
  const store = new BlockStore()
  const address = await store.listen()
  const f = await connected()
  f.leader.view = view => (view === 'locate' ? [addressOf('worker-1', address, store.granted)] : undefined)
  return {
    f,
    store,
    async [Symbol.asyncDispose]() {
      await f.cluster.close()
      await store[Symbol.asyncDispose]()
    },
  }
}

describe('inputs', () => {
  test('above the limit they are stored first and named, by run, submit and map', async () => {
    await using both = await withStore()
    const { f, store } = both
    const large = { name: 'x', bytes: Buffer.alloc(limits.inlineBytesMax + 1, 5) }
    const items: unknown[] = []
    f.leader.run = (_task, input) => {
      items.push(input)
      return { value: 'done' }
    }
    const results = await Promise.all([
      f.cluster.run(echo, 1),
      f.cluster.run(echo, large),
      f.cluster.run(echo, 'x'.repeat(limits.inlineBytesMax)),
    ])
    assert.deepEqual(results, ['done', 'done', 'done'])
    const handle = await f.cluster.submit(echo, large, { id: 'with-block' })
    assert.equal(await handle.result(), 'done')
    await f.cluster.submit(echo, large, { id: 'with-block' })
    let count = 0
    for await (const result of f.cluster.map(echo, [1, large, 2, large, 3], { id: 'mapped' })) if (result === 'done') count++
    assert.equal(count, 5)
    const references = items.filter(item => typeof item === 'object') as { block: string; holder: string }[]
    assert.equal(references.length, 5)
    for (const reference of references) assert.equal(reference.holder, 'worker-1')
    assert.deepEqual(decodeValue(store.blocks.get(references.at(-1)!.block)!), large)
    // They are listed beside the chunk, by the number of their task.
    const listed = f.leader.received.flatMap(message => {
      if (message.kind === 'addTasks') return message.job === 'mapped' ? message.inputs.blocks : []
      if (message.kind !== 'submitJobs') return []
      return message.jobs.flatMap(job => (job.plan.job === 'mapped' ? job.inputs : [])).flatMap(inputs => inputs.blocks)
    })
    assert.deepEqual(
      listed.map(block => block.index),
      [1, 3],
    )
  })

  test('order is kept while they are stored', async () => {
    await using both = await withStore()
    const { f, store } = both
    f.leader.run = (_task, input) => ({ value: typeof input === 'number' ? input : decodeLength(store, input) })
    const inputs = Array.from({ length: 40 }, (_, i) => (i % 3 === 0 ? Buffer.alloc(70_000 + i) : i))
    const results: unknown[] = []
    for await (const result of f.cluster.map(echo, inputs)) results.push(result)
    assert.deepEqual(
      results,
      inputs.map(input => (typeof input === 'number' ? input : input.length)),
    )
  })

  test('a worker that is gone is tried again elsewhere', async () => {
    await using both = await withStore()
    const { f, store } = both
    let broken = 0
    store.intercept = (request, response) => {
      if (request.method !== 'PUT' || broken++ >= 2) return false
      response.destroy()
      return true
    }
    assert.ok(await f.cluster.submit(echo, Buffer.alloc(100_000)))
    assert.equal(store.blocks.size, 1)
  })
})

function decodeLength(store: BlockStore, reference: unknown): number {
  return (decodeValue(store.blocks.get((reference as { block: string }).block)!) as Buffer).length
}

describe('results', () => {
  test('are fetched from their holder and decoded in place', async () => {
    await using both = await withStore()
    const { f, store } = both
    const reference = store.put(new Float64Array(100_000).fill(1.5))
    f.leader.run = () => ({ block: reference })
    const result = (await f.cluster.run(echo, 1)) as Float64Array
    assert.equal(result.length, 100_000)
    assert.equal(result[99_999], 1.5)
    assert.equal(await (await f.cluster.submit(echo, 1)).result().then(value => (value as Float64Array).length), 100_000)
  })

  test('by map: in order, fetched ahead, each released once taken', async () => {
    await using both = await withStore()
    const { f, store } = both
    f.leader.run = (_task, input) => ({ block: store.put(Buffer.alloc(200_000, input as number)) })
    for (const ordered of [true, false]) {
      const firsts: number[] = []
      for await (const result of f.cluster.map(
        echo,
        Array.from({ length: 60 }, (_, i) => i),
        { ordered, id: `map-${ordered}` },
      ))
        firsts.push((result as Buffer)[0]!)
      assert.deepEqual(
        ordered ? firsts : firsts.sort((a, b) => a - b),
        Array.from({ length: 60 }, (_, i) => i),
      )
      await f.leader.when('released', () => f.leader.jobs.get(`map-${ordered}`)!.released.size === 60)
    }
  })

  test('of a worker on this machine are read from its files, where that is allowed', async () => {
    await using both = await withStore()
    const { f, store } = both
    const folder = mkdtempSync(join(tmpdir(), 'cox-test-blocks-'))
    try {
      const references = [1, 2, 3, 4].map(fill => store.put(Buffer.alloc(3_000_000, fill)))
      const sent: string[] = []
      let missing = ''
      store.intercept = (request, response) => {
        const block = request.url!.replace('/blocks/', '')
        if (!request.headers.accept?.startsWith(blockPathType)) return sent.push(block) < 0
        const path = join(folder, block)
        if (block !== missing) writeFileSync(path, store.blocks.get(block)!)
        response.writeHead(200, { 'content-type': blockPathType }).end(path)
        return true
      }
      const next = async (at: number): Promise<[number, number]> => {
        f.leader.run = () => ({ block: references[at]! })
        const result = (await f.cluster.run(echo, at)) as Buffer
        return [result.length, result[2_999_999]!]
      }
      assert.deepEqual([await next(0), await next(1), sent], [[3_000_000, 1], [3_000_000, 2], []])
      // A file that cannot be read (another user's, a container's) is fetched, and the next one is not asked for in this way again.
      missing = references[2]!.block
      assert.deepEqual(await next(2), [3_000_000, 3])
      assert.deepEqual(await next(3), [3_000_000, 4])
      assert.deepEqual(sent, [references[2]!.block, references[3]!.block])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('a file with other bytes is not believed', async () => {
    await using both = await withStore()
    const { f, store } = both
    const reference = store.put(Buffer.alloc(300_000, 3))
    const folder = mkdtempSync(join(tmpdir(), 'cox-test-blocks-'))
    try {
      const path = join(folder, reference.block)
      const other = Buffer.from(store.blocks.get(reference.block)!)
      other[200_000]! ^= 1
      writeFileSync(path, other)
      store.intercept = (_request, response) => {
        response.writeHead(200, { 'content-type': blockPathType }).end(path)
        return true
      }
      f.leader.run = () => ({ block: reference })
      await assert.rejects(async () => f.cluster.run(echo, 1), { code: 'BLOCK_CORRUPT' })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('a connection that breaks goes on where it broke', async () => {
    await using both = await withStore()
    const { f, store } = both
    const reference = store.put(Buffer.alloc(1_000_000, 3))
    let broken = 0
    store.intercept = (request, response) => {
      if (broken++ >= 2) return false
      const bytes = store.blocks.get(reference.block)!
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
      response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length - from })
      response.write(bytes.subarray(from, from + 300_000), () => response.destroy())
      return true
    }
    f.leader.run = () => ({ block: reference })
    assert.equal(((await f.cluster.run(echo, 1)) as Buffer).length, 1_000_000)
    assert.equal(store.requests.filter(request => request.startsWith('GET')).length, 3)
    assert.ok(store.requests[2]!.startsWith('GET bytes='))
  })

  test('bytes that do not match their hash are never given to anyone', async () => {
    await using both = await withStore()
    const { f, store } = both
    const reference = store.put(Buffer.alloc(100_000, 3))
    store.blocks.get(reference.block)![50_000]! ^= 1
    f.leader.run = () => ({ block: reference })
    await assert.rejects(f.cluster.run(echo, 1), { code: 'BLOCK_CORRUPT', id: reference.block })
    await assert.rejects((await f.cluster.submit(echo, 1)).result(), { code: 'BLOCK_CORRUPT' })
    await assert.rejects(f.cluster.map(echo, [1]).next(), { code: 'BLOCK_CORRUPT' })
  })

  test('more or fewer bytes than were said, a block that is gone, a capability that is refused', async () => {
    await using both = await withStore()
    const { f, store } = both
    const reference = store.put(Buffer.alloc(100_000, 3))
    const claims: [typeof reference, string][] = [
      [{ ...reference, bytes: 99_999 }, 'BLOCK_CORRUPT'],
      [{ ...reference, bytes: reference.bytes + 1 }, 'BLOCK_CORRUPT'],
      [{ ...reference, block: 'ab'.repeat(32) }, 'BLOCK_LOST'],
      [{ ...reference, bytes: limits.blockBytesMax + 1 }, 'BLOCK_CORRUPT'],
    ]
    for (const [claim, code] of claims) {
      f.leader.run = () => ({ block: claim })
      await assert.rejects(f.cluster.run(echo, 1), { code })
    }
    store.intercept = (_request, response) => {
      response.writeHead(403).end()
      return true
    }
    f.leader.run = () => ({ block: reference })
    await assert.rejects(f.cluster.run(echo, 1), { code: 'FORBIDDEN' })
  })

  test('a holder that comes back at another address is found again', async () => {
    await using both = await withStore()
    const { f, store } = both
    const reference = store.put(Buffer.alloc(100_000, 3))
    const [{ blocks }] = f.leader.view('locate', {}) as [{ blocks: string }]
    let asked = 0
    f.leader.view = view => {
      if (view !== 'locate') return undefined
      asked++
      return asked === 1 ? [addressOf('worker-1', 'http://127.0.0.1:9')] : asked === 2 ? [] : [addressOf('worker-1', blocks)]
    }
    f.leader.run = () => ({ block: reference })
    assert.equal(((await f.cluster.run(echo, 1)) as Buffer).length, 100_000)
    assert.equal(asked, 3)
  })

  test('come from other workers that have them, or can get at them, where their holder does not give them', async () => {
    await using both = await withStore()
    const { f, store } = both
    await using replica = new BlockStore()
    const address = await replica.listen()
    const [holder] = f.leader.view('locate', {}) as WorkerAddress[]
    const asked: unknown[] = []
    let known = true
    f.leader.view = (view, argument) => {
      if (view !== 'locate') return undefined
      asked.push((argument as { block?: string }).block)
      return [holder, addressOf('worker-2', address, 'first', known)]
    }
    const expected = Buffer.alloc(1_000_000, 3)
    const reference = store.put(expected)
    replica.put(expected)
    f.leader.run = () => ({ block: reference })
    // It broke: the other one goes on from there.
    store.intercept = (request, response) => {
      if (request.headers.range) return !!response.writeHead(404).end('no such block')
      response.writeHead(200, { 'content-length': reference.bytes })
      response.write(store.blocks.get(reference.block)!.subarray(0, 300_000), () => response.destroy())
      return true
    }
    let second = true
    replica.intercept = (request, response) => {
      assert.equal(request.headers[blockHolderHeader], 'worker-1')
      if (!second) return false
      second = false
      assert.match(request.headers.range!, /^bytes=\d+-$/)
      store.intercept = (_request, refused) => !!refused.writeHead(404).end('no such block')
      return !!response.writeHead(206, { 'content-length': 0 }).destroy()
    }
    assert.deepEqual(await f.cluster.run(echo, 1), expected)
    assert.deepEqual(asked.slice(0, 2), [undefined, reference.block])
    // Its holder lost it; the other one is not known to have it.
    known = false
    assert.deepEqual(await f.cluster.run(echo, 1), expected)
    // Nobody has it.
    replica.blocks.clear()
    await assert.rejects(f.cluster.run(echo, 1), { code: 'BLOCK_LOST' })
  })

  test('that are damaged at their holder come from another worker', async () => {
    await using both = await withStore()
    const { f, store } = both
    await using replica = new BlockStore()
    const address = await replica.listen()
    const [holder] = f.leader.view('locate', {}) as WorkerAddress[]
    f.leader.view = view => (view === 'locate' ? [holder, addressOf('worker-2', address)] : undefined)
    const expected = Buffer.alloc(200_000, 3)
    const reference = store.put(expected)
    replica.put(expected)
    store.blocks.get(reference.block)![100_000]! ^= 1
    f.leader.run = () => ({ block: reference })
    assert.deepEqual(await f.cluster.run(echo, 1), expected)
  })

  test('are asked for with what is given anew, where what was given before is not believed any more; the own token goes to no worker', async () => {
    await using both = await withStore()
    const { f, store } = both
    const reference = store.put(Buffer.alloc(100_000, 3))
    f.leader.run = () => ({ block: reference })
    const [{ blocks }] = f.leader.view('locate', {}) as [WorkerAddress]
    const brought: unknown[] = []
    f.leader.view = view => (view === 'locate' ? [addressOf('worker-1', blocks, store.granted)] : undefined)
    assert.equal(((await f.cluster.run(echo, 1)) as Buffer).length, 100_000)
    store.granted = 'second'
    store.intercept = request => brought.push(request.headers.authorization) < 0
    assert.equal(((await f.cluster.run(echo, 1)) as Buffer).length, 100_000)
    store.granted = 'third'
    assert.ok(await f.cluster.submit(echo, Buffer.alloc(100_000)))
    assert.deepEqual(brought, ['Bearer second-to-read', 'Bearer third-to-write'])
  })
})
