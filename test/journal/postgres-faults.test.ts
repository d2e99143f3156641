// Shows what becomes of appends whose connection, server or leadership is lost, on real PostgreSQL servers: nothing acknowledged goes, nothing is written twice.
// Must not measure time.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { rejectsWith, TestLeader, type TestStore } from '../../src/journal/conformance/index.ts'
import { openPostgresStore, verifyStore } from '../../src/journal/index.ts'
import type { CoxswainError } from '../../src/protocol/errors.ts'
import { CutProxy } from '../services/cut-proxy.ts'
import { postgresMissing, TestPostgres } from '../services/postgres.ts'
import { freshSchema } from './postgres-place.ts'

/** Backends that run this function of the journal in a state that the condition names. */
const running = (name: string, condition = 'true'): string =>
  `SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%.${name}(%' AND pid <> pg_backend_pid() AND ${condition}`
const someRun = (name: string, condition?: string): string => `SELECT EXISTS (${running(name, condition)})`
const inSyncWait = "wait_event = 'SyncRep'"
const inLockWait = "wait_event_type = 'Lock'"

describe('a journal on PostgreSQL whose server fails', { skip: postgresMissing }, () => {
  let server: TestPostgres
  const stores: TestStore[] = []
  before(async () => {
    server = await TestPostgres.start()
  })
  after(() => server?.remove())
  afterEach(async () => {
    await setStandbys('')
    await Promise.all(stores.splice(0).map(store => store.close()))
  })

  async function opened(url: string): Promise<TestStore> {
    const store = await openPostgresStore({ url, allowUnsafe: true })
    stores.push(store)
    return store
  }

  /** Which standbys a commit waits for; one that is not there is waited for until that changes. */
  async function setStandbys(names: string): Promise<void> {
    await server.sql(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`)
    await server.sql('SELECT pg_reload_conf()')
    await server.until(`SELECT current_setting('synchronous_standby_names') = '${names}'`)
  }

  /** How a leadership ended. */
  const lossOf = (store: TestStore): Promise<CoxswainError | undefined> => new Promise(resolve => store.leadership.onLost(resolve))

  it('finds the append whose connection was ended after its commit, once all standbys have it', async () => {
    const store = await opened(server.url(freshSchema()))
    const leader = await TestLeader.claim(store)
    await setStandbys('nobody')
    const outcome = store.journal.append(leader.make({ payloads: [leader.payload(100)] }))
    await server.until(someRun('append', inSyncWait))
    await server.sql(`SELECT pg_terminate_backend(pid) FROM (${running('append', inSyncWait)}) AS r`)
    // Its successor asks what became of it by a commit, and so waits as well.
    await server.until(`SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE query LIKE 'UPDATE%writer + 1%' AND ${inSyncWait})`)
    await setStandbys('')
    assert.equal(await outcome, 'durable')
    await leader.append()
    assert.equal((await store.journal.size()).rows, 3)
    assert.deepEqual((await verifyStore(store)).problems, [])
  })

  it('sends an append again whose connection was ended before its commit', async () => {
    const schema = freshSchema()
    const store = await opened(server.url(schema))
    const leader = await TestLeader.claim(store)
    await server.sql(
      `CREATE FUNCTION ${schema}.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NEW; END $$`,
    )
    await server.sql(`CREATE TRIGGER slow BEFORE INSERT ON ${schema}.journal FOR EACH ROW EXECUTE FUNCTION ${schema}.slow()`)
    const held = server.hold('SELECT pg_advisory_lock(77)')
    await held.begun
    const outcomes = [1, 2, 3].map(() => store.journal.append(leader.make()))
    await server.until(someRun('append', inLockWait))
    await server.sql(`SELECT pg_terminate_backend(pid) FROM (${running('append', inLockWait)}) AS r`)
    await held.release()
    assert.deepEqual(await Promise.all(outcomes), ['durable', 'durable', 'durable'])
    assert.equal((await store.journal.size()).lastIndex, 4)
    assert.deepEqual((await verifyStore(store)).problems, [])
  })

  it('lets nothing be written that an older connection still has under way', async () => {
    const schema = freshSchema()
    const proxy = await CutProxy.start(server.port)
    try {
      const store = await opened(server.url(schema).replace(String(server.port), String(proxy.port)))
      const leader = await TestLeader.claim(store)
      await leader.append()
      const idle = `SELECT pid FROM pg_stat_activity WHERE query LIKE '%${schema}.append(%' AND query NOT LIKE '%claim%' AND state = 'idle'`
      const [writer] = await server.sql<{ pid: number }>(idle)
      process.kill(writer!.pid, 'SIGSTOP')
      const forwarded = proxy.forwarded('append')
      const outcome = store.journal.append(leader.make())
      await forwarded
      const again = proxy.holdBack('append')
      const tellServers = proxy.cutClients()
      // It was found missing, and is about to be sent once more: only now the first server gets to it.
      await again
      process.kill(writer!.pid, 'SIGCONT')
      tellServers()
      await server.until(`SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = ${writer!.pid})`)
      assert.equal((await server.sql(`SELECT 1 FROM ${schema}.journal`)).length, 2)
      proxy.letGo()
      assert.equal(await outcome, 'durable')
      await leader.append()
      assert.equal((await store.journal.size()).rows, 4)
      assert.deepEqual((await verifyStore(store)).problems, [])
    } finally {
      proxy.letGo()
      await Promise.all(stores.splice(0).map(store => store.close()))
      await proxy.remove()
    }
  })

  it('steps down when the wait for the standbys was cancelled', async () => {
    const store = await opened(server.url(freshSchema()))
    const leader = await TestLeader.claim(store)
    const lost = lossOf(store)
    await setStandbys('nobody')
    const failed = [1, 2].map(() => rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED'))
    await server.until(someRun('append', inSyncWait))
    failed.push(rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED'))
    await server.sql(`SELECT pg_cancel_backend(pid) FROM (${running('append', inSyncWait)}) AS r`)
    await Promise.all(failed)
    assert.match((await lost)!.message, /synchronous standbys/)
    assert.equal(await store.journal.append(leader.make()), 'fenced')
  })

  it('refuses an append of a leader that did not hear of the next one', async () => {
    const schema = freshSchema()
    const store = await opened(server.url(schema))
    const leader = await TestLeader.claim(store)
    await leader.append()
    const lost = lossOf(store)
    await server.sql(`UPDATE ${schema}.leader SET epoch = 2, holder = 'another'`)
    assert.equal(await store.journal.append(leader.make({ payloads: [leader.payload(5)] })), 'fenced')
    assert.equal(await lost, undefined)
    assert.deepEqual([(await store.journal.size()).lastIndex, await store.inspect.payloadIds(0, 9)], [2, []])
  })

  it('hears of its deposition at the next renewal, and shows who leads by a lease', async () => {
    const schema = freshSchema()
    const store = await opened(server.url(schema))
    const leader = await TestLeader.claim(store)
    assert.equal((await store.leadership.view()).lease, 'held')
    const lost = lossOf(store)
    await server.sql(`UPDATE ${schema}.leader SET epoch = 2, holder = 'another', checksum = 0`)
    assert.equal(await lost, undefined)
    assert.equal(await store.journal.append(leader.make()), 'fenced')
    const other = await opened(server.url(freshSchema()))
    await TestLeader.claim(other)
    await other.leadership.resign()
    assert.equal((await other.leadership.view()).lease, 'gone')
  })

  it('counts itself as deposed when it could not renew its lease for too long, and says that the outcome is not known', async () => {
    const store = await opened(server.url(freshSchema()))
    const leader = await TestLeader.claim(store)
    await leader.append()
    const lost = lossOf(store)
    server.pause()
    try {
      await rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED')
      assert.equal((await lost)?.code, 'JOURNAL_UNAVAILABLE')
    } finally {
      server.resume()
    }
    const next = await TestLeader.claim(await opened(server.url(freshSchema())), 'two')
    await next.append()
  })
})

describe('a journal on a PostgreSQL that is killed', { skip: postgresMissing }, () => {
  it('has all that was acknowledged when the server is back, and nothing twice', async () => {
    const server = await TestPostgres.start({ fsync: 'on' })
    try {
      const url = server.url(freshSchema())
      const store = await openPostgresStore({ url })
      const leader = await TestLeader.claim(store)
      let acknowledged = 1
      const append = async (): Promise<boolean> => {
        const made = leader.make({ recordBytes: 2000, payloads: [leader.payload(3000)] })
        const outcome = await store.journal.append(made).catch(() => 'failed')
        if (outcome === 'durable') acknowledged = made.firstIndex
        return outcome === 'durable'
      }
      // A server that was away for longer than the lease lasts has deposed its leader: then the rounds are over.
      const twenty = async (): Promise<boolean> => {
        for (let i = 0; i < 20; i++) if (!(await append())) return false
        return true
      }
      assert.ok(await twenty())
      for (let kills = 0; kills < 3 && (kills === 0 || (await twenty())); kills++) {
        const under = Array.from({ length: 50 }, append)
        await server.kill()
        await server.begin()
        const outcomes = await Promise.all(under)
        const firstFailed = outcomes.indexOf(false)
        assert.ok(firstFailed < 0 || outcomes.slice(firstFailed).every(done => !done), 'behind one that failed none is acknowledged')
        if (firstFailed >= 0) break
      }
      await store.close()
      const again = await openPostgresStore({ url })
      assert.ok((await again.journal.size()).lastIndex >= acknowledged)
      assert.deepEqual((await verifyStore(again)).problems, [])
      await (await TestLeader.claim(again, 'two')).append()
      await again.close()
    } finally {
      await server.remove()
    }
  })

  it('is not led on after a standby was promoted, whoever has seen what is lost says so, and the next leader goes on from what is there', async () => {
    const primary = await TestPostgres.start()
    const standby = await primary.standby()
    const schema = freshSchema()
    const url = `postgres://postgres@127.0.0.1:${primary.port},127.0.0.1:${standby.port}/postgres?schema=${schema}`
    const said: string[] = []
    const open = () => openPostgresStore({ url, allowUnsafe: true, log: (_, event) => said.push(event) })
    const store = await open()
    const witness = await open()
    try {
      assert.ok(said.includes('asynchronous-failover-may-lose'))
      const leader = await TestLeader.claim(store)
      await leader.append({ count: 3 })
      await standby.until(`SELECT (SELECT last_index FROM ${schema}.leader) = 4`)
      await standby.sql("ALTER SYSTEM SET primary_conninfo = ''")
      await standby.sql('SELECT pg_reload_conf()')
      await standby.until('SELECT NOT EXISTS (SELECT 1 FROM pg_stat_wal_receiver)')
      await leader.append({ count: 5 })
      assert.equal((await witness.journal.read(5, 9)).length, 1)
      const lost = new Promise<CoxswainError | undefined>(resolve => store.leadership.onLost(resolve))
      await primary.kill()
      const failed = rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED')
      await standby.sql('SELECT pg_promote()')
      await failed
      assert.match((await lost)!.message, /timeline/)
      await rejectsWith(witness.journal.read(10, 9), 'JOURNAL_WENT_BACK', '9')
      await rejectsWith(witness.leadership.view(), 'JOURNAL_WENT_BACK')
      const next = await open()
      assert.equal((await next.journal.size()).lastIndex, 4)
      await (await TestLeader.claim(next, 'two')).append()
      assert.deepEqual((await verifyStore(next)).problems, [])
      await next.close()
    } finally {
      await Promise.all([store.close(), witness.close()])
      await primary.remove()
      await standby.remove()
    }
  })
})
