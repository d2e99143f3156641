// Shows the client of etcd on real members: transactions, limits, no space, leases, watches, users, TLS; members that are killed, stopped and paused.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { type Etcd, EtcdError, type EtcdErrorKind, type TransactionRequest } from '../../src/journal/etcd/api.ts'
import { type EtcdOptions, openEtcd } from '../../src/journal/etcd/client.ts'
import { makeCertificates } from '../services/certificates.ts'
import { type EtcdService, type EtcdSetup, startEtcd, whyNoEtcd } from '../services/etcd.ts'

const all = { key: '', end: '~' }

/** Puts a key that is not there yet; reads it if it is. */
function putNew(key: string, value: Buffer | string): TransactionRequest {
  return {
    compare: [{ key, target: 'create', result: 'equal', revision: 0 }],
    success: [{ put: { key, value: Buffer.from(value) } }],
    failure: [{ range: { key } }],
  }
}

async function kindOf(work: Promise<unknown>): Promise<EtcdErrorKind> {
  try {
    await work
  } catch (error) {
    assert.ok(error instanceof EtcdError, String(error))
    return error.kind
  }
  return assert.fail('it was answered')
}

/** Members for the tests of one `describe`, and clients of them, each below a prefix of its own. */
class Place {
  #service: EtcdService | undefined
  readonly #clients: Etcd[] = []
  readonly #why: string | undefined

  constructor(setup: EtcdSetup) {
    this.#why = whyNoEtcd(setup)
    before(async () => {
      if (this.#why === undefined) this.#service = await startEtcd(setup)
    })
    after(async () => {
      for (const client of this.#clients) client.close()
      await this.#service?.close()
    })
  }

  /** The members, or undefined: then the test is skipped. */
  service(context: TestContext): EtcdService | undefined {
    if (this.#why !== undefined) context.skip(this.#why)
    return this.#service
  }

  open(service: EtcdService, options: Partial<EtcdOptions> = {}): Etcd {
    const tls = service.tls === undefined ? {} : { tls: service.tls }
    const prefix = `/test-${this.#clients.length}`
    const client = openEtcd({ endpoints: service.endpoints, prefix, callWithinMs: 20_000, ...tls, ...options })
    this.#clients.push(client)
    return client
  }
}

/** The events of a watch, waited for. */
function watchAll(
  etcd: Etcd,
  from: number,
): { revisions: [revision: number, keys: string[]][]; until(key: string): Promise<void>; gone: Promise<number> } {
  const revisions: [number, string[]][] = []
  const gone = Promise.withResolvers<number>()
  gone.promise.catch(() => undefined)
  let wake = (): void => undefined
  etcd.watch(
    { ...all, from },
    {
      events: (events, revision) => {
        revisions.push([revision, events.map(({ type, key }) => (type === 'put' ? key : `-${key}`))])
        wake()
      },
      compacted: revision => gone.resolve(revision),
      ended: error => gone.reject(error),
    },
  )
  const until = async (key: string): Promise<void> => {
    while (!revisions.some(([, keys]) => keys.includes(key)))
      await new Promise<void>(resolve => {
        wake = resolve
      })
  }
  return { revisions, until, gone: gone.promise }
}

describe('one member of etcd', () => {
  const place = new Place({})

  it('does what a transaction says if its compares hold, and the other branch if not', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service)
    const first = await etcd.transact(putNew('a', 'one'))
    assert.deepEqual([first.succeeded, first.answers], [true, [undefined]])
    const second = await etcd.transact(putNew('a', 'two'))
    assert.equal(second.succeeded, false)
    const row = { key: 'a', value: Buffer.from('one'), createRevision: first.revision, modRevision: first.revision, lease: '' }
    assert.deepEqual(second.answers, [{ revision: second.revision, rows: [row], more: false, count: 1 }])
    const { succeeded, answers } = await etcd.transact({
      compare: [
        { key: 'a', target: 'value', result: 'equal', value: Buffer.from('one') },
        { key: 'a', target: 'mod', result: 'less', revision: first.revision + 1 },
        { key: 'a', target: 'create', result: 'greater', revision: first.revision - 1 },
        { key: 'b', target: 'mod', result: 'notEqual', revision: 77 },
      ],
      success: [
        { put: { key: 'b', value: Buffer.alloc(0) } },
        { delete: { key: 'a' } },
        { range: all },
        { delete: { key: 'x', end: 'y' } },
      ],
    })
    assert.equal(succeeded, true)
    assert.deepEqual([answers[0], answers[1], answers[3]], [undefined, { deleted: 1 }, { deleted: 0 }])
    assert.deepEqual(
      (await etcd.range(all)).rows.map(({ key }) => key),
      ['b'],
    )
  })

  it('gives ranges in order, by pages, as keys or as a number, and only below the prefix', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const [etcd, neighbour] = [place.open(service, { prefix: '/ranges' }), place.open(service, { prefix: '/ranges0' })]
    await neighbour.transact(putNew('m', 'x'))
    for (const key of ['c', 'a', 'b', 'ü']) await etcd.transact(putNew(key, key))
    const page = await etcd.range({ key: 'a', end: 'z', limit: 2, descending: true })
    assert.deepEqual([page.rows.map(({ key }) => key), page.more, page.count], [['c', 'b'], true, 3])
    const keys = await etcd.range({ key: '', end: '\u{10ffff}', keysOnly: true })
    assert.deepEqual(
      keys.rows.map(({ key, value }) => [key, value.length]),
      [
        ['a', 0],
        ['b', 0],
        ['c', 0],
        ['ü', 0],
      ],
    )
    const count = await etcd.range({ key: 'b', end: '\u{10ffff}', countOnly: true })
    assert.deepEqual([count.count, count.rows], [3, []])
    assert.deepEqual((await etcd.range({ key: 'gone' })).rows, [])
  })

  it('takes 128 operations and no more, 1.4 MiB and not 2, and no key twice', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service)
    const puts = (number: number, name = 'k'): TransactionRequest => ({
      compare: [],
      success: Array.from({ length: number }, (_, at) => ({ put: { key: `${name}${at}`, value: Buffer.from('v') } })),
    })
    assert.equal((await etcd.transact(puts(128))).answers.length, 128)
    assert.equal(await kindOf(etcd.transact(puts(129))), 'tooLarge')
    await etcd.transact(putNew('large', Buffer.alloc(1.4 * 2 ** 20, 7)))
    assert.equal((await etcd.range({ key: 'large' })).rows[0]!.value.length, Math.floor(1.4 * 2 ** 20))
    for (const mebibytes of [1.6, 4])
      assert.equal(await kindOf(etcd.transact(putNew('larger', Buffer.alloc(mebibytes * 2 ** 20)))), 'tooLarge')
    assert.equal(await kindOf(etcd.transact({ compare: [], success: [...puts(1).success, ...puts(1).success] })), 'invalid')
    assert.deepEqual((await etcd.range({ key: 'larger' })).rows, [])
  })

  it('gives 24 values of a mebibyte in one answer, and takes 16 in flight', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service)
    const done = await Promise.all(Array.from({ length: 24 }, (_, at) => etcd.transact(putNew(`v${at}`, Buffer.alloc(2 ** 20, at)))))
    assert.equal(
      done.every(({ succeeded }) => succeeded),
      true,
    )
    const { rows } = await etcd.range(all)
    assert.equal(rows.length, 24)
    for (const { key, value } of rows) assert.equal(Buffer.alloc(2 ** 20, Number(key.slice(1))).equals(value), true)
  })

  it('keeps a lease while it is kept, and its keys go with it', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service)
    const lease = await etcd.grantLease(1)
    const { revision } = await etcd.transact({ compare: [], success: [{ put: { key: 'held', value: Buffer.from('x'), lease } }] })
    assert.equal((await etcd.range({ key: 'held' })).rows[0]!.lease, lease)
    assert.ok((await etcd.keepLease(lease)) >= 1)
    const watch = watchAll(etcd, revision + 1)
    await watch.until('-held')
    assert.equal(await kindOf(etcd.keepLease(lease)), 'leaseGone')
    assert.equal(await kindOf(etcd.transact({ compare: [], success: [{ put: { key: 'k', value: Buffer.alloc(0), lease } }] })), 'leaseGone')
    assert.equal(await kindOf(etcd.revokeLease(lease)), 'leaseGone')
    const other = await etcd.grantLease(60)
    await etcd.revokeLease(other)
    assert.equal(await kindOf(etcd.keepLease(other)), 'leaseGone')
  })

  it('tells a watch what happened from a revision on, and that it is gone when it was compacted', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service)
    const { revision } = await etcd.transact(putNew('a', 'x'))
    await etcd.transact({ compare: [], success: [{ put: { key: 'b', value: Buffer.from('y') } }, { delete: { key: 'a' } }] })
    const old = watchAll(etcd, revision)
    const ahead = watchAll(etcd, revision + 2)
    await etcd.transact(putNew('c', 'z'))
    await Promise.all([old.until('c'), ahead.until('c')])
    assert.deepEqual(
      old.revisions.map(([, keys]) => keys),
      [['a'], ['b', '-a'], ['c']],
    )
    assert.deepEqual(
      ahead.revisions.map(([, keys]) => keys),
      [['c']],
    )
    await etcd.compact(revision + 2)
    assert.equal(await watchAll(etcd, revision).gone, revision + 2)
    assert.equal(await kindOf(etcd.compact(revision)), 'compacted')
    assert.equal(await kindOf(etcd.compact(revision + 1_000_000)), 'invalid')
  })

  it('tells large changes to a watch that comes late, each revision once and whole', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service)
    const { revision } = await etcd.transact(putNew('first', 'x'))
    for (let at = 0; at < 12; at++) {
      const success = Array.from({ length: 10 }, (_, part) => ({ put: { key: `r${at}-${part}`, value: Buffer.alloc(100_000, at) } }))
      await etcd.transact({ compare: [], success })
    }
    const watch = watchAll(etcd, revision)
    await watch.until('r11-9')
    assert.deepEqual(
      watch.revisions.map(([at, keys]) => [at - revision, keys.length]),
      Array.from({ length: 13 }, (_, at) => [at, at === 0 ? 1 : 10]),
    )
  })

  it('tells how it is', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service, { endpoints: [...service.endpoints, 'http://127.0.0.1:1'] })
    const [status, gone] = await etcd.members()
    assert.ok(status !== undefined && !(status instanceof EtcdError))
    assert.match(status.version, /^\d+\.\d+\.\d+/)
    assert.deepEqual([status.noSpace, status.dbSizeBytes > 0, status.leader === '0'], [false, true, false])
    assert.ok(gone instanceof EtcdError && gone.kind === 'unavailable')
  })
})

describe('a member of etcd without space', () => {
  const place = new Place({ quotaBytes: 4 << 20 })

  it('says so, and writes again after compaction, defragmentation and the end of the alarm', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service)
    const put = (): Promise<{ revision: number }> =>
      etcd.transact({ compare: [], success: [{ put: { key: 'k', value: Buffer.alloc(500_000) } }] })
    let last = 0
    const fill = async (): Promise<void> => {
      for (let turn = 0; turn < 100; turn++) last = (await put()).revision
    }
    assert.equal(await kindOf(fill()), 'noSpace')
    const [full] = await etcd.members()
    assert.ok(full !== undefined && !(full instanceof EtcdError) && full.noSpace)
    assert.equal((await etcd.range({ key: 'k' })).rows[0]!.value.length, 500_000)
    await etcd.compact(last)
    // Compacting goes on behind its answer: there may be nothing to give back yet.
    const untilWritten = async (): Promise<void> => {
      for (;;) {
        await service.ask('/v3/maintenance/defragment')
        const { alarms = [] } = (await service.ask('/v3/maintenance/alarm')) as { alarms?: { memberID: string }[] }
        for (const { memberID } of alarms) await service.ask('/v3/maintenance/alarm', { action: 'DEACTIVATE', memberID, alarm: 'NOSPACE' })
        if ((await put().catch((error: EtcdError) => error.kind)) !== 'noSpace') return
      }
    }
    await untilWritten()
    const [again] = await etcd.members()
    assert.ok(again !== undefined && !(again instanceof EtcdError) && !again.noSpace)
  })
})

describe('users of etcd', () => {
  const place = new Place({})

  it('are known by their password, reach only their prefix, and get a new token when users change', async context => {
    const service = place.service(context)
    if (service === undefined) return
    await service.ask('/v3/auth/user/add', { name: 'root', password: 'top' })
    await service.ask('/v3/auth/user/grant', { user: 'root', role: 'root' })
    await service.ask('/v3/auth/user/add', { name: 'cox', password: 'geheim' })
    await service.ask('/v3/auth/role/add', { name: 'cox' })
    const base64 = (text: string): string => Buffer.from(text).toString('base64')
    await service.ask('/v3/auth/role/grant', {
      name: 'cox',
      perm: { permType: 'READWRITE', key: base64('/mine/'), range_end: base64('/mine0') },
    })
    await service.ask('/v3/auth/user/grant', { user: 'cox', role: 'cox' })
    const user = { user: 'cox', password: () => 'geheim', prefix: '/mine' }
    const early = place.open(service, user)
    const { revision } = await early.transact(putNew('before', 'x'))
    await service.ask('/v3/auth/enable')
    const token = String((await service.ask('/v3/auth/authenticate', { name: 'root', password: 'top' }))['token'])
    // Its token was none: etcd asked for none then.
    await early.transact(putNew('a', 'x'))
    const etcd = place.open(service, user)
    const watch = watchAll(etcd, revision)
    await watch.until('a')
    await service.ask('/v3/auth/user/changepw', { name: 'cox', password: 'neu' }, { token })
    const other = place.open(service, { ...user, password: () => 'neu' })
    await other.transact(putNew('b', 'x'))
    await watch.until('b')
    assert.equal(await kindOf(place.open(service, user).range({ key: 'a' })), 'unauthenticated')
    assert.equal(await kindOf(place.open(service, { prefix: '/mine' }).range({ key: 'a' })), 'unauthenticated')
    const stranger = { ...user, password: () => 'neu', prefix: '/theirs' }
    assert.equal(await kindOf(place.open(service, stranger).transact(putNew('a', 'x'))), 'denied')
    await assert.rejects(watchAll(place.open(service, stranger), 1).gone, (error: EtcdError) => error.kind === 'denied')
    const lease = await other.grantLease(60)
    assert.ok((await other.keepLease(lease)) > 0)
    const [status] = await other.members()
    assert.ok(status !== undefined && !(status instanceof EtcdError), String(status))
  })
})

describe('three members of etcd with mutual TLS', () => {
  const place = new Place({ members: 3, tls: true })

  it('answer who shows a certificate of theirs, and nobody else', async context => {
    const service = place.service(context)
    if (service?.tls === undefined) return
    const folder = mkdtempSync(join(tmpdir(), 'cox-foreign-'))
    const { ca, cert, key } = service.tls
    const foreign = makeCertificates(folder)
    rmSync(folder, { recursive: true })
    assert.equal((await place.open(service).transact(putNew('a', 'x'))).succeeded, true)
    assert.equal(
      (await place.open(service).members()).every(status => !(status instanceof EtcdError)),
      true,
    )
    const elsewhere = service.endpoints.map(endpoint => endpoint.replace('127.0.0.1', '[::ffff:127.0.0.1]'))
    for (const [name, options] of [
      ['no certificate', { tls: { ca } }],
      ['a foreign certificate', { tls: { ca, cert: foreign.cert, key: foreign.key } }],
      ['a foreign authority', { tls: { ca: foreign.ca, cert, key } }],
      ['no authority', { tls: { cert, key } }],
      ['no TLS', { endpoints: service.endpoints.map(endpoint => endpoint.replace('https', 'http')) }],
      ['a name that the certificate is not for', { endpoints: elsewhere }],
    ] as const)
      assert.equal(await kindOf(place.open(service, options).transact(putNew(name, 'x'))), 'unavailable', name)
  })

  it('lose no transaction and double none when the leader is killed, and a watch goes on', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service)
    const watch = watchAll(etcd, (await etcd.transact(putNew('begin', 'x'))).revision)
    const value = (at: number): string => `by me, ${at}`
    const write = async (at: number): Promise<'first' | 'again'> => {
      // As the journal does: an unknown end is settled by sending the same again.
      for (let tries = 1; ; tries++) {
        try {
          const { succeeded, answers } = await etcd.transact(putNew(`k${at}`, value(at)))
          if (succeeded) return 'first'
          const [found] = answers
          assert.ok(found !== undefined && 'rows' in found)
          assert.equal(Buffer.from(found.rows[0]!.value).toString(), value(at))
          assert.ok(tries > 1, 'it was there before it was sent')
          return 'again'
        } catch (error) {
          assert.ok(error instanceof EtcdError && (error.kind === 'unknown' || error.kind === 'unavailable'), String(error))
        }
      }
    }
    const leader = await service.leader()
    for (let at = 0; at < 60; at++) {
      if (at === 20) void service.members[leader]!.kill()
      await write(at)
    }
    await watch.until('k59')
    const keys = watch.revisions.map(([, [key]]) => key)
    assert.deepEqual(keys, ['begin', ...Array.from({ length: 60 }, (_, at) => `k${at}`)])
    service.members[leader]!.start()
    await service.untilReady()
  })

  it('leave a call to a paused member unknown, and answer the next one; a watch leaves it too', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service, { callWithinMs: 1_500 })
    const { revision } = await etcd.transact(putNew('begin', 'x'))
    const watch = watchAll(etcd, revision)
    await watch.until('begin')
    // Nobody leads while two stand still: whichever member is spoken to cannot end the transaction.
    for (const member of service.members) member.pause()
    assert.equal(await kindOf(etcd.transact(putNew('paused', 'x'))), 'unknown')
    for (const member of service.members) member.resume()
    await service.untilReady()
    const settle = async (): Promise<void> => {
      for (;;) {
        try {
          await etcd.transact(putNew('after', 'x'))
          return
        } catch (error) {
          assert.ok(error instanceof EtcdError && (error.kind === 'unknown' || error.kind === 'unavailable'), String(error))
        }
      }
    }
    await settle()
    await watch.until('after')
    const keys = watch.revisions.flatMap(([, keys]) => keys)
    assert.deepEqual(
      keys.filter(key => key !== 'paused'),
      ['begin', 'after'],
    )
    assert.ok(keys.filter(key => key === 'paused').length <= 1)
  })

  it('refuse in a minority, and answer again with a quorum', async context => {
    const service = place.service(context)
    if (service === undefined) return
    const etcd = place.open(service, { callWithinMs: 1_500 })
    await etcd.transact(putNew('a', 'x'))
    await Promise.all([service.members[0]!.stop(), service.members[1]!.stop()])
    const untilRefused = async (): Promise<void> => {
      while (!['unavailable'].includes(await kindOf(etcd.transact(putNew('b', 'x'))))) {}
    }
    await untilRefused()
    assert.equal(await kindOf(etcd.range({ key: 'a' })), 'unavailable')
    const [gone, , left] = await etcd.members()
    assert.ok(gone instanceof EtcdError && left !== undefined && !(left instanceof EtcdError))
    assert.equal(left.leader, '0')
    service.members[0]!.start()
    service.members[1]!.start()
    await service.untilReady()
    assert.equal(Buffer.from((await etcd.range({ key: 'a' })).rows[0]!.value).toString(), 'x')
  })
})
