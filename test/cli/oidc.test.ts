// Shows that a token of an identity provider is believed only where all of RFC 8725 holds, with keys from a real server on this machine.
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from 'jose'
import { type OidcOptions, oidcAuthenticator } from '../../src/cli/oidc/oidc.ts'
import type { Principal } from '../../src/protocol/index.ts'

interface Signer {
  alg: string
  kid: string
  privateKey: CryptoKey
  publicKey: CryptoKey
  jwk: JWK
}

async function signer(alg: string, kid: string): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { alg, kid, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

let server: Server
let keysUrl: string
let published: JWK[] = []
let fetched = 0
let answer: ((keys: JWK[]) => string) | undefined
const clock = { wallMs: () => 1_800_000_000_000, mono: 0, monotonicMs: () => clock.mono }
const nowS = clock.wallMs() / 1000
let rsa: Signer
let ec: Signer
let ed: Signer

before(async () => {
  ;[rsa, ec, ed] = await Promise.all([signer('RS256', 'rsa-1'), signer('ES256', 'ec-1'), signer('EdDSA', 'ed-1')])
  published = [rsa.jwk, ec.jwk, ed.jwk]
  server = createServer((_request, response) => {
    fetched++
    response.end(answer ? answer(published) : JSON.stringify({ keys: published }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  keysUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
})
after(() => {
  server.close()
})

const roles: OidcOptions['roles'] = { look: { role: 'viewer', jobPrefixes: ['a/'] }, run: { role: 'operator' } }

function provider(more: Partial<OidcOptions> = {}): { come(token: string): Promise<Principal | undefined>; log: string[] } {
  const log: string[] = []
  const check = oidcAuthenticator({ issuer: 'https://id', audience: 'cox', keysUrl, roles, ...more }, clock, (_event, fields) =>
    log.push(JSON.stringify(fields)),
  )
  return { come: async token => check({ token, certificate: undefined, remote: 'here' }), log }
}

interface Claims {
  iss?: string | undefined
  aud?: string | undefined
  sub?: string | undefined
  exp?: number | undefined
  nbf?: number | undefined
  roles?: unknown
}

const good: Claims = { iss: 'https://id', aud: 'cox', sub: 'alice', exp: nowS + 300, nbf: nowS - 10, roles: ['look'] }

function sign(by: Signer, claims: Claims = {}, head: Record<string, unknown> = {}): Promise<string> {
  const payload = Object.fromEntries(Object.entries({ ...good, ...claims }).filter(([, value]) => value !== undefined))
  return new SignJWT(payload).setProtectedHeader({ alg: by.alg, kid: by.kid, typ: 'JWT', ...head }).sign(by.privateKey)
}

describe('a token of an identity provider', () => {
  it('is good with each algorithm of the list, and stands for name, role and scope by its claims', async () => {
    const { come } = provider()
    for (const by of [rsa, ec, ed])
      assert.deepEqual(await come(await sign(by)), {
        ...{ kind: 'user', name: 'oidc:alice', role: 'viewer', credential: `oidc:${by.kid}`, goodForMs: 360_000 },
        scope: { jobPrefixes: ['a/'], labels: [] },
      })
    assert.equal((await come(await sign(ec, { roles: ['look', 'run', 'other'] })))?.kind === 'user', true)
    const both = await come(await sign(ec, { roles: ['look', 'run'] }))
    assert.equal(both?.kind === 'user' && both.role, 'operator')
    assert.equal((await come(await sign(ec, {}, { typ: 'at+jwt' })))?.name, 'oidc:alice')
  })

  it('is not believed where anything is missing or another than it must be', async () => {
    const { come, log } = provider()
    const other = await signer('RS256', 'rsa-1')
    const hs = new TextEncoder().encode(await exportSPKI(rsa.publicKey))
    const head = (fields: object): string => Buffer.from(JSON.stringify(fields)).toString('base64url')
    const [, body = '', signature = ''] = (await sign(rsa)).split('.')
    const confused = await new SignJWT({ ...good } as Record<string, unknown>)
      .setProtectedHeader({ alg: 'HS256', kid: 'rsa-1', typ: 'JWT' })
      .sign(hs)
    const bad: Record<string, string> = {
      'alg none': new UnsecuredJWT({ ...good } as Record<string, unknown>).encode(),
      'alg none with a signature': `${head({ alg: 'none', kid: 'rsa-1', typ: 'JWT' })}.${body}.${signature}`,
      'HS256 with the public key as its secret': confused,
      'RS512, which is not on the list': `${head({ alg: 'RS512', kid: 'rsa-1', typ: 'JWT' })}.${body}.${signature}`,
      'ES256 with a key of RSA': `${head({ alg: 'ES256', kid: 'rsa-1', typ: 'JWT' })}.${body}.${signature}`,
      'no audience': await sign(rsa, { aud: undefined }),
      'another audience': await sign(rsa, { aud: 'other' }),
      'another issuer': await sign(rsa, { iss: 'https://evil' }),
      'no issuer': await sign(rsa, { iss: undefined }),
      'no expiry': await sign(rsa, { exp: undefined }),
      'no begin': await sign(rsa, { nbf: undefined }),
      'expired an hour ago': await sign(rsa, { exp: nowS - 3600 }),
      'expired just beyond the tolerance': await sign(rsa, { exp: nowS - 61 }),
      'good from an hour on': await sign(rsa, { nbf: nowS + 3600 }),
      'no type': await sign(rsa, {}, { typ: undefined }),
      'another type': await sign(rsa, {}, { typ: 'logout+jwt' }),
      'a critical extension': `${head({ alg: 'RS256', kid: 'rsa-1', typ: 'JWT', crit: ['x'], x: 1 })}.${body}.${signature}`,
      'no key id': await sign(rsa, {}, { kid: undefined }),
      'a key id that is a path': await sign(other, {}, { kid: '../../../../dev/null' }),
      'a key id that is SQL': await sign(other, {}, { kid: "x' UNION SELECT 'key" }),
      'a key id that is an address': await sign(other, {}, { kid: 'http://127.0.0.1:1/keys' }),
      'an address of keys of its own': await sign(other, {}, { kid: 'own', jku: 'http://127.0.0.1:1/keys', jwk: other.jwk }),
      'another key under a known id': await sign(other),
      'one inside another': await sign(rsa, { sub: await sign(rsa) }),
      'a huge one': `${'a'.repeat(1 << 20)}.${body}.${signature}`,
      'no name': await sign(rsa, { sub: undefined }),
      'a name of a session': await sign(rsa, { sub: 'bob/session' }),
      'no role': await sign(rsa, { roles: [] }),
      'a role that nobody knows': await sign(rsa, { roles: ['constructor', '__proto__', 7, null] }),
      'an altered body': `${head({ alg: 'RS256', kid: 'rsa-1', typ: 'JWT' })}.${head({ ...good, roles: ['run'] })}.${signature}`,
      nothing: '',
      'dots only': '..',
    }
    for (const [name, token] of Object.entries(bad)) assert.equal(await come(token), undefined, name)
    assert.doesNotMatch(log.join('\n'), new RegExp(signature), 'no token is in the log')
    assert.equal((await come(await sign(rsa, { exp: nowS - 30 })))?.name, 'oidc:alice', 'within the tolerance it is good')
    assert.equal((await come(await sign(rsa, { nbf: nowS + 30 })))?.name, 'oidc:alice')
  })

  it('may be signed by a new key, which is asked for no more often than it should be', async () => {
    const { come } = provider()
    assert.equal((await come(await sign(rsa)))?.name, 'oidc:alice')
    const next = await signer('ES256', 'ec-2')
    const before = fetched
    for (let at = 0; at < 20; at++) assert.equal(await come(await sign(next)), undefined)
    assert.equal(fetched, before, 'not again so soon')
    published = [next.jwk, ec.jwk]
    clock.mono += 31_000
    assert.equal((await come(await sign(next)))?.name, 'oidc:alice')
    assert.equal(fetched, before + 1)
    assert.equal(await come(await sign(rsa)), undefined, 'the old key is taken back')
    published = [rsa.jwk, ec.jwk, ed.jwk]
  })

  it('is not believed while the provider gives nonsense, and known keys stay good while it does not answer', async () => {
    const { come, log } = provider()
    answer = () => 'x'.repeat(1 << 20)
    assert.equal(await come(await sign(rsa)), undefined)
    answer = () => '{"keys":7}'
    clock.mono += 31_000
    assert.equal(await come(await sign(rsa)), undefined)
    answer = undefined
    clock.mono += 31_000
    assert.equal((await come(await sign(rsa)))?.name, 'oidc:alice')
    answer = () => 'nothing'
    clock.mono += 3_600_000
    assert.equal((await come(await sign(rsa)))?.name, 'oidc:alice')
    answer = undefined
    assert.equal(log.length, 2)
  })

  it('needs options that can be', () => {
    for (const bad of [{ keysUrl: 'http://id.example.com/keys' }, { keysUrl: 'file:///keys' }, { issuer: '' }, { audience: '' }])
      assert.throws(() => provider(bad), { code: 'INVALID_ARGUMENT' }, JSON.stringify(bad))
    assert.throws(() => provider({ roles: { x: { role: 'admin', labels: ['y'] } } }), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => provider({ roles: { x: { role: 'root' as never } } }), { code: 'INVALID_ARGUMENT' })
  })
})
