// Shows which addresses, servers, rights and schemas are refused for a journal on PostgreSQL, each with its error, and with how little right one runs.
// Must not test what a store does once it is open.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { rejectsWith, TestLeader } from '../../src/journal/conformance/index.ts'
import { openPostgresStore, verifyStore } from '../../src/journal/index.ts'
import { parseAddress } from '../../src/journal/postgres/address.ts'
import type { CoxswainError } from '../../src/protocol/errors.ts'
import { certificatesMissing, postgresMissing, TestPostgres } from '../services/postgres.ts'
import { freshSchema } from './postgres-place.ts'

describe('the address of a journal on PostgreSQL', () => {
  it('is refused where it cannot be meant, and its password is never said', async () => {
    const bad = [
      'postgres://me:s3cret@db/x',
      'postgres://db/x?password=s3cret',
      'mysql://db/x',
      'postgres://db:99999/x',
      'postgres://db:port/x',
      'postgres://db/x?schema=No-Name',
      `postgres://db/x?schema=${'s'.repeat(41)}`,
      'postgres://db/x?sslmode=prefer',
      'postgres://db/x?sslmode=disable',
      'postgres://db/x?target_session_attrs=any',
      'postgres://db/x?shema=y',
    ]
    for (const url of bad)
      await assert.rejects(openPostgresStore({ url }), (error: CoxswainError) => {
        assert.equal(error.code, 'INVALID_ARGUMENT', url)
        assert.doesNotMatch(`${error.message} ${error.stack}`, /s3cret/)
        return true
      })
  })

  it('names hosts, database, user and schema, and asks for TLS where others could listen', () => {
    const { words: _, ...far } = parseAddress('postgresql://a%40b@h1:5433,h2,[fd00::1]:5434/base?schema=mine', false)
    const hosts = [
      { host: 'h1', port: 5433 },
      { host: 'h2', port: 5432 },
      { host: 'fd00::1', port: 5434 },
    ]
    assert.deepEqual(far, { hosts, database: 'base', user: 'a@b', schema: 'mine', sslmode: 'verify-full' })
    for (const near of ['localhost', '127.0.0.1:1', '[::1]:1', 'localhost,127.0.0.2'])
      assert.equal(parseAddress(`postgres://me@${near}/x`, false).sslmode, 'disable', near)
    assert.equal(parseAddress('postgres://me@localhost,db/x', false).sslmode, 'verify-full')
    assert.equal(parseAddress('postgres://me@localhost/x?sslmode=verify-full', false).sslmode, 'verify-full')
    assert.deepEqual(parseAddress('postgres://me@/x?host=/run/postgresql', false).hosts, [{ host: '/run/postgresql', port: 5432 }])
  })
})

describe('the package pg', () => {
  const url = 'postgres://me@127.0.0.1:1/x'
  async function inProcess(mode: string): Promise<{ before: boolean; after: boolean; code: string; message: string }> {
    const script = fileURLToPath(new URL('./postgres-without-pg.ts', import.meta.url))
    return JSON.parse((await promisify(execFile)(process.execPath, [script, mode, url])).stdout)
  }

  it('is loaded only when a journal is opened on PostgreSQL', async () => {
    const { before: early, after: late, code } = await inProcess('there')
    assert.deepEqual([early, late, code], [false, true, 'JOURNAL_UNAVAILABLE'])
  })

  it('is asked for where it is not installed', async () => {
    const { code, message } = await inProcess('missing')
    assert.equal(code, 'PACKAGE_MISSING')
    assert.match(message, /npm install pg/)
  })
})

describe('opening a journal on PostgreSQL', { skip: postgresMissing }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'cox-postgres-secrets-'))
  const environment = { ...process.env }
  let server: TestPostgres
  before(async () => {
    server = await TestPostgres.start({ fsync: 'on' })
    await server.sql("CREATE ROLE plain LOGIN; CREATE ROLE secret LOGIN PASSWORD 'right'; CREATE ROLE owner LOGIN")
    await server.allow('secret', 'scram-sha-256')
  })
  after(async () => {
    await server?.remove()
    rmSync(folder, { recursive: true, force: true })
  })
  afterEach(() => {
    for (const name of ['PGPASSWORD', 'PGPASSFILE'])
      if (environment[name] === undefined) delete process.env[name]
      else process.env[name] = environment[name]
  })

  const open = (url: string, passwordFile?: string) => openPostgresStore({ url, passwordFile })

  function file(name: string, content: string, mode: number): string {
    const path = join(folder, name)
    writeFileSync(path, content, { mode })
    return path
  }

  it('takes no more right than to own the schema', async () => {
    const schema = freshSchema()
    await server.sql(`CREATE SCHEMA ${schema} AUTHORIZATION owner`)
    const store = await open(server.url(schema, 'owner'))
    const leader = await TestLeader.claim(store)
    await leader.append({ payloads: [leader.payload(10)] })
    await leader.snapshot()
    await store.journal.compact(1, leader.next)
    assert.deepEqual((await verifyStore(store)).problems, [])
    await store.leadership.resign()
    await store.close()
  })

  it('is refused without that right, to make the schema or to use it', async () => {
    await rejectsWith(open(server.url(freshSchema(), 'plain')), 'JOURNAL_UNUSABLE')
    const schema = freshSchema()
    await (await open(server.url(schema))).close()
    await rejectsWith(open(server.url(schema, 'plain')), 'JOURNAL_UNUSABLE')
    await server.sql(`GRANT USAGE ON SCHEMA ${schema} TO plain; GRANT SELECT ON ${schema}.format TO plain`)
    await rejectsWith(open(server.url(schema, 'plain')), 'JOURNAL_UNUSABLE')
  })

  it('finds the password in a file, PGPASSWORD or PGPASSFILE, and says when it is wrong or lies open', async () => {
    const schema = freshSchema()
    await server.sql(`CREATE SCHEMA ${schema} AUTHORIZATION secret`)
    const url = server.url(schema, 'secret')
    await rejectsWith(open(url), 'JOURNAL_UNUSABLE')
    await rejectsWith(open(url, file('wrong', 'wrong', 0o600)), 'JOURNAL_UNUSABLE')
    await rejectsWith(open(url, file('open', 'right', 0o644)), 'INVALID_ARGUMENT')
    await rejectsWith(open(url, join(folder, 'nowhere')), 'INVALID_ARGUMENT')
    await (await open(url, file('right', 'right\n', 0o600))).close()
    process.env['PGPASSWORD'] = 'right'
    await (await open(url)).close()
    delete process.env['PGPASSWORD']
    const lines = ['# others', 'elsewhere:*:*:secret:wrong', `127.0.0.1:${server.port}:*:secret:right`, '*:*:*:*:wrong']
    process.env['PGPASSFILE'] = file('passes', lines.join('\n'), 0o600)
    await (await open(url)).close()
  })

  it('leaves what is not its own alone', async () => {
    for (const [at, table] of ['some (x int)', 'format (x int)', 'format (id int, magic text, journal int, records int)'].entries()) {
      const schema = freshSchema()
      await server.sql(`CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.${table}`)
      await rejectsWith(open(server.url(schema)), 'FOREIGN_DATA', schema)
      const kept = await server.sql(`SELECT relname FROM pg_class WHERE relnamespace = '${schema}'::regnamespace`)
      assert.equal(kept.length, 1, `table ${at} is alone`)
    }
  })

  it('refuses another format, and records of a newer release', async () => {
    const schema = freshSchema()
    await (await open(server.url(schema))).close()
    for (const change of ['journal = 0', 'journal = 2', 'journal = 1, records = 9999']) {
      await server.sql(`UPDATE ${schema}.format SET ${change}`)
      await rejectsWith(open(server.url(schema)), 'JOURNAL_VERSION', schema)
    }
  })

  it('makes the tables once where many start at the same time', async () => {
    const schema = freshSchema()
    const stores = await Promise.all(Array.from({ length: 6 }, () => open(server.url(schema))))
    await (await TestLeader.claim(stores[3]!)).append()
    for (const store of stores) assert.equal((await store.journal.size()).lastIndex, 2)
    await Promise.all(stores.map(store => store.close()))
  })

  it('refuses a server that acknowledges before it has written, unless that is allowed', async () => {
    const schema = freshSchema()
    for (const value of ['off', 'local', 'remote_write']) {
      await server.sql(`ALTER ROLE owner SET synchronous_commit = ${value}`)
      await rejectsWith(open(server.url(schema, 'owner')), 'JOURNAL_UNUSABLE')
    }
    await server.sql(`CREATE SCHEMA ${schema} AUTHORIZATION owner`)
    const said: string[] = []
    const store = await openPostgresStore({ url: server.url(schema, 'owner'), allowUnsafe: true, log: (_, event) => said.push(event) })
    await store.close()
    await server.sql('ALTER ROLE owner RESET synchronous_commit')
    assert.deepEqual(said, ['journal-unsafe', 'asynchronous-failover-may-lose'])
  })

  it('says what each server answered where none takes writes', async () => {
    const schema = freshSchema()
    await rejectsWith(open('postgres://me@127.0.0.1:1/x'), 'JOURNAL_UNAVAILABLE')
    await rejectsWith(open(server.url(schema).replace('/postgres?', '/nowhere?')), 'JOURNAL_UNUSABLE')
    const standby = await server.standby()
    try {
      const both = (ports: number[]) =>
        open(`postgres://postgres@${ports.map(port => `127.0.0.1:${port}`).join(',')}/postgres?schema=${schema}`)
      await assert.rejects(both([1, standby.port]), (error: CoxswainError) => {
        assert.equal(error.code, 'JOURNAL_UNAVAILABLE')
        assert.match(error.message, new RegExp(`127.0.0.1:${standby.port} is a standby`))
        return true
      })
      const store = await both([1, standby.port, server.port])
      await (await TestLeader.claim(store)).append()
      await store.close()
    } finally {
      await standby.remove()
    }
  })

  it('believes a server only whose certificate is valid and of its name', { skip: certificatesMissing() }, async () => {
    const withTls = await TestPostgres.start({ fsync: 'on', tls: true })
    try {
      const url = (host: string, port: number) => `postgres://postgres@${host}:${port}/postgres?schema=tls&sslmode=verify-full`
      const tls = { caFile: withTls.certificate }
      await (await openPostgresStore({ url: url('localhost', withTls.port), tls })).close()
      await rejectsWith(openPostgresStore({ url: url('localhost', withTls.port) }), 'JOURNAL_UNUSABLE')
      await rejectsWith(openPostgresStore({ url: url('127.0.0.1', withTls.port), tls }), 'JOURNAL_UNUSABLE')
      await rejectsWith(openPostgresStore({ url: url('localhost', server.port), tls }), 'JOURNAL_UNUSABLE')
      await rejectsWith(
        openPostgresStore({ url: url('localhost', withTls.port), tls: { caFile: join(folder, 'nowhere') } }),
        'INVALID_ARGUMENT',
      )
    } finally {
      await withTls.remove()
    }
  })
})
