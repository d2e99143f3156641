// Holds fetching to its way over replicas: on where it broke, to the next one and back, and never with bytes of another hash.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, describe, test } from 'node:test'
import type { ObjectStore } from '../../src/platform/index.ts'
import { nodeWeb } from '../../src/platform/node/index.ts'
import { BlockFetcher, type Replica } from '../../src/worker/blocks/fetch.ts'
import { BlockStore } from '../../src/worker/blocks/store.ts'
import { Tier } from '../../src/worker/blocks/tier.ts'
import { capabilityOf } from './grants.ts'
import { MemoryObjects } from './objects.ts'

const data = Buffer.alloc(3_000_000, 'the bytes of a block, ')
const block = createHash('sha256').update(data).digest('hex')
const reference = { block, bytes: data.length, holder: 'w2' }

/** What a replica does with its next requests; then it serves the block. */
type Mood = 'whole' | 'absent' | 'broken' | 'damaged' | 'refuses' | 'ignores ranges' | 'short' | 'long'

class PlayedWorker {
  readonly asked: string[] = []
  moods: Mood[] = []
  readonly name: string
  readonly #server: Server
  #port = 0

  constructor(name: string) {
    this.name = name
    this.#server = createServer((request, response) => this.#answer(request, response))
  }

  async listen(): Promise<void> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    this.#port = (this.#server.address() as AddressInfo).port
  }

  get replica(): Replica {
    return {
      worker: this.name,
      address: `http://127.0.0.1:${this.#port}`,
      capability: capabilityOf({ holder: this.name, bearer: 'w1', block }),
    }
  }

  #answer({ headers }: IncomingMessage, response: ServerResponse): void {
    const from = Number(/bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0)
    this.asked.push(`${this.name} ${from}`)
    const mood = this.moods.shift() ?? 'whole'
    if (mood === 'absent' || mood === 'refuses') return void response.writeHead(mood === 'absent' ? 404 : 403).end()
    const start = mood === 'ignores ranges' ? 0 : from
    let bytes = Buffer.from(data.subarray(start))
    if (mood === 'damaged') bytes[bytes.length - 5]! ^= 1
    if (mood === 'short') bytes = bytes.subarray(0, -1)
    if (mood === 'long') bytes = Buffer.concat([bytes, Buffer.from('!')])
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': bytes.length })
    if (mood === 'broken') response.write(bytes.subarray(0, 1_000_000), () => response.destroy())
    else response.end(bytes)
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

describe('a block of another worker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cox-fetch-'))
  let store: BlockStore
  let workers: PlayedWorker[]
  let fetcher: BlockFetcher
  let located: (Replica[] | undefined)[]
  let pauses: number

  function fetching(objects?: ObjectStore): void {
    const tier = objects && new Tier(objects, { cluster: () => 'c1', pause: async () => undefined })
    fetcher = new BlockFetcher(store, {
      web: nodeWeb,
      name: 'w1',
      locate: async () => located.shift() ?? workers.map(worker => worker.replica),
      tier,
      pause: async () => void pauses++,
    })
  }

  beforeEach(async () => {
    store = new BlockStore(join(folder, 'blocks'), join(folder, 'copies'))
    await store.open()
    workers = ['w2', 'w3'].map(name => new PlayedWorker(name))
    for (const worker of workers) await worker.listen()
    located = []
    pauses = 0
    fetching()
  })
  afterEach(() => {
    fetcher.close()
    for (const worker of workers) worker.close()
  })
  after(() => rmSync(folder, { recursive: true }))

  const asked = (): string[] => workers.flatMap(worker => worker.asked)

  async function arrives(): Promise<void> {
    const path = await fetcher.provide(reference)
    assert.ok(readFileSync(path).equals(data))
    assert.deepEqual(readdirSync(join(folder, 'copies')), [block], 'nothing else is left')
  }

  async function fails(code: string): Promise<void> {
    await assert.rejects(fetcher.provide(reference), { code, id: block })
    assert.deepEqual(readdirSync(join(folder, 'copies')), [])
    assert.ok(!existsSync(join(folder, 'blocks', block)))
  }

  test('comes from its holder, and once for all who want it', async () => {
    await Promise.all([arrives(), arrives(), arrives()])
    assert.deepEqual(asked(), ['w2 0'])
  })

  test('goes on at the next replica where the first one broke, and back', async () => {
    workers[0]!.moods = ['broken']
    workers[1]!.moods = ['broken']
    await arrives()
    const [first, second, third] = [...workers[0]!.asked, ...workers[1]!.asked].map(line => line.split(' '))
    assert.deepEqual([first![0], second![0], third![0]], ['w2', 'w2', 'w3'])
    const [at, later] = [Number(third![1]), Number(second![1])]
    assert.ok(at > 0 && later > at && later < data.length, `${at}, ${later}`)
    assert.equal(pauses, 1)
  })

  test('comes from another replica where its holder does not have it, refuses, or is gone', async () => {
    for (const mood of ['absent', 'refuses'] as const) {
      workers[0]!.moods = [mood]
      await arrives()
      await store.open()
    }
    workers[0]!.close()
    await arrives()
    assert.equal(pauses, 0)
    assert.equal(workers[1]!.asked.length, 3)
  })

  test('that is damaged at its holder comes from another one; damaged at all it is used by nobody', async () => {
    workers[0]!.moods = ['damaged']
    await arrives()
    assert.deepEqual(asked(), ['w2 0', 'w3 0'])
    await store.open()
    for (const worker of workers) worker.moods = Array.from({ length: 9 }, () => 'damaged')
    await fails('BLOCK_CORRUPT')
    assert.deepEqual(asked().length, 2 + 4, 'each of them twice')
  })

  test('begins anew where what two gave does not fit together, and then nobody is blamed', async () => {
    workers[0]!.moods = ['broken']
    workers[1]!.moods = ['damaged']
    await arrives()
    assert.deepEqual(workers[0]!.asked.at(-1), 'w2 0', 'from the start')
    assert.equal(workers[0]!.asked.length, 2)
  })

  test('is taken from the start where a replica gives all of it instead of a part', async () => {
    workers[0]!.moods = ['broken']
    workers[1]!.moods = ['ignores ranges']
    await arrives()
    assert.equal(asked().length, 2)
  })

  test('of another size is not believed', async () => {
    for (const mood of ['short', 'long'] as const) {
      for (const worker of workers) worker.moods = [mood, mood]
      await fails('BLOCK_CORRUPT')
    }
  })

  test('is waited for while its holder is away, and not where all say no', async () => {
    located = [[], [], [workers[1]!.replica]]
    workers[1]!.moods = ['absent']
    await arrives()
    assert.equal(pauses, 3)
    await store.open()
    pauses = 0
    for (const worker of workers) worker.moods = ['absent']
    await fails('BLOCK_LOST')
    assert.equal(pauses, 0)
  })

  test('of which nobody knows is given up in the end', async () => {
    located = Array.from({ length: 100 }, () => [])
    await fails('BLOCK_LOST')
    assert.ok(pauses > 10 && located.length > 0)
  })

  test('comes from the durable tier where no worker has it, from where another one broke', async () => {
    const objects = new MemoryObjects()
    objects.content.set(`c1/@w2/${block}`, data)
    fetching(objects)
    located = [[]]
    await arrives()
    await store.open()
    workers[0]!.moods = ['broken']
    located = [[workers[0]!.replica]]
    await arrives()
    assert.equal(objects.reads[0], 0)
    assert.ok(objects.reads[1]! > 0)
    assert.equal(pauses, 0)
  })

  test('of the tier is checked, and asked for again where the tier fails', async () => {
    const objects = new MemoryObjects()
    const damaged = Buffer.from(data)
    damaged[7]! ^= 1
    objects.content.set(`c1/@w2/${block}`, damaged)
    fetching(objects)
    for (const worker of workers) worker.moods = ['absent']
    await fails('BLOCK_CORRUPT')
    objects.content.set(`c1/@w2/${block}`, data)
    objects.failures = 3
    located = [[], [], [], []]
    await arrives()
  })
})
