// Shows that machines speak TLS 1.3 only, believe whom the cluster's authorities believe and nobody else, and change certificates while they run.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { before, describe, test } from 'node:test'
import { connect as connectTls, type SecureVersion, type TLSSocket } from 'node:tls'
import type { HttpAnswer } from '../../src/platform/index.ts'
import { makeNodeTransport } from '../../src/platform/node/index.ts'
import { type Authority, type Leaf, newAuthority, nodeUri, selfSigned, TestSecurity } from '../fakes/certificates.ts'
import { bare, dial, rightToken, TestPort } from './port.ts'

const hourMs = 3_600_000
const past = new Date(Date.now() - hourMs)
const future = new Date(Date.now() + hourMs)

let ours: Authority
let foreign: Authority
let candidate: Leaf
let worker: Leaf

before(async () => {
  ours = await newAuthority()
  foreign = await newAuthority('another')
  candidate = await ours.sign({ uris: [nodeUri('candidate')] })
  worker = await ours.sign({ uris: [nodeUri('worker', 'w1'), 'urn:x:a,b"c'] })
})

/** A port of a candidate. */
function candidatePort(): Promise<TestPort> {
  return TestPort.open({ security: new TestSecurity([ours], candidate) })
}

/** Speaks TLS by hand: resolves with the first bytes of the answer, or the error. */
function speak(port: number, options: Record<string, unknown>, say: string): Promise<string> {
  return new Promise(resolve => {
    const socket: TLSSocket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }, () => socket.write(say))
    socket.on('data', piece => {
      resolve(piece.toString('latin1'))
      socket.destroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.on('close', () => resolve('closed'))
  })
}

describe('a certificate that is shown', () => {
  test('proves who dials, without a token; its names arrive whole', async () => {
    await using port = await candidatePort()
    assert.match(port.address, /^wss:\/\/127\.0\.0\.1:\d+$/)
    const dialled = dial(makeNodeTransport(new TestSecurity([ours], worker)), port.address, '')
    assert.equal(await dialled.outcome, 'open')
    dialled.connection.send(Buffer.from('hello'))
    assert.equal(String(await dialled.next()), 'hello')
    assert.deepEqual(port.accepted[0]?.who, { by: 'certificate', uris: [nodeUri('worker', 'w1'), 'urn:x:a,b"c'] })
    assert.equal(port.credentials[0]?.certificate?.serial, worker.serial)
    assert.equal(port.credentials[0].certificate.expiresAtMs, Date.parse(new X509Certificate(worker.certificate).validTo))
    dialled.connection.close('done')
  })

  test('is not needed where there is a token, and a wrong token is refused', async () => {
    await using port = await candidatePort()
    const transport = makeNodeTransport(new TestSecurity([ours]))
    assert.equal(await dial(transport, port.address).outcome, 'open')
    assert.deepEqual(port.accepted[0]?.who, { by: 'token' })
    const refused = await dial(transport, port.address, 'wrong').outcome
    assert.deepEqual(refused, { reason: 'refused with HTTP 401: a credential of this cluster is needed', refused: 401 })
  })

  for (const [what, make, problem] of [
    ['expired', () => ours.sign({ uris: [nodeUri('worker')], notAfter: past }), 'the certificate has expired'],
    ['not yet valid', () => ours.sign({ uris: [nodeUri('worker')], notBefore: future }), 'the certificate is not valid yet'],
    ['of another authority', () => foreign.sign({ uris: [nodeUri('worker')] }), 'an authority that this cluster does not believe'],
    ['signed by itself', () => selfSigned({ uris: [nodeUri('worker')] }), 'the certificate is signed by itself'],
  ] as const) {
    test(`${what}: refused with a reason, also with a right token beside it, and logged`, async () => {
      await using port = await candidatePort()
      const leaf = await make()
      const refused = await dial(makeNodeTransport(new TestSecurity([ours], leaf)), port.address, rightToken).outcome
      assert.ok(refused !== 'open')
      assert.equal(refused.refused, 403)
      assert.ok(refused.reason.includes(problem), refused.reason)
      assert.equal(port.credentials.length, 0)
      assert.deepEqual(
        port.log.filter(({ event }) => event === 'certificate-refused').map(({ serial, remote }) => [serial, remote]),
        [[leaf.serial, '127.0.0.1']],
      )
      const healthz = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n'
      assert.match(await speak(port.number, { cert: leaf.certificate, key: leaf.key }, healthz), /^HTTP\/1\.1 403 /)
    })
  }

  test('that expires on a connection that is open is refused from then on', async t => {
    const answer = async (): Promise<HttpAnswer> => ({ status: 200, type: 'text/plain', body: 'yes' })
    await using port = await TestPort.open({ security: new TestSecurity([ours], candidate), answer })
    const { certificate: cert, key } = worker
    const socket = connectTls({
      port: port.number,
      host: '127.0.0.1',
      ca: ours.certificate,
      cert,
      key,
      checkServerIdentity: () => undefined,
    })
    const ask = async (): Promise<string> => {
      socket.write('GET /none HTTP/1.1\r\nhost: localhost\r\n\r\n')
      const [piece] = (await once(socket, 'data')) as [Buffer]
      return String(piece).split('\r\n', 1)[0]!
    }
    assert.equal(await ask(), 'HTTP/1.1 200 OK')
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 25 * hourMs })
    assert.equal(await ask(), 'HTTP/1.1 403 Forbidden')
    socket.destroy()
  })
})

describe('whoever is dialled', () => {
  for (const [what, make, reason] of [
    ['expired', () => ours.sign({ uris: [nodeUri('candidate')], notAfter: past }), 'the certificate has expired'],
    ['not yet valid', () => ours.sign({ uris: [nodeUri('candidate')], notBefore: future }), 'the certificate is not valid yet'],
    ['of another authority', () => foreign.sign({ uris: [nodeUri('candidate')] }), 'an authority that this cluster does not believe'],
    ['signed by itself', () => selfSigned({ uris: [nodeUri('candidate')] }), 'the certificate is signed by itself'],
    ['of another cluster', () => ours.sign({ uris: [nodeUri('candidate', 'n1', 'other')] }), 'of another cluster'],
    ['without any name', () => ours.sign({}), 'of another cluster'],
    ['a worker', () => ours.sign({ uris: [nodeUri('worker')] }), 'not one of a candidate'],
  ] as const) {
    test(`${what}: is not believed, and is told nothing`, async () => {
      await using port = await TestPort.open({ security: new TestSecurity([ours], await make()) })
      const refused = await dial(makeNodeTransport(new TestSecurity([ours], worker)), port.address).outcome
      assert.ok(refused !== 'open')
      assert.ok(refused.reason.includes(reason), refused.reason)
      assert.deepEqual([port.credentials.length, refused.refused], [0, undefined])
    })
  }

  test('revoked: is not believed any more', async () => {
    await using port = await candidatePort()
    const security = new TestSecurity([ours], worker)
    const transport = makeNodeTransport(security)
    assert.equal(await dial(transport, port.address).outcome, 'open')
    security.revoked.add(candidate.serial)
    const refused = await dial(transport, port.address).outcome
    assert.ok(refused !== 'open' && refused.reason === 'the certificate is revoked')
  })

  test('without TLS: is not dialled at all, but on this machine', async () => {
    const transport = makeNodeTransport(new TestSecurity([ours], worker))
    const refused = await dial(transport, 'ws://192.0.2.1:9').outcome
    assert.ok(refused !== 'open' && refused.reason.includes('by wss:// only'), JSON.stringify(refused))
    await using port = await TestPort.open()
    assert.equal(await dial(transport, port.address).outcome, 'open')
    const mistaken = await dial(transport, port.address.replace('ws:', 'wss:')).outcome
    assert.ok(mistaken !== 'open' && /does not speak TLS/.test(mistaken.reason), JSON.stringify(mistaken))
  })
})

describe('the port', () => {
  test('speaks TLS 1.3 only', async () => {
    await using port = await candidatePort()
    const say = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n'
    for (const version of ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as SecureVersion[])
      assert.match(
        await speak(port.number, { minVersion: version, maxVersion: version, ciphers: 'DEFAULT:@SECLEVEL=0' }, say),
        /ALERT_PROTOCOL_VERSION/,
      )
    assert.match(await speak(port.number, {}, say), /^HTTP\/1\.1 200 OK/)
  })

  test('tells nothing to who speaks without TLS, and lives on', async () => {
    await using port = await candidatePort()
    assert.doesNotMatch(await bare(port.number, 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n'), /HTTP/)
    assert.doesNotMatch(await bare(port.number, Buffer.from('1603010005000000', 'hex'), socket => socket.end()), /HTTP/)
    assert.equal(port.log[0]?.event, 'handshake-failed')
    assert.equal(await dial(makeNodeTransport(new TestSecurity([ours], worker)), port.address, '').outcome, 'open')
  })

  test('resumes nothing: a handshake of long ago lets nobody in', async () => {
    await using port = await candidatePort()
    const options = { port: port.number, host: '127.0.0.1', rejectUnauthorized: false, cert: worker.certificate, key: worker.key }
    const say = 'GET /none HTTP/1.1\r\nhost: localhost\r\n\r\n'
    const first = connectTls(options, () => first.write(say))
    const sessions: Buffer[] = []
    first.on('session', session => sessions.push(session))
    await new Promise(resolve => first.once('data', resolve))
    first.destroy()
    for (const session of [...sessions, first.getSession()]) {
      if (!session) continue
      const again = connectTls({ ...options, session }, () => again.write(say))
      await new Promise(resolve => again.once('data', resolve))
      assert.equal(again.isSessionReused(), false)
      again.destroy()
    }
  })
})

describe('new certificates', () => {
  test('and new authorities come into use while connections with the old ones go on', async () => {
    const next = await newAuthority('next')
    const serving = new TestSecurity([ours], candidate)
    const dialling = new TestSecurity([ours], worker)
    await using port = await TestPort.open({ security: serving })
    const transport = makeNodeTransport(dialling)
    const old = dial(transport, port.address, '')
    assert.equal(await old.outcome, 'open')
    let echoed = 0
    const traffic = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        old.connection.send(Buffer.from(`frame ${echoed}`))
        assert.equal(String(await old.next()), `frame ${echoed++}`)
      }
    }
    // Both are believed, then the new ones are shown, then the old authority is gone; traffic flows all the while.
    const steps: [readonly Authority[], Authority][] = [
      [[ours, next], ours],
      [[ours, next], next],
      [[next], next],
    ]
    const serials: string[] = []
    for (const [authorities, signer] of steps) {
      const leaf = await signer.sign({ uris: [nodeUri('worker', 'w1')] })
      const flowing = traffic(50)
      serving.change(authorities, await signer.sign({ uris: [nodeUri('candidate')] }))
      dialling.change(authorities, leaf)
      const fresh = dial(transport, port.address, '')
      assert.equal(await fresh.outcome, 'open')
      fresh.connection.close('done')
      serials.push(leaf.serial)
      await flowing
    }
    assert.deepEqual(
      port.credentials.slice(1).map(one => one.certificate?.serial),
      serials,
    )
    await traffic(10)
    assert.equal(echoed, 160)
    const refused = await dial(makeNodeTransport(new TestSecurity([next], worker)), port.address, '').outcome
    assert.ok(refused !== 'open' && refused.refused === 403, JSON.stringify(refused))
    old.connection.close('done')
    assert.equal(await old.ended, 'done')
  })

  test('that cannot be used are said in the log, and the old ones stay', async () => {
    const serving = new TestSecurity([ours], candidate)
    await using port = await TestPort.open({ security: serving })
    serving.change([ours], { ...candidate, certificate: 'no certificate' })
    assert.deepEqual(
      port.log.map(({ event }) => event),
      ['certificate-not-usable'],
    )
    assert.equal(await dial(makeNodeTransport(new TestSecurity([ours], worker)), port.address, '').outcome, 'open')
  })
})
