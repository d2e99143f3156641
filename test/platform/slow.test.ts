// Shows that whoever is slow, silent or too many is ended, and that those who are there already do not feel it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeNodeTransport } from '../../src/platform/node/index.ts'
import { type Authority, newAuthority, nodeUri, TestSecurity } from '../fakes/certificates.ts'
import { bare, dial, rightToken, TestPort } from './port.ts'

/** Whoever is late is ended after these; the tests wait for that, not for a time. */
const impatient = { handshakeTimeoutMs: 150, headersTimeoutMs: 150, requestTimeoutMs: 300, lateCheckMs: 20, keepAliveMs: 100 }
const patient = { ...impatient, handshakeTimeoutMs: 60_000, headersTimeoutMs: 60_000, requestTimeoutMs: 60_000 }
const head = `host: localhost\r\nauthorization: Bearer ${rightToken}\r\n`

let ours: Authority
before(async () => {
  ours = await newAuthority()
})

/** Says a byte whenever the socket has taken the last one, fewer than a head may have. */
function drip(socket: Socket): void {
  let left = 1000
  const say = (): void => {
    if (!socket.destroyed && left-- > 0) socket.write('a', () => setImmediate(say))
  }
  say()
}

describe('slow ones are ended:', () => {
  test('who says nothing', async () => {
    await using port = await TestPort.open({ limits: impatient })
    assert.match(await bare(port.number, undefined), /^(HTTP\/1\.1 408 .*)?$/s)
  })

  test('who never comes to the end of the head, byte by byte', async () => {
    await using port = await TestPort.open({ limits: impatient })
    assert.doesNotMatch(await bare(port.number, 'GET / HTTP/1.1\r\nx: ', drip), /HTTP\/1\.1 [1235]/)
  })

  test('who never comes to the end of the body, also with a right token', async () => {
    await using port = await TestPort.open({ limits: impatient, answer: async () => ({ status: 200, type: 'text/plain', body: '' }) })
    const said = `POST /x HTTP/1.1\r\n${head}content-length: 1000000\r\n\r\n`
    assert.doesNotMatch(await bare(port.number, said, socket => socket.write('{')), /HTTP\/1\.1 [1235]/)
    assert.equal(port.credentials.length, 1)
  })

  test('who does not go on with a TLS handshake, or does not begin it', async () => {
    const security = new TestSecurity([ours], await ours.sign({ uris: [nodeUri('candidate')] }))
    await using port = await TestPort.open({ security, limits: impatient })
    assert.equal(await bare(port.number, undefined), '')
    assert.equal(await bare(port.number, Buffer.from('16030100c8010000c40303', 'hex')), '')
    assert.match(JSON.stringify(port.log), /handshake-failed/)
  })

  test('who asks for nothing after an answer', async () => {
    await using port = await TestPort.open({ limits: impatient, answer: async () => ({ status: 200, type: 'text/plain', body: 'yes' }) })
    assert.match(await bare(port.number, `GET /x HTTP/1.1\r\n${head}\r\n`), /yes$/)
  })
})

describe('too many', () => {
  test('that have not proved who they are: the next one from there is ended, who is known goes on and makes room', async () => {
    await using port = await TestPort.open({ limits: { ...patient, unprovedPerAddressMax: 3 } })
    const transport = makeNodeTransport()
    const known = dial(transport, port.address)
    assert.equal(await known.outcome, 'open')
    const silent: Socket[] = []
    for (let i = 0; i < 3; i++) {
      const socket = connectTcp(port.number, '127.0.0.1')
      await once(socket, 'connect')
      silent.push(socket)
    }
    assert.equal(await bare(port.number, undefined), '')
    assert.ok((await dial(transport, port.address).outcome) !== 'open')
    known.connection.send(Buffer.from('here'))
    assert.equal(String(await known.next()), 'here')
    assert.deepEqual(
      port.log.map(({ event }) => event),
      ['connections-shed'],
    )
    silent[0]!.end()
    await once(silent[0]!, 'close')
    assert.equal(await dial(transport, port.address).outcome, 'open')
    for (const socket of silent) socket.destroy()
  })

  test('over TLS likewise', async () => {
    const security = new TestSecurity([ours], await ours.sign({ uris: [nodeUri('candidate')] }))
    await using port = await TestPort.open({ security, limits: { ...patient, unprovedPerAddressMax: 1 } })
    const transport = makeNodeTransport(security)
    const known = dial(transport, port.address, '')
    assert.equal(await known.outcome, 'open')
    const silent = connectTcp(port.number, '127.0.0.1')
    await once(silent, 'connect')
    assert.ok((await dial(transport, port.address, '').outcome) !== 'open')
    known.connection.send(Buffer.from('here'))
    assert.equal(String(await known.next()), 'here')
    silent.destroy()
  })

  test('altogether: new ones are ended, old ones kept', async () => {
    await using port = await TestPort.open({ limits: { ...patient, connectionsMax: 3 } })
    const transport = makeNodeTransport()
    const old = [dial(transport, port.address), dial(transport, port.address), dial(transport, port.address)]
    for (const one of old) assert.equal(await one.outcome, 'open')
    for (let i = 0; i < 20; i++) assert.ok((await dial(transport, port.address).outcome) !== 'open')
    for (const one of old) {
      one.connection.send(Buffer.from('here'))
      assert.equal(String(await one.next()), 'here')
    }
    old[0]!.connection.close('room')
    await old[0]!.ended
    await once(connectTcp(port.number, '127.0.0.1'), 'connect')
  })

  test('for the files that the process may have open: new ones are ended, old ones and files go on', async t => {
    if (process.platform !== 'linux') return t.skip('limits of open files are read on Linux only')
    const child = spawn(
      'sh',
      ['-c', `ulimit -n 64; exec "$0" "$@"`, process.execPath, fileURLToPath(new URL('port-process.ts', import.meta.url))],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    )
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const line = async (): Promise<string> => String((await lines.next()).value)
    const address = await line()
    const transport = makeNodeTransport()
    const old = dial(transport, address)
    assert.equal(await old.outcome, 'open')
    const number = Number(new URL(address).port)
    const crowd = Array.from({ length: 200 }, () => connectTcp(number, '127.0.0.1').on('error', () => undefined))
    // More than two thirds are ended by the port: nobody waits for ever for an answer.
    let ended = 0
    await new Promise<void>(resolve => {
      for (const socket of crowd) socket.on('close', () => ++ended === 150 && resolve())
    })
    old.connection.send(Buffer.from('still here'))
    assert.equal(String(await old.next()), 'still here')
    child.stdin.write('open a file\n')
    assert.equal(await line(), 'opened')
    for (const socket of crowd) socket.destroy()
    old.connection.close('done')
    await old.ended
    child.kill('SIGKILL')
    await once(child, 'close')
  })
})

describe('frames', () => {
  test('larger than the limit end their connection, and only that', async () => {
    await using port = await TestPort.open()
    const transport = makeNodeTransport()
    const large = dial(transport, port.address)
    const other = dial(transport, port.address)
    assert.equal(await large.outcome, 'open')
    assert.equal(await other.outcome, 'open')
    large.connection.send(Buffer.alloc((1 << 20) + 1))
    assert.match(await large.ended, /1009|ECONNRESET|EPIPE/)
    other.connection.send(Buffer.alloc(1 << 20))
    assert.equal((await other.next()).length, 1 << 20)
  })

  test('that claim to be huge take no memory', async () => {
    await using port = await TestPort.open()
    const upgrade = `GET / HTTP/1.1\r\n${head}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
    // A binary frame of 2^50 bytes; a packed one, which nobody agreed to; one without a mask; a control frame of 200 bytes.
    for (const frame of ['82ff000400000000000000000000', 'c28100000000ff', '8205aabbccddee', '89fe00c800000000']) {
      const before = process.memoryUsage().arrayBuffers
      const heard = await bare(port.number, upgrade, socket => socket.once('data', () => socket.write(Buffer.from(frame, 'hex'))))
      assert.match(heard, /^HTTP\/1\.1 101 /, frame)
      assert.ok(process.memoryUsage().arrayBuffers - before < 8 << 20)
    }
  })
})
