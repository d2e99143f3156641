// Holds the simulated etcd and real ones to one contract, so that the simulation does not lie: what transactions, leases, watches and compaction do.
// Must not know the journal.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Compare, type Etcd, EtcdError, type EtcdErrorKind, type Operation, type WatchEvent } from '../../src/journal/etcd/api.ts'
import { EtcdBench } from './etcd-place.ts'
import { RealEtcd, sizes } from './etcd-real.ts'

type Case = (etcd: Etcd) => Promise<void>

const bytes = (text: string): Uint8Array => Buffer.from(text)
const put = (key: string, value = key): Operation => ({ put: { key, value: bytes(value) } })
const write = (etcd: Etcd, ...success: Operation[]): ReturnType<Etcd['transact']> => etcd.transact({ compare: [], success })
const keysOf = (rows: readonly { key: string }[]): string => rows.map(({ key }) => key).join(' ')

async function refusedAs(promise: Promise<unknown>, ...kinds: EtcdErrorKind[]): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof EtcdError, String(error))
    assert.ok(kinds.includes(error.kind), `${error.kind}: ${error.message}`)
    return true
  })
}

/** Collects what a watch tells; `until` resolves as soon as enough was told. */
class Watched {
  readonly revisions: { revision: number; events: WatchEvent[] }[] = []
  readonly end: () => void
  compacted: number | undefined
  #wake: () => void = () => undefined

  constructor(etcd: Etcd, range: Parameters<Etcd['watch']>[0]) {
    this.end = etcd.watch(range, {
      events: (events, revision) => {
        this.revisions.push({ revision, events: [...events] })
        this.#wake()
      },
      compacted: revision => {
        this.compacted = revision
        this.#wake()
      },
      ended: error => assert.fail(error),
    })
  }

  async until(enough: () => boolean): Promise<void> {
    while (!enough())
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
  }
}

const cases: Record<string, Case> = {
  async 'ranges are in the order of keys, from either end, bounded, with or without values'(etcd) {
    await write(etcd, put('r/b'), put('r/a'), put('r/c'), put('r/é'), put('s/a'))
    const range = { key: 'r/', end: 'r0' }
    const all = await etcd.range(range)
    assert.deepEqual([keysOf(all.rows), all.more, all.count], ['r/a r/b r/c r/é', false, 4])
    const last = await etcd.range({ ...range, descending: true, limit: 2 })
    assert.deepEqual([keysOf(last.rows), last.more, last.count], ['r/é r/c', true, 4])
    const keys = await etcd.range({ ...range, keysOnly: true })
    assert.deepEqual(
      keys.rows.map(({ value }) => value.length),
      [0, 0, 0, 0],
    )
    const counted = await etcd.range({ ...range, countOnly: true })
    assert.deepEqual([counted.rows.length, counted.count], [0, 4])
    assert.equal(keysOf((await etcd.range({ key: 'r/b' })).rows), 'r/b')
    assert.equal((await etcd.range({ key: 'r/c', end: 'r/a' })).rows.length, 0)
    assert.equal((await etcd.range({ key: 'r/c', end: 'r/c' })).rows.length, 0)
  },

  async 'a transaction is one revision; keys tell when they were made and changed; what deletes nothing changes nothing'(etcd) {
    const first = await write(etcd, put('t/a'), put('t/b'))
    const second = await write(etcd, put('t/a', 'again'), { range: { key: 't/a' } }, { delete: { key: 't/b' } })
    assert.equal(second.revision, first.revision + 1)
    const [, read, deleted] = second.answers as [undefined, Awaited<ReturnType<Etcd['range']>>, { deleted: number }]
    assert.equal(deleted.deleted, 1)
    assert.deepEqual(Buffer.from(read.rows[0]!.value).toString(), 'again', 'a read sees what came before it')
    assert.deepEqual([read.rows[0]!.createRevision, read.rows[0]!.modRevision, read.rows[0]!.lease], [first.revision, second.revision, ''])
    const third = await write(etcd, { delete: { key: 't/b' } })
    assert.deepEqual([third.revision, third.answers], [second.revision, [{ deleted: 0 }]])
    const fourth = await write(etcd, { delete: { key: 't/', end: 't0' } }, put('u/a'))
    assert.deepEqual([fourth.revision, fourth.answers[0]], [second.revision + 1, { deleted: 1 }])
  },

  async 'compares hold as they say, also about keys that are not there'(etcd) {
    const { revision } = await write(etcd, put('c/a', 'one'))
    const next = await write(etcd, put('c/a', 'two'))
    const holds = async (compare: Compare): Promise<boolean> => (await etcd.transact({ compare: [compare], success: [] })).succeeded
    const of = { key: 'c/a', revision }
    const expected: [Compare, boolean][] = [
      [{ ...of, target: 'create', result: 'equal' }, true],
      [{ ...of, target: 'mod', result: 'equal' }, false],
      [{ ...of, target: 'mod', result: 'greater' }, true],
      [{ ...of, target: 'mod', result: 'notEqual' }, true],
      [{ ...of, target: 'create', result: 'less' }, false],
      [{ ...of, revision: next.revision, target: 'create', result: 'less' }, true],
      [{ key: 'c/none', target: 'create', result: 'equal', revision: 0 }, true],
      [{ key: 'c/none', target: 'mod', result: 'equal', revision: 0 }, true],
      [{ key: 'c/none', target: 'mod', result: 'notEqual', revision: 0 }, false],
      [{ key: 'c/none', target: 'mod', result: 'less', revision: 5 }, true],
      [{ key: 'c/a', target: 'value', result: 'equal', value: bytes('two') }, true],
      [{ key: 'c/a', target: 'value', result: 'equal', value: bytes('tw') }, false],
      [{ key: 'c/a', target: 'value', result: 'notEqual', value: bytes('one') }, true],
      [{ key: 'c/none', target: 'value', result: 'equal', value: bytes('') }, false],
      [{ key: 'c/none', target: 'value', result: 'notEqual', value: bytes('x') }, false],
    ]
    for (const [compare, result] of expected) assert.equal(await holds(compare), result, JSON.stringify(compare))
  },

  async 'the branch that is taken is the only one that has an effect'(etcd) {
    const absent: Compare = { key: 'b/a', target: 'create', result: 'equal', revision: 0 }
    const request = { compare: [absent], success: [put('b/a')], failure: [{ range: { key: 'b/a' } }] }
    assert.equal((await etcd.transact(request)).succeeded, true)
    const again = await etcd.transact(request)
    assert.equal(again.succeeded, false)
    assert.equal(keysOf((again.answers[0] as Awaited<ReturnType<Etcd['range']>>).rows), 'b/a')
  },

  async 'what is beyond the limits, or contradicts itself, is refused whole'(etcd) {
    const many = Array.from({ length: 129 }, (_, at) => put(`l/${at}`))
    await refusedAs(write(etcd, ...many), 'tooLarge', 'invalid')
    await write(etcd, ...many.slice(0, 128))
    await refusedAs(write(etcd, { put: { key: 'l/large', value: Buffer.alloc(1_600_000) } }), 'tooLarge')
    await write(etcd, { put: { key: 'l/large', value: Buffer.alloc(1_450_000) } })
    await refusedAs(write(etcd, put('l/twice'), put('l/twice')), 'invalid')
    await refusedAs(write(etcd, put('l/twice'), { delete: { key: 'l/', end: 'l0' } }), 'invalid')
    assert.equal((await etcd.range({ key: 'l/twice' })).rows.length, 0)
    await write(etcd, { delete: { key: 'l/1' } }, { delete: { key: 'l/1' } })
  },

  async 'a lease takes its keys with it when it is revoked, and is gone then'(etcd) {
    const lease = await etcd.grantLease(30)
    await write(etcd, { put: { key: 'e/a', value: bytes('a'), lease } })
    const [kept] = (await etcd.range({ key: 'e/a' })).rows
    assert.equal(kept!.lease, lease)
    assert.ok((await etcd.keepLease(lease)) > 0)
    const watched = new Watched(etcd, { key: 'e/a', from: kept!.modRevision + 1 })
    await etcd.revokeLease(lease)
    await watched.until(() => watched.revisions.length > 0)
    assert.deepEqual(
      watched.revisions[0]!.events.map(({ type, key }) => [type, key]),
      [['delete', 'e/a']],
    )
    watched.end()
    assert.equal((await etcd.range({ key: 'e/a' })).rows.length, 0)
    await refusedAs(etcd.keepLease(lease), 'leaseGone')
    await refusedAs(write(etcd, { put: { key: 'e/b', value: bytes('b'), lease } }), 'leaseGone')
    await refusedAs(etcd.revokeLease(lease), 'leaseGone')
  },

  async 'a lease that nobody keeps ends by itself'(etcd) {
    const lease = await etcd.grantLease(1)
    const { revision } = await write(etcd, { put: { key: 'x/a', value: bytes('a'), lease } })
    const watched = new Watched(etcd, { key: 'x/a', from: revision + 1 })
    await watched.until(() => watched.revisions.length > 0)
    assert.equal(watched.revisions[0]!.events[0]!.type, 'delete')
    await refusedAs(etcd.keepLease(lease), 'leaseGone')
    watched.end()
  },

  async 'a watch tells each revision once, in order, from where it is asked to begin'(etcd) {
    const first = await write(etcd, put('w/a', '1'), put('w/b', '1'), put('other', '1'))
    const watched = new Watched(etcd, { key: 'w/', end: 'w0', from: first.revision })
    await write(etcd, put('other', '2'))
    await write(etcd, put('w/a', '2'), { delete: { key: 'w/b' } })
    await watched.until(() => watched.revisions.length === 2)
    const seen = watched.revisions.map(({ revision, events }) => [
      revision - first.revision,
      events.map(({ type, key, value, modRevision }) => `${type} ${key} ${Buffer.from(value)} ${modRevision - first.revision}`).sort(),
    ])
    assert.deepEqual(seen, [
      [0, ['put w/a 1 0', 'put w/b 1 0']],
      [2, ['delete w/b  2', 'put w/a 2 2']],
    ])
    watched.end()
    const other = new Watched(etcd, { key: 'w/c', from: first.revision })
    await write(etcd, put('w/c'))
    await other.until(() => other.revisions.length === 1)
    assert.equal(watched.revisions.length, 2, 'nothing is told after its end')
    other.end()
  },

  async 'a watch from before a compaction is told so, and the present stays'(etcd) {
    const first = await write(etcd, put('k/a', '1'))
    const second = await write(etcd, put('k/a', '2'))
    const third = await write(etcd, put('k/a', '3'))
    await etcd.compact(third.revision)
    const watched = new Watched(etcd, { key: 'k/a', from: first.revision })
    await watched.until(() => watched.compacted !== undefined)
    assert.ok(watched.compacted! >= second.revision)
    const [kept] = (await etcd.range({ key: 'k/a' })).rows
    assert.deepEqual([Buffer.from(kept!.value).toString(), kept!.createRevision], ['3', first.revision])
    const from = new Watched(etcd, { key: 'k/a', from: third.revision + 1 })
    await write(etcd, put('k/a', '4'))
    await from.until(() => from.revisions.length === 1)
    from.end()
    await refusedAs(etcd.compact(third.revision), 'compacted')
    await refusedAs(etcd.compact(third.revision + 1_000_000), 'invalid')
  },

  async 'its members say how they are'(etcd) {
    for (const member of await etcd.members()) {
      assert.ok(!(member instanceof EtcdError))
      assert.match(member.version, /^3\.\d+\.\d+/)
      assert.equal(member.noSpace, false)
      assert.notEqual(member.leader, '')
    }
  },

  async 'after its end every call is refused as closed'(etcd) {
    await write(etcd, put('z'))
    etcd.close()
    await refusedAs(etcd.range({ key: 'z' }), 'closed')
    await refusedAs(write(etcd, put('z')), 'closed')
  },
}

describe('contract of etcd: simulated', () => {
  for (const [name, run] of Object.entries(cases)) {
    it(name, async () => {
      const bench = new EtcdBench()
      try {
        await run(bench.server.connect())
      } finally {
        bench.end()
      }
    })
  }
})

for (const members of sizes) {
  const real = RealEtcd.missing ? undefined : new RealEtcd(members)
  describe(`contract of etcd: real, ${members === 1 ? '1 member' : `${members} members`}`, { skip: RealEtcd.missing }, () => {
    for (const [name, run] of Object.entries(cases)) it(name, async () => run(await real!.connect(real!.prefix())))
  })
}
