// Shows that blocks travel between machines over mutual TLS, to whom the worker lets, and that hostile names lead nowhere.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import fc from 'fast-check'
import type { PeerCertificate } from '../../src/platform/index.ts'
import { makeNodeWeb, nodeWeb } from '../../src/platform/node/index.ts'
import type { AccessRequest, BlockAccess } from '../../src/worker/blocks/access.ts'
import { BlockFetcher, type Replica } from '../../src/worker/blocks/fetch.ts'
import { BlockServer } from '../../src/worker/blocks/server.ts'
import { BlockStore } from '../../src/worker/blocks/store.ts'
import { type Authority, type Leaf, newAuthority, nodeUri, TestSecurity } from '../fakes/certificates.ts'
import { accessTo, capabilityOf, granted } from './grants.ts'

const data = Buffer.alloc(300_000, 5)
const block = createHash('sha256').update(data).digest('hex')
const reference = { block, bytes: data.length, holder: 'w2' }

/** The name of the node that a certificate is of. */
function nameOf({ uris }: PeerCertificate): string | undefined {
  return uris.map(uri => /^coxswain:\/\/test\/(?:worker|candidate)\/(.+)$/.exec(uri)?.[1]).find(name => name !== undefined)
}

/** What a block server of w2 is made with, besides what speaks for it. */
const told = { host: '127.0.0.1', name: 'w2', access: accessTo('w2'), tier: undefined, nameOf }
/** What w1 brings. */
const capability = capabilityOf({ holder: 'w2', bearer: 'w1', block })

async function newStore(): Promise<BlockStore & Disposable> {
  const folder = mkdtempSync(join(tmpdir(), 'cox-blocks-'))
  const store = new BlockStore(join(folder, 'blocks'), join(folder, 'copies'))
  await store.open()
  return Object.assign(store, { [Symbol.dispose]: () => rmSync(folder, { recursive: true }) })
}

describe('blocks between machines', () => {
  let ours: Authority
  let next: Authority
  let holder: TestSecurity
  let store: BlockStore & Disposable
  let server: BlockServer

  before(async () => {
    ours = await newAuthority()
    next = await newAuthority('next')
    holder = new TestSecurity([ours], await ours.sign({ uris: [nodeUri('worker', 'w2')] }))
    store = await newStore()
    writeFileSync(join(store.folder, block), data)
    server = new BlockServer(store, { web: makeNodeWeb(holder), ...told })
    await server.listen()
  })
  after(async () => {
    await server.close()
    store[Symbol.dispose]()
  })

  /** Fetches the block once, as the worker w1 with this identity. */
  async function fetchAs(security: TestSecurity, given = capability, address = server.address): Promise<string> {
    using own = await newStore()
    let asked = 0
    // The second time nobody knows the holder: what went wrong is told at once.
    const locate = async (): Promise<Replica[]> => (asked++ === 0 ? [{ worker: 'w2', address, capability: given }] : [])
    const fetcher = new BlockFetcher(own, { web: makeNodeWeb(security), name: 'w1', locate, tier: undefined, pause: async () => undefined })
    try {
      await fetcher.provide(reference)
      return readdirSync(join(own.folder, '../copies')).join()
    } catch (error) {
      return (error as Error).message
    } finally {
      fetcher.close()
    }
  }

  const leafOf = (authority: Authority, uri: string): Promise<Leaf> => authority.sign({ uris: [uri] })

  test('are fetched by who has a capability, with a certificate of its name or without any', async () => {
    assert.match(server.address, /^https:/)
    assert.equal(await fetchAs(new TestSecurity([ours], await leafOf(ours, nodeUri('worker', 'w1')))), block)
    assert.equal(await fetchAs(new TestSecurity([ours])), block)
    assert.match(await fetchAs(new TestSecurity([ours]), 'wrong'), /HTTP 403/)
    assert.match(await fetchAs(new TestSecurity([ours]), ''), /HTTP 401/)
    assert.match(await fetchAs(new TestSecurity([ours], await leafOf(ours, nodeUri('worker', 'w1'))), ''), /HTTP 401/)
  })

  test('are not given to who has a certificate of another kind, or one that is not believed', async () => {
    for (const uri of ['coxswain://test/user/w1', 'coxswain://other/worker/w1', nodeUri('worker', 'w3')])
      assert.match(await fetchAs(new TestSecurity([ours], await leafOf(ours, uri))), /HTTP 403/)
    const foreign = new TestSecurity([ours], await leafOf(next, nodeUri('worker', 'w1')))
    assert.match(await fetchAs(foreign), /HTTP 403/)
    const expired = await ours.sign({ uris: [nodeUri('worker', 'w1')], notAfter: new Date(Date.now() - 1000) })
    assert.match(await fetchAs(new TestSecurity([ours], expired)), /HTTP 403/)
  })

  test('are not taken from who is no worker of the cluster, and no token is told it', async () => {
    const heard: string[] = []
    const listening = { admits: (asked: AccessRequest) => heard.push(asked.capability) > 0 } as unknown as BlockAccess
    const leaves: [Leaf, RegExp][] = [
      [await leafOf(ours, nodeUri('candidate')), /not one of a worker/],
      [await leafOf(ours, 'coxswain://other/worker/w2'), /of another cluster/],
      [await leafOf(next, nodeUri('worker')), /issuer|signature|self|verify/i],
      [await ours.sign({ uris: [nodeUri('worker')], notAfter: new Date(Date.now() - 1000) }), /expired/],
    ]
    for (const [leaf, reason] of leaves) {
      const liar = new BlockServer(store, { web: makeNodeWeb(new TestSecurity([ours], leaf)), ...told, access: listening })
      await liar.listen()
      assert.match(await fetchAs(new TestSecurity([ours]), capability, liar.address), reason)
      await liar.close()
    }
    assert.deepEqual(heard, [])
  })

  test('travel on while certificates and authorities change; the kept connection is made anew', async () => {
    using own = await newStore()
    const dialling = new TestSecurity([ours, next], await leafOf(ours, nodeUri('worker', 'w1')))
    const web = makeNodeWeb(dialling)
    const sockets = web.sockets(4)
    const serials: unknown[] = []
    const watched = new BlockServer(store, {
      web: makeNodeWeb(holder),
      ...told,
      nameOf: certificate => (serials.push(certificate.serial) > 0 ? nameOf(certificate) : undefined),
    })
    await watched.listen()
    const get = (): Promise<number> =>
      new Promise((resolve, reject) => {
        const request = sockets.request(`${watched.address}/blocks/${block}`, { headers: granted({ holder: 'w2', bearer: 'w1' }) })
        request.on('error', reject)
        request.on('response', response => {
          let bytes = 0
          response.on('data', (piece: Buffer) => (bytes += piece.length)).on('end', () => resolve(bytes))
        })
        request.end()
      })
    holder.change([ours, next], await leafOf(ours, nodeUri('worker', 'w2')))
    assert.equal(await get(), data.length)
    const renewed = await leafOf(next, nodeUri('worker', 'w1'))
    const underway = get()
    dialling.change([ours, next], renewed)
    holder.change([ours, next], await leafOf(next, nodeUri('worker', 'w2')))
    assert.equal(await underway, data.length)
    dialling.change([next], renewed)
    holder.change([next], await leafOf(next, nodeUri('worker', 'w2')))
    assert.equal(await get(), data.length)
    assert.equal(serials.at(-1), renewed.serial)
    sockets.close()
    await watched.close()
    assert.deepEqual(readdirSync(own.folder), [])
  })

  test('are checked in a thread of their own where they are large: whole ones are taken, damaged ones leave nothing', async () => {
    using own = await newStore()
    const large = Buffer.alloc((20 << 20) + 17, 'abc')
    const name = createHash('sha256').update(large).digest('hex')
    const security = new TestSecurity([ours, next], await leafOf(ours, nodeUri('worker', 'w1')))
    const any = capabilityOf({ holder: 'w2', bearer: 'w1' })
    const locate = async (): Promise<Replica[]> => [{ worker: 'w2', address: server.address, capability: any }]
    const options = { web: makeNodeWeb(security), name: 'w1', locate, tier: undefined, pause: async () => undefined }
    const fetcher = new BlockFetcher(own, options)
    writeFileSync(join(store.folder, name), large)
    holder.change([ours, next], await leafOf(ours, nodeUri('worker', 'w2')))
    const path = await fetcher.provide({ block: name, bytes: large.length, holder: 'w2' })
    assert.ok(readFileSync(path).equals(large))
    const wrong = 'ab'.repeat(32)
    writeFileSync(join(store.folder, wrong), large)
    await assert.rejects(fetcher.provide({ block: wrong, bytes: large.length, holder: 'w2' }), { code: 'BLOCK_CORRUPT' })
    assert.deepEqual(readdirSync(join(own.folder, '../copies')), [name])
    fetcher.close()
  })

  test('are served at the port and told by the address that were asked for', async () => {
    const { port } = new URL(server.address)
    const taken = new BlockServer(store, { web: nodeWeb, ...told, port: Number(port) })
    await assert.rejects(taken.listen(), { code: 'ADDRESS_IN_USE' })
    for (const [advertise, pattern] of [
      ['blocks.example.org', /^http:\/\/blocks\.example\.org:\d+$/],
      ['blocks.example.org:4701', /^http:\/\/blocks\.example\.org:4701$/],
    ] as const) {
      const advertised = new BlockServer(store, { web: nodeWeb, ...told, advertise })
      await advertised.listen()
      assert.match(advertised.address, pattern)
      await advertised.close()
    }
  })
})

describe('hostile names of blocks', () => {
  let store: BlockStore & Disposable
  let server: BlockServer
  const secret = 'what nobody may read'

  before(async () => {
    store = await newStore()
    writeFileSync(join(store.folder, block), data)
    writeFileSync(join(store.folder, '..', 'secret'), secret)
    server = new BlockServer(store, { web: nodeWeb, ...told })
    await server.listen()
  })
  after(async () => {
    await server.close()
    store[Symbol.dispose]()
  })

  /** Asks for a path exactly as it is written, as nothing that checks what it sends would. Undefined: it was not even taken for a request. */
  async function ask(method: string, path: string): Promise<{ status: number; text: string } | undefined> {
    const socket = connectTcp(Number(new URL(server.address).port), '127.0.0.1')
    const body = method === 'PUT' ? 'content-length: 1\r\n\r\nx' : '\r\n'
    const headers = Object.entries(granted({ holder: 'w2', operation: method === 'PUT' ? 'write' : 'read' })).map(
      ([name, value]) => `${name}: ${value}`,
    )
    socket.write(`${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${headers.join('\r\n')}\r\nconnection: close\r\n${body}`)
    const pieces: Buffer[] = []
    socket.on('data', piece => pieces.push(piece)).on('error', () => undefined)
    await new Promise(resolve => socket.on('close', resolve))
    const [, status, text = ''] = /^HTTP\/1\.1 (\d+) .*?\r\n\r\n(.*)$/s.exec(Buffer.concat(pieces).toString('latin1')) ?? []
    return status === undefined ? undefined : { status: Number(status), text }
  }

  async function leadsNowhere(path: string): Promise<void> {
    for (const method of ['GET', 'PUT']) {
      const reply = await ask(method, path)
      if (reply === undefined) continue
      assert.ok([400, 404].includes(reply.status), `${method} ${JSON.stringify(path)}: ${reply.status}`)
      assert.ok(!reply.text.includes(secret))
    }
    assert.deepEqual(readdirSync(store.folder), [block])
    assert.deepEqual(readdirSync(join(store.folder, '..')).sort(), ['blocks', 'copies', 'secret'])
  }

  const parts = [
    '..',
    '.',
    '%2e%2e',
    '%2E%2E',
    '..%2f',
    '%2f',
    '%5c',
    '\\',
    '..\\',
    '%00',
    'secret',
    'etc/passwd',
    'con',
    'NUL',
    'aux.txt',
    'COM1',
    'LPT1:',
  ]
  const odd = [
    '%c0%ae%c0%ae',
    '%252e%252e',
    '：',
    '․․',
    '%u002e',
    '::$DATA',
    '~',
    block.toUpperCase(),
    block.slice(1),
    `${block} `,
    `${block}%20`,
    `${block}.`,
  ]

  test('named ones: upwards, encoded, absolute, devices, others’ ways to write a dot', async () => {
    for (const name of [
      ...parts,
      ...odd,
      'a'.repeat(10_000),
      '/etc/passwd',
      'file:///etc/passwd',
      `../blocks/${block}`,
      `${block}/../../secret`,
      '',
    ])
      await leadsNowhere(encodeURI(`/blocks/${name}`).replaceAll('%25', '%'))
    for (const path of [
      '/secret',
      '/../secret',
      '/blocks',
      '/blocks//',
      `//blocks/${block}`,
      '/blocks/?name=secret',
      `/blocks/${block}?x`,
      '*',
    ])
      await leadsNowhere(path)
  })

  test('any that are put together of such parts', async () => {
    const piece = fc.oneof(
      fc.constantFrom(...parts, ...odd, '/', block),
      fc.string({ maxLength: 8 }),
      fc.string({ unit: 'binary', maxLength: 4 }),
    )
    const names = fc.array(piece, { minLength: 1, maxLength: 6 }).map(pieces => pieces.join(''))
    await fc.assert(
      fc.asyncProperty(names, async name => {
        const path = `/blocks/${Buffer.from(name)
          .toString('latin1')
          .replace(/[\r\n ]/g, '%20')}`
        if (path !== `/blocks/${block}`) await leadsNowhere(path)
      }),
      { numRuns: 100, seed: 20261127 },
    )
  })

  test('there is no list, and the block itself is there', async () => {
    assert.equal((await ask('GET', `/blocks/${block}`))?.text, data.toString('latin1'))
    for (const path of ['/', '/blocks', '/blocks/']) assert.equal((await ask('GET', path))?.status, 404)
  })

  test('a store asked directly gives nothing but names of blocks either', async () => {
    for (const name of [...parts, '../secret', `../blocks/${block}`]) {
      await store.drop([name])
      assert.deepEqual(readdirSync(join(store.folder, '..')).sort(), ['blocks', 'copies', 'secret'])
    }
  })
})

test('a worker asked over TLS by a handshake alone says nothing', async () => {
  const ours = await newAuthority()
  using store = await newStore()
  const leaf = await ours.sign({ uris: [nodeUri('worker')] })
  const server = new BlockServer(store, { web: makeNodeWeb(new TestSecurity([ours], leaf)), ...told })
  await server.listen()
  const options: ConnectionOptions = {
    port: Number(new URL(server.address).port),
    host: '127.0.0.1',
    ca: ours.certificate,
    maxVersion: 'TLSv1.2',
  }
  const code = await new Promise(resolve => connectTls(options).on('error', (error: NodeJS.ErrnoException) => resolve(error.code)))
  assert.equal(code, 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  await server.close()
})
