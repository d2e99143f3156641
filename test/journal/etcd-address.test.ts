// Shows which addresses of a journal on etcd are taken and what is said about the others, what is read from files, and which releases of etcd are led on.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { etcdOptions, isEtcdAddress, parseEtcdAddress } from '../../src/journal/etcd/address.ts'
import { whyUnsafeEtcd } from '../../src/journal/etcd/version.ts'
import { CoxswainError } from '../../src/protocol/index.ts'

function refused(work: () => unknown, words: RegExp): void {
  assert.throws(work, error => error instanceof CoxswainError && error.code === 'INVALID_ARGUMENT' && words.test(error.message))
}

describe('an address of a journal on etcd', () => {
  for (const [text, wanted] of [
    ['etcd://h1', { endpoints: ['http://h1:2379'], prefix: '/coxswain' }],
    ['etcd://h1:2379,h2:12379/', { endpoints: ['http://h1:2379', 'http://h2:12379'], prefix: '/coxswain' }],
    ['ETCDS://H1.Example.org/a/b-1/', { endpoints: ['https://h1.example.org:2379'], prefix: '/a/b-1' }],
    ['etcds://me%40here@[::1]:1,10.0.0.1/x', { endpoints: ['https://[::1]:1', 'https://10.0.0.1:2379'], prefix: '/x', user: 'me@here' }],
  ] as const) {
    it(`is read: ${text}`, () => assert.deepEqual(parseEtcdAddress(text), wanted))
  }

  for (const [text, words] of [
    ['http://h1:2379', /did you mean etcd:\/\//],
    ['https://h1:2379', /did you mean etcds:\/\//],
    ['h1:2379', /does not begin with etcd:\/\//],
    ['', /does not begin with/],
    ['etcd://', /names no host/],
    ['etcd://h1,,h2', /comma too many/],
    ['etcd://h1,h1:2379', /names h1:2379 twice/],
    ['etcd://h1:0', /port 0/],
    ['etcd://h1:65536', /port 65536/],
    ['etcd://h1:x', /no host with a port/],
    ['etcd://::1:2379', /IPv6 stands in brackets/],
    ['etcd://[h1]:2379', /no host with a port/],
    ['etcd://@h1', /no user before it/],
    ['etcd://a@b@h1', /more than one "@"/],
    ['etcd://%zz@h1', /stands for nothing/],
    ['etcd://h1/a//b', /empty part/],
    ['etcd://h1/a/../b', /the part "\.\."/],
    ['etcd://h1/a%2fb', /the part "a%2fb"/],
    ['etcd://h1?x=1', /a "\?"/],
    ['etcd://h1/ a', /a space/],
    [`etcd://h1/${'a'.repeat(201)}`, /201|202/],
    [`etcd://${Array.from({ length: 17 }, (_, at) => `h${at}`).join()}`, /17 members/],
  ] as const) {
    it(`is refused with what is wrong: ${text.slice(0, 40)}`, () => refused(() => parseEtcdAddress(text), words))
  }

  it('with a password in it is refused, and the password is not repeated', () => {
    for (const text of ['etcd://me:geheim@h1/x', 'etcds://me:ge?heim@h1', 'etcd://me:geheim@ h1', 'etcd://:geheim@h1,,']) {
      assert.throws(
        () => parseEtcdAddress(text),
        (error: Error) => /COX_ETCD_PASSWORD_FILE/.test(error.message) && !/heim/.test(error.message),
      )
    }
  })

  it('is read or refused by a typed error, whatever it is', () => {
    const pieces = fc.constantFrom('etcd://', 'etcds://', 'h', ':', '@', '/', ',', '[', ']', '%', '2379', '.', '?', 'ü', ' ', 'a')
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), parts => {
        try {
          const { endpoints, prefix } = parseEtcdAddress(parts.join(''))
          for (const endpoint of endpoints)
            assert.equal(new URL(endpoint).port !== '' || endpoint.endsWith(':80') || endpoint.endsWith(':443'), true)
          assert.match(prefix, /^(\/[\w.~-]+)+$/)
        } catch (error) {
          assert.ok(error instanceof CoxswainError, String(error))
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('is told from other addresses', () => {
    assert.deepEqual(['etcd://h', 'etcds://h', 'ETCD://h', 'postgres://h', 'etcd', '/etcd://h'].map(isEtcdAddress), [
      true,
      true,
      true,
      false,
      false,
      false,
    ])
  })
})

describe('files beside the address', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cox-etcd-files-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  function file(name: string, text: string, mode = 0o600): string {
    const path = join(folder, name)
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }
  const plain = parseEtcdAddress('etcd://h1')
  const secure = parseEtcdAddress('etcds://h1')
  const user = parseEtcdAddress('etcd://me@h1')

  it('give certificates and the password, which is read again each time', () => {
    const files = { caFile: file('ca', 'CA', 0o644), certFile: file('cert', 'CERT', 0o644), keyFile: file('key', 'KEY') }
    assert.deepEqual(etcdOptions(secure, files).tls, { ca: Buffer.from('CA'), cert: Buffer.from('CERT'), key: Buffer.from('KEY') })
    assert.deepEqual(etcdOptions(secure, {}).tls, {})
    assert.equal(etcdOptions(plain, {}).tls, undefined)
    const { password } = etcdOptions(user, { passwordFile: file('password', 'one two \n') })
    assert.equal(password?.(), 'one two ')
    file('password', 'three\r\n')
    assert.equal(password?.(), 'three')
  })

  it('that do not fit are refused', () => {
    refused(() => etcdOptions(plain, { caFile: file('ca', 'CA') }), /Write etcds:\/\//)
    refused(() => etcdOptions(secure, { certFile: file('cert', 'CERT') }), /needs its key/)
    refused(() => etcdOptions(secure, { keyFile: file('key', 'KEY') }), /needs its key/)
    refused(() => etcdOptions(plain, { passwordFile: file('password', 'x') }), /names no user/)
    refused(() => etcdOptions(user, {}), /no password is given/)
    refused(() => etcdOptions(user, { passwordFile: join(folder, 'gone') }), /cannot be read: ENOENT/)
    refused(() => etcdOptions(user, { passwordFile: file('empty', '\n') }), /holds no password/)
    refused(() => etcdOptions(user, { passwordFile: file('open', 'x', 0o604) }), /chmod 600/)
    refused(() => etcdOptions(secure, { certFile: file('cert', 'CERT'), keyFile: file('open-key', 'KEY', 0o644) }), /chmod 600/)
  })
})

describe('a release of etcd', () => {
  const number = fc.nat(60)

  it('is led on from 3.5.28, 3.6.9 and 3.7 on, and only there', () => {
    fc.assert(
      fc.property(fc.nat(4), fc.nat(9), number, (major, minor, patch) => {
        const good = major > 3 || (major === 3 && (minor > 6 || (minor === 6 && patch >= 9) || (minor === 5 && patch >= 28)))
        assert.equal(whyUnsafeEtcd(`${major}.${minor}.${patch}`) === undefined, good)
      }),
      { numRuns: 2000 },
    )
  })

  it('gets no worse with a higher patch', () => {
    fc.assert(
      fc.property(fc.nat(9), number, (minor, patch) => {
        if (whyUnsafeEtcd(`3.${minor}.${patch}`) === undefined) assert.equal(whyUnsafeEtcd(`3.${minor}.${patch + 1}`), undefined)
      }),
    )
  })

  it('that came before a good one is none', () => {
    for (const version of ['3.6.9-rc.0', '3.5.28-alpha', '3.4.44', '3.6.0'])
      assert.match(whyUnsafeEtcd(version)!, /#20418.*CVE-2026-33413.*CVE-2026-33343/)
    for (const version of ['3.6.16', 'v3.6.9', '3.5.28+build', '3.7.0-rc.0', '3.6.10-rc.1']) assert.equal(whyUnsafeEtcd(version), undefined)
  })

  it('that nobody knows is none', () => {
    for (const version of ['', 'not decided', '3.6', '3.6.9.1', `3.6.${'9'.repeat(50)}`])
      assert.match(whyUnsafeEtcd(version)!, /none that is known/)
  })
})
