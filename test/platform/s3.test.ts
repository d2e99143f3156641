// Objects on a real S3 server: what is stored is read back whole or from anywhere, nothing is changed, and refusals are named.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ObjectStore } from '../../src/platform/index.ts'
import { openS3, parseS3Address } from '../../src/platform/node/index.ts'
import { noS3, S3Server } from '../services/s3.ts'

async function read(store: ObjectStore, name: string, from?: number): Promise<{ bytes: number; content: Buffer } | undefined> {
  const found = await store.get(name, from)
  return found && { bytes: found.bytes, content: Buffer.concat(await Array.fromAsync(found.pieces)) }
}

describe('an address of S3', () => {
  it('is a bucket and a prefix', () => {
    assert.deepEqual(parseS3Address('s3://blocks'), { bucket: 'blocks', prefix: '' })
    assert.deepEqual(parseS3Address('s3://my.blocks/a/b/'), { bucket: 'my.blocks', prefix: 'a/b' })
    for (const bad of ['', 's3://', 's3://UPPER', 'https://blocks', 's3://b', 's3://blocks?x=1', 's3://blocks/a b'])
      assert.throws(() => parseS3Address(bad), { code: 'INVALID_ARGUMENT' }, bad)
  })
})

describe('the package @aws-sdk/client-s3', () => {
  async function inProcess(mode: string): Promise<{ before: boolean; after: boolean; code: string; message: string }> {
    const script = fileURLToPath(new URL('./s3-without-sdk.ts', import.meta.url))
    return JSON.parse((await promisify(execFile)(process.execPath, [script, mode])).stdout)
  }

  it('is loaded only when objects are opened', async () => {
    const { before: early, after: late, code } = await inProcess('there')
    assert.deepEqual([early, late, code], [false, true, 'OBJECT_STORE_FAILED'])
  })

  it('is asked for where it is not installed', async () => {
    const { code, message } = await inProcess('missing')
    assert.equal(code, 'PACKAGE_MISSING')
    assert.match(message, /npm install @aws-sdk\/client-s3/)
  })
})

describe('objects in S3', { skip: noS3 }, () => {
  const own = ['AWS_ENDPOINT_URL_S3', 'AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']
  const saved = own.map(name => [name, process.env[name]] as const)
  const folder = mkdtempSync(join(tmpdir(), 'cox-objects-'))
  let server: S3Server
  let store: ObjectStore

  before(async () => {
    server = await S3Server.start()
    Object.assign(process.env, server.environment)
    store = await openS3('s3://test/some/prefix')
  })

  after(async () => {
    store?.close()
    await server?.stop()
    rmSync(folder, { recursive: true, force: true })
    for (const [name, value] of saved) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  })

  it('are written once, and read whole, in part, or not at all', async () => {
    const content = randomBytes(3_000_000)
    assert.equal(await store.get('a'), undefined)
    assert.equal(await store.size('a'), undefined)
    assert.equal(await store.put('a', content), true)
    assert.equal(await store.put('a', Buffer.from('other')), false, 'what is there stays')
    assert.equal(await store.size('a'), content.length)
    assert.deepEqual(await read(store, 'a'), { bytes: content.length, content })
    assert.deepEqual(await read(store, 'a', 2_999_990), { bytes: content.length, content: content.subarray(2_999_990) })
    await store.remove('a')
    await store.remove('a')
    assert.equal(await store.get('a'), undefined)
  })

  it('come from a file, once', async () => {
    const path = join(folder, 'file')
    const content = randomBytes(1_000_000)
    writeFileSync(path, content)
    assert.equal(await store.put('from-a-file', { path, bytes: content.length }), true)
    assert.equal(await store.put('from-a-file', { path, bytes: content.length }), false)
    assert.deepEqual((await read(store, 'from-a-file'))?.content, content)
  })

  it('of one name are written by one of many', async () => {
    const outcomes = await Promise.all(Array.from({ length: 8 }, (_, at) => store.put('race', Buffer.from([at]))))
    assert.equal(outcomes.filter(Boolean).length, 1)
    assert.deepEqual((await read(store, 'race'))?.content, Buffer.from([outcomes.indexOf(true)]))
  })

  it('are listed in order, below their prefix alone', async () => {
    for (const name of ['list/b', 'list/a', 'list/c', 'lists/z']) await store.put(name, Buffer.from(name))
    assert.deepEqual(await store.list('list/'), ['list/a', 'list/b', 'list/c'])
    assert.deepEqual(await store.list('list/', 'list/a'), ['list/b', 'list/c'])
    const other = await openS3('s3://test/elsewhere')
    assert.deepEqual(await other.list(''), [])
    other.close()
  })

  it('are refused with wrong credentials, and in no bucket', async () => {
    await assert.rejects(openS3('s3://no-such-bucket'), { code: 'OBJECT_STORE_FAILED' })
    process.env['AWS_SECRET_ACCESS_KEY'] = 'wrong'
    await assert.rejects(
      openS3('s3://test'),
      (error: Error) => !error.message.includes('wrong') && /SignatureDoesNotMatch|403/.test(error.message),
    )
    Object.assign(process.env, server.environment)
  })
})
