// Shows what a port answers to requests: to whom, by which name, how much, and that guessing is slow and costs no memory.
import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { WebSocket } from 'ws'
import type { HttpAnswer, HttpRequest } from '../../src/platform/index.ts'
import { addressKey, Callers } from '../../src/platform/node/callers.ts'
import { listenLimits, makeNodeTransport } from '../../src/platform/node/index.ts'
import { CoxswainError, isErrorCode } from '../../src/protocol/index.ts'
import { bare, dial, rightToken, TestPort, type Who } from './port.ts'

const authorization = `Bearer ${rightToken}`

interface Reply {
  status: number
  headers: Record<string, unknown>
  text: string
}

/** A request as it is said: also with headers that fetch would not send. */
function ask(
  port: TestPort,
  method: string,
  path: string,
  headers: Record<string, string | number> = {},
  body?: string | Buffer,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port: port.number, method, path, headers, agent: false }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', piece => (text += piece))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const echo = async ({ method, path, body }: HttpRequest, who: Who | undefined): Promise<HttpAnswer | undefined> => {
  if (path === '/echo') return { status: 200, type: 'application/json', body: JSON.stringify({ method, bytes: body.length, who }) }
  if (path === '/open') return { status: who ? 200 : 403, type: 'text/plain', body: who ? 'you' : 'who?' }
  if (path === '/known-error') throw new CoxswainError('OVERLOADED', 'Too much.', { retryAfterMs: 1500 })
  if (path === '/broken') throw new Error('secret detail')
  return undefined
}

describe('requests', () => {
  test('are answered to who is known; nobody else learns even what there is', async () => {
    await using port = await TestPort.open({ answer: echo, openPaths: ['/open'] })
    const known = await ask(port, 'POST', '/echo?query=1', { authorization }, 'body')
    assert.deepEqual([known.status, JSON.parse(known.text)], [200, { method: 'POST', bytes: 4, who: { by: 'token' } }])
    assert.equal(known.headers['x-content-type-options'], 'nosniff')
    assert.equal((await ask(port, 'GET', '/echo', { authorization })).status, 200)
    assert.deepEqual(JSON.parse((await ask(port, 'GET', '/none', { authorization })).text), {
      code: 'NOT_FOUND',
      message: 'there is nothing of that name',
    })
    assert.equal((await ask(port, 'DELETE', '/echo', { authorization })).status, 405)
    const asked = port.requests.length
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'])
      for (const path of ['/', '/echo', '/none', '/open/', '/openx', '//open', '/healthz/', '/healthz?x', '*'])
        assert.equal((await ask(port, method, path)).status, 401, `${method} ${path}`)
    assert.equal(port.requests.length, asked)
    assert.deepEqual(await ask(port, 'GET', '/healthz').then(({ status, text }) => [status, text]), [200, 'ok\n'])
  })

  test('of an open path are answered without a principal; a no there counts as a wrong credential', async () => {
    await using port = await TestPort.open({ answer: echo, openPaths: ['/open'], limits: { failuresMax: 3, failuresPerSecond: 0.001 } })
    assert.deepEqual(await ask(port, 'POST', '/open', { authorization }).then(({ status, text }) => [status, text]), [200, 'you'])
    for (const guess of ['a', 'b', 'c']) assert.equal((await ask(port, 'POST', '/open', { authorization: `Bearer ${guess}` })).status, 403)
    assert.equal((await ask(port, 'POST', '/open', { authorization: 'Bearer d' })).status, 429)
  })

  test('that fail say a code and a message, never a stack', async () => {
    await using port = await TestPort.open({ answer: echo })
    const known = await ask(port, 'GET', '/known-error', { authorization })
    assert.deepEqual(
      [known.status, known.headers['retry-after'], JSON.parse(known.text)],
      [429, '2', { code: 'OVERLOADED', message: 'Too much.' }],
    )
    const broken = await ask(port, 'GET', '/broken', { authorization })
    assert.equal(broken.status, 500)
    assert.deepEqual(Object.keys(JSON.parse(broken.text) as object), ['code', 'message'])
    assert.doesNotMatch(broken.text, /secret|at |\.ts/)
    assert.match(String(port.log.find(({ event }) => event === 'request-failed')?.['message']), /secret detail/)
  })

  test('have a bounded body, whether its length is said or not', async () => {
    await using port = await TestPort.open({ answer: echo, limits: { bodyBytesMax: 1000 } })
    assert.equal((await ask(port, 'POST', '/echo', { authorization }, Buffer.alloc(1000))).status, 200)
    const announced = { authorization, 'content-length': 2 ** 40 }
    const said = `POST /echo HTTP/1.1\r\nhost: localhost\r\nauthorization: ${announced.authorization}\r\ncontent-length: ${announced['content-length']}\r\n\r\n`
    assert.match(await bare(port.number, said), /^HTTP\/1\.1 413 .*FRAME_TOO_LARGE/s)
    assert.equal((await ask(port, 'POST', '/echo', { authorization, 'transfer-encoding': 'chunked' }, Buffer.alloc(1001))).status, 413)
    assert.equal(port.requests.length, 1)
  })

  test('with a packed body are refused unread: nothing is unpacked', async () => {
    await using port = await TestPort.open({ answer: echo })
    for (const encoding of ['gzip', 'br', 'deflate', 'zstd', 'identity, gzip'])
      assert.equal((await ask(port, 'POST', '/echo', { authorization, 'content-encoding': encoding }, 'x')).status, 415, encoding)
    assert.equal(port.requests.length, 0)
    const socket = new WebSocket(port.address, { headers: { authorization }, perMessageDeflate: true })
    await new Promise(resolve => socket.once('open', resolve))
    assert.equal(socket.extensions, '')
    socket.terminate()
  })

  test('cannot change what objects are: names like __proto__ are headers and bytes like others', async () => {
    await using port = await TestPort.open({ answer: echo })
    const said = `POST /echo HTTP/1.1\r\nhost: localhost\r\nauthorization: ${authorization}\r\n__proto__: admin\r\nconstructor: x\r\nprototype: y\r\ncontent-length: 28\r\nconnection: close\r\n\r\n{"__proto__":{"admin":true}}`
    assert.match(await bare(port.number, said), /^HTTP\/1\.1 200 /)
    assert.equal(String(port.requests[0]?.body), '{"__proto__":{"admin":true}}')
    assert.equal(({} as { admin?: unknown }).admin, undefined)
  })
})

describe('by which name', () => {
  test('a host is asked: its own, its configured ones, plain addresses; no other, for no method and no handshake', async () => {
    await using port = await TestPort.open({ answer: echo, names: ['cox.example.org'] })
    const good = ['localhost', '127.0.0.1', '[::1]', '192.0.2.7', 'COX.example.org', 'cox.example.org.', 'a.localhost']
    for (const host of good)
      for (const name of [host, `${host}:4700`])
        assert.equal((await ask(port, 'GET', '/echo', { authorization, host: name })).status, 200, name)
    const bad = [
      'evil.example',
      'localhost.evil.example',
      'cox.example.org.evil',
      '127.0.0.1.evil.example',
      'xlocalhost',
      '[evil]',
      '1.2.3',
      '',
    ]
    for (const host of bad) {
      for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
        for (const path of ['/echo', '/healthz'])
          assert.equal((await ask(port, method, path, { authorization, host: `${host}:4700` })).status, 421, `${method} ${host}`)
      }
      const upgrade = `GET / HTTP/1.1\r\nhost: ${host}\r\nauthorization: ${authorization}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
      assert.match(await bare(port.number, upgrade), /^HTTP\/1\.1 421 /, host)
    }
    assert.equal(port.accepted.length, 0)
  })

  test('no page asks, whatever the method, not even through a browser that leaves the origin out', async () => {
    await using port = await TestPort.open({ answer: echo })
    for (const origin of ['http://evil.example', 'null', port.url, 'http://localhost'])
      for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'])
        assert.equal((await ask(port, method, '/echo', { authorization, origin })).status, 403, `${method} from ${origin}`)
    for (const site of ['cross-site', 'same-site', 'none, cross-site'])
      assert.equal((await ask(port, 'GET', '/echo', { authorization, 'sec-fetch-site': site })).status, 403)
    assert.equal((await ask(port, 'GET', '/echo', { authorization, 'sec-fetch-site': 'none' })).status, 200)
    const socket = new WebSocket(port.address, { headers: { authorization }, origin: 'http://evil.example' })
    const status = await new Promise(resolve => socket.once('unexpected-response', (_request, response) => resolve(response.statusCode)))
    assert.equal(status, 403)
    socket.on('error', () => undefined).terminate()
    assert.equal(port.accepted.length, 0)
  })
})

describe('wrong credentials', () => {
  test('lock out who guesses, with the time to wait; connections that are there go on', async () => {
    await using port = await TestPort.open({ answer: echo, limits: { failuresMax: 5, failuresPerSecond: 0.01 } })
    const transport = makeNodeTransport()
    const old = dial(transport, port.address)
    assert.equal(await old.outcome, 'open')
    for (let guess = 0; guess < 5; guess++)
      assert.equal((await ask(port, 'GET', '/echo', { authorization: `Bearer guess ${guess}` })).status, 401)
    const locked = await ask(port, 'GET', '/echo', { authorization })
    assert.deepEqual([locked.status, (JSON.parse(locked.text) as { code: string }).code], [429, 'OVERLOADED'])
    assert.ok(Number(locked.headers['retry-after']) > 50 && Number(locked.headers['retry-after']) <= 100)
    const refused = await dial(transport, port.address).outcome
    assert.ok(refused !== 'open' && refused.refused === 429)
    const looked = port.credentials.length
    await dial(transport, port.address, 'guess 6').outcome
    assert.equal(port.credentials.length, looked, 'a guess is not even compared')
    old.connection.send(Buffer.from('still here'))
    assert.equal(String(await old.next()), 'still here')
    assert.equal((await ask(port, 'GET', '/healthz')).status, 200)
  })

  test('of a peer that is wrongly set up, the same again and again, lock out nobody beside it', () => {
    let nowMs = 0
    const callers = new Callers(listenLimits, () => nowMs)
    for (let second = 0; second < 3600; second++, nowMs += 1000) {
      callers.failed('127.0.0.1', 'Bearer of last year')
      assert.equal(callers.lockedSeconds('127.0.0.1'), 0)
    }
  })

  test('are remembered within bounds: 100,000 from as many addresses', () => {
    const callers = new Callers(listenLimits, () => 0)
    for (let i = 0; i < 100_000; i++) callers.failed(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, `Bearer ${i}`)
    assert.equal(callers.size, listenLimits.addressesMax)
    for (let i = 0; i < 10_000; i++) callers.failed('192.0.2.1', `Bearer ${i}`)
    assert.equal(callers.size, listenLimits.addressesMax)
    assert.equal(callers.lockedSeconds('192.0.2.1'), 2)
    assert.equal(callers.lockedSeconds('192.0.2.2'), 0)
  })

  test('are counted by network where addresses are for the taking', () => {
    assert.equal(addressKey('2001:db8:1:2:3:4:5:6'), addressKey('2001:db8:1:2::9'))
    assert.notEqual(addressKey('2001:db8:1:2::9'), addressKey('2001:db8:1:3::9'))
    assert.equal(addressKey('::ffff:192.0.2.1'), '192.0.2.1')
    assert.equal(addressKey('::1'), '0:0:0:0::/64')
    fc.assert(
      fc.property(fc.ipV6(), address => {
        assert.match(addressKey(address), /^([0-9a-f]+:){3}[0-9a-f]+::\/64$/i)
      }),
      { numRuns: 300, seed: 20261127 },
    )
  })
})

test('every status has a code that is in the table of errors', async () => {
  await using port = await TestPort.open({ answer: echo })
  for (const [headers, status] of [
    [{ host: 'evil.example' }, 421],
    [{ origin: 'x' }, 403],
    [{}, 401],
    [{ authorization, 'content-encoding': 'gzip' }, 415],
  ] as [Record<string, string>, number][]) {
    const reply = await ask(port, 'GET', '/echo', headers)
    assert.equal(reply.status, status)
    assert.ok(isErrorCode((JSON.parse(reply.text) as { code: string }).code))
  }
})
