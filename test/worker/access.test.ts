// Holds a worker to whom it lets at its blocks: to who has the leader's capability for just this, and to nobody else.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { nodeWeb } from '../../src/platform/node/index.ts'
import { capabilityLifeMs, capabilityToleranceMs } from '../../src/protocol/index.ts'
import { BlockAccess } from '../../src/worker/blocks/access.ts'
import { BlockServer } from '../../src/worker/blocks/server.ts'
import { BlockStore } from '../../src/worker/blocks/store.ts'
import { accessTo, blockKey, capabilityOf, type Grant, granted, registeredAtMs, tester } from './grants.ts'

const block = 'a'.repeat(64)
const other = 'b'.repeat(64)
const asked = { operation: 'read', bearer: tester, block } as const

describe('a capability', () => {
  test('for one block, or for any, is believed', () => {
    const access = accessTo('w1')
    assert.ok(access.admits({ ...asked, capability: capabilityOf({ block }) }))
    assert.ok(access.admits({ ...asked, capability: capabilityOf() }))
    assert.ok(access.admits({ ...asked, operation: 'write', capability: capabilityOf({ operation: 'write' }) }))
    assert.equal(access.refused, 0)
  })

  const wrong: [string, Grant][] = [
    ['another block', { block: other }],
    ['the other operation', { operation: 'write' }],
    ['another holder', { holder: 'w2' }],
    ['another session', { bearer: 'another' }],
    ['nobody', { bearer: '' }],
    ['another key', { key: randomBytes(32) }],
  ]
  for (const [what, grant] of wrong)
    test(`for or of ${what} is refused, and counted`, () => {
      const access = accessTo('w1')
      assert.equal(access.admits({ ...asked, capability: capabilityOf(grant) }), false)
      assert.equal(access.refused, 1)
    })

  test('for one block is none for any, nor does it last longer than it says', () => {
    const access = accessTo('w1')
    const [, expires, signature] = capabilityOf({ block }).split('.')
    assert.equal(access.admits({ ...asked, capability: `a.${expires}.${signature}` }), false)
    const later = (Number.parseInt(expires!, 36) + 1).toString(36)
    assert.equal(access.admits({ ...asked, capability: `b.${later}.${signature}` }), false)
    assert.equal(access.admits({ ...asked, block: other, capability: `b.${expires}.${signature}` }), false)
  })

  test('that is cut, longer, or no such text is refused', () => {
    const access = accessTo('w1')
    const whole = capabilityOf()
    const texts = ['', 'a', 'a..', `${whole}A`, ` ${whole}`, `${whole}\n`, whole.toUpperCase(), 'é'.repeat(60), 'a'.repeat(1 << 20)]
    for (let length = 1; length < whole.length; length++) texts.push(whole.slice(0, length), whole.slice(length))
    for (const capability of texts) assert.equal(access.admits({ ...asked, capability }), false, capability.slice(0, 100))
    assert.equal(access.refused, texts.length)
  })

  test('with any one bit of its signature changed is refused', () => {
    const access = accessTo('w1')
    const [scope, expires, signature] = capabilityOf().split('.')
    const bytes = Buffer.from(signature!, 'base64url')
    for (let bit = 0; bit < 256; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      assert.equal(access.admits({ ...asked, capability: `${scope}.${expires}.${bytes.toString('base64url')}` }), false)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
    }
    assert.ok(access.admits({ ...asked, capability: `${scope}.${expires}.${bytes.toString('base64url')}` }))
  })

  test('expires by cluster time, a minute later than it says, and whatever wall clocks say', () => {
    const lasts = capabilityLifeMs + capabilityToleranceMs
    assert.ok(accessTo('w1', lasts).admits({ ...asked, capability: capabilityOf() }))
    assert.equal(accessTo('w1', lasts + 1).admits({ ...asked, capability: capabilityOf() }), false)
  })

  test('of an earlier registration is none, and before the first one there is none', () => {
    const access = new BlockAccess('w1', { monotonicMs: () => 0, wallMs: () => 0, timer: () => () => {}, soon: () => {} })
    assert.equal(access.admits({ ...asked, capability: capabilityOf() }), false)
    access.renew(blockKey, registeredAtMs)
    assert.ok(access.admits({ ...asked, capability: capabilityOf() }))
    access.renew(randomBytes(32), registeredAtMs)
    assert.equal(access.admits({ ...asked, capability: capabilityOf() }), false)
  })
})

describe('a block server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cox-access-'))
  let server: BlockServer
  let access: BlockAccess
  const logged: unknown[] = []
  let here = ''

  before(async () => {
    const store = new BlockStore(join(folder, 'blocks'), join(folder, 'copies'))
    await store.open()
    access = accessTo('w1')
    server = new BlockServer(store, {
      web: nodeWeb,
      host: '127.0.0.1',
      name: 'w1',
      access,
      tier: undefined,
      log: (_level, event, fields) => void logged.push([event, fields?.['refused']]),
    })
    await server.listen()
    const body = Buffer.from('here')
    here = createHash('sha256').update(body).digest('hex')
    const stored = await fetch(`${server.address}/blocks/${here}`, { method: 'PUT', body, headers: granted({ operation: 'write' }) })
    assert.equal(stored.status, 201)
  })
  after(async () => {
    await server.close()
    rmSync(folder, { recursive: true })
  })

  test('says the same of a block that is here and of one that is not to who may not have it', async () => {
    const before = access.refused
    const answers: string[] = []
    for (const name of [here, other, 'no-name-at-all'])
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const headers = granted({ holder: 'w2' })
        const response = await fetch(`${server.address}/blocks/${name}`, { method, headers, ...(method === 'PUT' && { body: 'here' }) })
        const heads = [...response.headers].filter(([header]) => header !== 'date')
        answers.push(JSON.stringify([response.status, heads, await response.text()]))
      }
    assert.equal(new Set(answers).size, 1, answers.join('\n'))
    assert.match(answers[0]!, /^\[403,/)
    assert.equal(access.refused, before + 9)
    assert.deepEqual(logged, [['block-refused', before + 1]], 'once in a while')
  })

  test('gives it to who may, and lets nobody write with the right to read', async () => {
    const url = `${server.address}/blocks/${here}`
    assert.equal(await (await fetch(url, { headers: granted({ block: here }) })).text(), 'here')
    assert.equal((await fetch(url, { method: 'PUT', body: 'here', headers: granted({ block: here }) })).status, 403)
    assert.equal((await fetch(url, { headers: { ...granted(), 'x-coxswain-bearer': '%' } })).status, 403)
  })
})
