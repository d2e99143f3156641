// Joining a cluster of several machines over real TLS: what a token lets in, what it does not, and that no key or secret is anywhere but where it belongs.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type EnrolOptions, enrol, nodeNameOf } from '../../src/cli/authority/enrol.ts'
import { NodeFolder } from '../../src/cli/authority/folder.ts'
import { initCluster } from '../../src/cli/authority/init.ts'
import { formatJoinToken, type JoinTokenText, parseJoinToken } from '../../src/cli/authority/token.ts'
import { makeRequest, readCertificate } from '../../src/cli/authority/x509.ts'
import { CoxswainError, type EnrolRefusal, nodeUri } from '../../src/protocol/index.ts'
import { Machines, serve } from './machines.ts'

/** What the other side is shown of the node in this folder. */
function shownBy(folder: string): { uris: string[]; serial: string; expiresAtMs: number } {
  const { node, serial, expiresAtMs } = readCertificate(new NodeFolder(folder).identity().certificate)
  return { uris: [nodeUri(node!)], serial, expiresAtMs }
}

async function code(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'ok'
  } catch (error) {
    assert(error instanceof CoxswainError, String(error))
    return error.code
  }
}

function options(machines: Machines, name: string, more: Partial<EnrolOptions> = {}): EnrolOptions {
  return { name, folder: machines.folder(name), ...more }
}

/** The token with some of its parts changed. */
function changed(text: string, change: Partial<JoinTokenText>): string {
  return formatJoinToken({ ...parseJoinToken(text), ...change })
}

/** What a leader says to a request of one's own making. */
async function rawRequest(machines: Machines, change: Record<string, unknown>): Promise<EnrolRefusal> {
  const { token, secret } = parseJoinToken(machines.joinToken)
  const { csr } = await makeRequest()
  const body = { token, secret, role: 'worker', name: 'raw', address: '', csr: csr.toString('base64'), timeMs: Date.now(), ...change }
  const answer = await machines.answer(Buffer.from(JSON.stringify(body)))
  return JSON.parse(String(answer?.body)) as EnrolRefusal
}

describe('joining over TLS', () => {
  it('gives a worker its certificate, and nobody the key of the authority', async () => {
    await using machines = await Machines.found({ token: { uses: 2 } })
    const node = await enrol(machines.joinToken, options(machines, 'w1'))
    assert.deepEqual([node.role, node.name, node.cluster, node.candidates], ['worker', 'w1', machines.cluster, [machines.address]])
    const folder = machines.folder('w1')
    assert.deepEqual(readdirSync(folder).sort(), ['identity.pem', 'node.json', 'trust.json'])
    for (const file of readdirSync(folder)) assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600, file)
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    const key = readFileSync(join(machines.folder('c1'), `${parseJoinToken(machines.joinToken).authority}.key.pem`), 'utf8')
    assert.match(key, /PRIVATE KEY/)
    const secret = key.split('\n')[1]!
    for (const file of readdirSync(folder)) assert(!readFileSync(join(folder, file), 'utf8').includes(secret), file)
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'w1'))), 'ALREADY_ENROLLED')
    assert.equal(machines.leader.principalOf(shownBy(folder))?.kind, 'node')
  })

  it('gives a candidate the key of the authority, for its own eyes', async () => {
    await using machines = await Machines.found({ token: { role: 'candidate' } })
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'c2'))), 'INVALID_ARGUMENT', 'it must say where it is')
    const node = await enrol(machines.joinToken, options(machines, 'c2', { address: 'c2.example:4700' }))
    assert.deepEqual(node.candidates, [machines.address, 'c2.example:4700'])
    const { authority } = parseJoinToken(machines.joinToken)
    const path = join(machines.folder('c2'), `${authority}.key.pem`)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.equal(readFileSync(path, 'utf8'), readFileSync(join(machines.folder('c1'), `${authority}.key.pem`), 'utf8'))
  })

  it('leaves no key and no secret in the journal, the log or the audit', async () => {
    await using machines = await Machines.found({ token: { role: 'candidate', uses: 2 } })
    const { secret, authority } = parseJoinToken(machines.joinToken)
    await enrol(machines.joinToken, options(machines, 'c2', { address: 'c2:1' }))
    await code(enrol(changed(machines.joinToken, { token: 'other' }), options(machines, 'c3', { address: 'c3:1' })))
    const key = new NodeFolder(machines.folder('c1')).authorityKey(authority)
    const own = new NodeFolder(machines.folder('c2')).identity().key
    const canaries = [secret, machines.joinToken, ...[key, own].flatMap(pem => pem.split('\n').slice(1, 3))]
    const bytes = await machines.bytes()
    const told = `${machines.log.join('\n')}${JSON.stringify(machines.acts)}`
    for (const canary of canaries) {
      assert(!bytes.includes(canary) && !bytes.includes(Buffer.from(canary, 'base64')), 'in the journal')
      assert(!told.includes(canary), 'in a log')
    }
    assert(bytes.includes(createHash('sha256').update(secret).digest('hex')), 'the hash is there: it was looked for where it would be')
    assert.deepEqual(
      machines.acts.map(({ act, node, outcome }) => [act, node, outcome]),
      [
        ['enrol', 'c2', 'ok'],
        ['enrol', 'c3', 'JOIN_TOKEN_UNKNOWN'],
      ],
    )
  })
})

describe('a join token', () => {
  it('that was cut or mistyped is told apart from a wrong one, without asking anybody', async () => {
    const text = formatJoinToken({
      ...{ cluster: 'c', candidates: ['h:1'], authority: 'ab'.repeat(32), token: 't', secret: 's', role: 'worker', expiresAtMs: 5 },
    })
    assert.equal(parseJoinToken(` ${text}\n`).authority, 'ab'.repeat(32))
    for (let end = 0; end < text.length; end++)
      assert.throws(() => parseJoinToken(text.slice(0, end)), { code: 'JOIN_TOKEN_MALFORMED' }, `cut at ${end}`)
    for (let at = 5; at < text.length; at++) {
      const other = text[at] === 'A' ? 'B' : 'A'
      assert.throws(
        () => parseJoinToken(text.slice(0, at) + other + text.slice(at + 1)),
        { code: 'JOIN_TOKEN_MALFORMED' },
        `changed at ${at}`,
      )
    }
    for (const wrong of ['', 'coxj_', 'hello', `${text}x`, `${text} ${text}`, `coxj_${'é'.repeat(40)}`, 'coxj_'.padEnd(20_000, 'A')])
      assert.throws(() => parseJoinToken(wrong), { code: 'JOIN_TOKEN_MALFORMED' })
  })

  it('lets in once, and the same machine again', async () => {
    await using machines = await Machines.found()
    // Its first answer was lost: what it keeps to try again is there, and its node is not.
    const { csr, key } = await makeRequest()
    const { token } = parseJoinToken(machines.joinToken)
    new NodeFolder(machines.folder('w1')).make()
    await new NodeFolder(machines.folder('w1')).joining(`${token} worker w1`, async () => ({ csr, key }))
    assert.equal((await rawRequest(machines, { name: 'w1', csr: csr.toString('base64') })).code, undefined)
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'w1'))), 'ok')
    assert(!existsSync(join(machines.folder('w1'), 'joining.json')))
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'w2'))), 'JOIN_TOKEN_USED')
  })

  it('is refused for another role, another name that is taken, or when it is not known', async () => {
    await using machines = await Machines.found({ token: { uses: 3 } })
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'w1', { role: 'candidate' }))), 'JOIN_ROLE_REFUSED')
    const forged = changed(machines.joinToken, { role: 'candidate' })
    assert.equal(await code(enrol(forged, options(machines, 'w1', { address: 'w1:1' }))), 'JOIN_ROLE_REFUSED', 'the leader knows')
    assert.equal(await code(enrol(changed(machines.joinToken, { secret: 'guess' }), options(machines, 'w1'))), 'JOIN_TOKEN_UNKNOWN')
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'c1', { folder: machines.folder('other') }))), 'NODE_NAME_TAKEN')
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'w1'))), 'ok')
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'w1', { folder: machines.folder('twin') }))), 'NODE_NAME_TAKEN')
    assert.equal(await code(enrol(machines.joinToken, options(machines, '../w', { folder: machines.folder('x') }))), 'INVALID_ARGUMENT')
    const names = machines.acts.map(({ outcome }) => outcome)
    assert.deepEqual(names, ['JOIN_ROLE_REFUSED', 'JOIN_TOKEN_UNKNOWN', 'NODE_NAME_TAKEN', 'ok', 'NODE_NAME_TAKEN'])
  })

  it('expires', async () => {
    await using machines = await Machines.found({ token: { expiresInMs: 1000 } })
    const spent = parseJoinToken(machines.joinToken).expiresAtMs
    // The cluster's time is what the leader's clock said, and goes on from there.
    await using late = await Machines.found({ token: { expiresInMs: 1000 }, skewMs: 4 * 60_000 })
    assert.equal(await code(enrol(late.joinToken, options(late, 'w1'))), 'JOIN_TOKEN_EXPIRED')
    assert(spent > 0)
  })
})

describe('whoever answers', () => {
  it('with another authority is not told anything', async () => {
    await using machines = await Machines.found()
    await using other = await Machines.found()
    const there = changed(machines.joinToken, { candidates: [other.address] })
    assert.equal(await code(enrol(there, options(machines, 'w1'))), 'WRONG_CLUSTER')
    // Somebody in the middle, who made an authority that says it is of this cluster.
    const made = await initCluster({
      ...{ folder: machines.folder('middle'), cluster: machines.cluster, name: 'c1', address: machines.address },
      token: { role: 'worker', uses: 1, expiresInMs: 1000 },
    })
    const heard: string[] = []
    const middle = await serve(async body => {
      heard.push(String(body))
      return undefined
    })
    const { key, certificate } = new NodeFolder(machines.folder('middle')).identity()
    middle.server.setSecureContext({ key, cert: certificate })
    const through = changed(machines.joinToken, { candidates: [middle.address] })
    assert.equal(await code(enrol(through, options(machines, 'w1'))), 'AUTHORITY_MISMATCH')
    // The true authority's certificate behind a leaf that it did not sign.
    const [leaf = ''] = certificate.split(/(?<=-----END CERTIFICATE-----)/)
    const [, root = ''] = machines.keeper.current().certificate!.split(/(?<=-----END CERTIFICATE-----)/)
    middle.server.setSecureContext({ key, cert: `${leaf}\n${root}` })
    assert.notEqual(await code(enrol(through, options(machines, 'w1'))), 'ok')
    assert.deepEqual(heard, [], 'nothing was sent')
    assert(made.joinToken !== '' && !existsSync(join(machines.folder('w1'), 'node.json')))
    middle.server.closeAllConnections()
    await new Promise(resolve => middle.server.close(resolve))
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'w1'))), 'ok', 'the token was not used up')
  })

  it('may be a worker with a good certificate: it is no candidate', async () => {
    await using machines = await Machines.found({ token: { uses: 2 } })
    await enrol(machines.joinToken, options(machines, 'w1'))
    const { key, certificate } = new NodeFolder(machines.folder('w1')).identity()
    machines.show({ authorities: [], key, certificate })
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'w2'))), 'UNAVAILABLE')
  })

  it('an hour off is named, whoever of the two it is', async () => {
    await using machines = await Machines.found({ token: { uses: 9 } })
    const hour = 3_600_000
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'w1'), () => Date.now() - hour)), 'CLOCK_SKEWED')
    assert.equal(await code(enrol(machines.joinToken, options(machines, 'w1'), () => Date.now() + 25 * hour)), 'CLOCK_SKEWED')
    const ahead = enrol(machines.joinToken, options(machines, 'w1'), () => Date.now() + hour)
    await assert.rejects(ahead, (error: CoxswainError) => {
      assert.equal(error.code, 'CLOCK_SKEWED')
      assert.match(error.message, /The clock of w1 says .*60 min ahead/)
      return true
    })
  })

  it('that stands by says who leads', async () => {
    await using machines = await Machines.found()
    const standby = await serve(async () => ({
      status: 421,
      type: 'application/json',
      body: JSON.stringify({ code: 'UNAVAILABLE', message: 'This candidate stands by.', leader: `wss://${machines.address}` }),
    }))
    const { key = '', certificate = '' } = machines.keeper.current()
    standby.server.setSecureContext({ key, cert: certificate })
    const text = changed(machines.joinToken, { candidates: [standby.address] })
    assert.equal(await code(enrol(text, options(machines, 'w1'))), 'ok')
    standby.server.closeAllConnections()
    await new Promise(resolve => standby.server.close(resolve))
  })
})

describe('a request to join', () => {
  it('is refused without proof of the key, and whatever else it says does not count', async () => {
    await using machines = await Machines.found({ token: { uses: 9 } })
    const { csr } = await makeRequest()
    const broken = Buffer.from(csr)
    broken[broken.length - 1]! ^= 1
    const unproven = await rawRequest(machines, { csr: broken.toString('base64') })
    assert.deepEqual([unproven.code, /was not signed with the key/.test(unproven.message)], ['INVALID_ARGUMENT', true])
    assert.equal((await rawRequest(machines, { csr: 'AAAA' })).code, 'INVALID_ARGUMENT')
    for (const change of [
      { role: 'admin' },
      { name: 'a/b' },
      { name: 7 },
      { timeMs: 'now' },
      { address: 'http://evil/x' },
      { csr: 'A'.repeat(9000) },
    ])
      assert.equal((await rawRequest(machines, change)).code, 'INVALID_ARGUMENT', JSON.stringify(change))
    assert.equal((await rawRequest(machines, { token: ['x'] })).code, 'INVALID_ARGUMENT')
    for (const body of ['', 'null', '[]', '{"__proto__":{"token":"x"}}', '{'])
      assert.equal(JSON.parse(String((await machines.answer(Buffer.from(body)))!.body)).code, 'INVALID_ARGUMENT', body)
    assert.equal((await machines.answer(Buffer.from('{}'), 'GET'))!.status, 400)
  })

  it('has the name that the leader gives, not one that it brings', async () => {
    await using machines = await Machines.found({ token: { uses: 9 } })
    const x509 = await import('@peculiar/x509')
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const foreign = await x509.Pkcs10CertificateRequestGenerator.create({
      ...{ name: 'CN=c1', keys, signingAlgorithm: algorithm },
      extensions: [
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `coxswain://${machines.cluster}/candidate/c1` }]),
        new x509.BasicConstraintsExtension(true),
      ],
    })
    const given = (await rawRequest(machines, { csr: Buffer.from(foreign.rawData).toString('base64') })) as unknown as {
      certificate: string
    }
    const { X509Certificate } = await import('node:crypto')
    const read = new X509Certificate(Buffer.from(given.certificate, 'base64'))
    assert.deepEqual([read.subject, read.subjectAltName, read.ca], ['CN=raw', `URI:coxswain://${machines.cluster}/worker/raw`, false])
    const curve = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' }
    const strange = await crypto.subtle.generateKey(curve, true, ['sign', 'verify'])
    const other = await x509.Pkcs10CertificateRequestGenerator.create({ name: '', keys: strange, signingAlgorithm: curve })
    assert.equal((await rawRequest(machines, { csr: Buffer.from(other.rawData).toString('base64'), name: 'x' })).code, 'INVALID_ARGUMENT')
  })
})

describe('names of nodes', () => {
  it('come from the machine', () => {
    assert.deepEqual(
      [nodeNameOf('box7.example.org', 'worker'), nodeNameOf('box7', 'candidate'), nodeNameOf('__', 'worker'), nodeNameOf('ä b', 'worker')],
      ['box7', 'box7-c', 'node', 'b'],
    )
  })
})
