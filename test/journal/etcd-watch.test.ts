// Shows that a watch of etcd tells whole revisions, once and in order, over members that break, lie, fall behind or forget.
import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import type { Etcd, EtcdError } from '../../src/journal/etcd/api.ts'
import { type EtcdOptions, openEtcd } from '../../src/journal/etcd/client.ts'
import { tokenAnswer, type WatchAnswer, watchAnswer } from './etcd-answers.ts'
import { type FakeCall, FakeMember } from './fake-etcd.ts'

const members: FakeMember[] = []
const clients: Etcd[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  for (const member of members.splice(0)) await member.close()
})

/** What a watch has told, in order, and waiting for more of it. */
class Told {
  readonly lines: string[] = []
  #waiting: (() => void) | undefined

  readonly handlers = {
    events: (events: readonly { type: string; key: string }[], revision: number): void =>
      this.#tell(`${revision}: ${events.map(({ type, key }) => `${type} ${key}`).join(', ')}`),
    compacted: (revision: number): void => this.#tell(`compacted ${revision}`),
    ended: (error: EtcdError): void => this.#tell(`ended ${error.kind}`),
  }

  #tell(line: string): void {
    this.lines.push(line)
    this.#waiting?.()
  }

  async until(line: string): Promise<string[]> {
    while (!this.lines.includes(line))
      await new Promise<void>(resolve => {
        this.#waiting = resolve
      })
    return this.lines
  }
}

/** A member that answers each watch by the next of these scripts, the last one for all that follow. */
async function member(...scripts: ((call: FakeCall) => void)[]): Promise<FakeMember> {
  let watches = 0
  const started = await FakeMember.start(call => {
    if (call.method === 'Status') call.answer(Buffer.alloc(0))
    else if (call.method === 'Authenticate') call.answer(tokenAnswer(`token-${started.count('Authenticate')}`))
    else scripts[Math.min(watches++, scripts.length - 1)]!(call)
  })
  members.push(started)
  return started
}

function watching(from: number, options: Partial<EtcdOptions>, ...of: FakeMember[]): { told: Told; stop: () => void; etcd: Etcd } {
  const etcd = openEtcd({ endpoints: of.map(({ endpoint }) => endpoint), prefix: '/c', ...options })
  clients.push(etcd)
  const told = new Told()
  return { told, stop: etcd.watch({ key: 'a', end: 'z', from }, told.handlers), etcd }
}

function say(call: FakeCall, ...answers: WatchAnswer[]): void {
  call.begin()
  for (const answer of [{ created: true, revision: 10 }, ...answers]) call.write(watchAnswer(answer))
}

const put = (revision: number, key = 'k') => ({ type: 'put', key: `/c/${key}`, revision }) as const
/** Where a watch was asked to begin. */
const from = (call: FakeCall): number => call.number(1, 3)

describe('a watch', () => {
  it('tells revisions one by one, also those that come together', async () => {
    const telling = await member(call =>
      say(call, { events: [put(5), put(5, 'l'), put(6)] }, { events: [{ type: 'delete', key: '/c/k', revision: 9 }] }),
    )
    const { told } = watching(5, {}, telling)
    assert.deepEqual(await told.until('9: delete k'), ['5: put k, put l', '6: put k', '9: delete k'])
    assert.equal(from(telling.calls[0]!), 5)
    assert.equal(telling.calls[0]!.headers['hasleader'], 'true')
  })

  it('goes on at another member behind the last revision that was told, with nothing twice', async () => {
    const breaking = (call: FakeCall): void => {
      say(call, { events: [put(5), put(6)] })
      setImmediate(() => call.hangUp())
    }
    const going = (call: FakeCall): void => say(call, { events: [put(6), put(7)] })
    let watches = 0
    const script = (call: FakeCall): void => (++watches === 1 ? breaking(call) : going(call))
    const [first, second] = [await member(script), await member(script)]
    const { told } = watching(5, {}, first, second)
    assert.deepEqual(await told.until('7: put k'), ['5: put k', '6: put k', '7: put k'])
    const asked = [...first.calls, ...second.calls].filter(({ method }) => method === 'Watch').map(from)
    assert.deepEqual(asked.sort(), [5, 7])
    assert.deepEqual([first.count('Watch'), second.count('Watch')], [1, 1])
  })

  it('from now on goes on from where it began', async () => {
    const telling = await member(
      call => {
        say(call)
        setImmediate(() => call.hangUp())
      },
      call => say(call, { events: [put(11)] }),
    )
    const { told } = watching(0, {}, telling)
    await told.until('11: put k')
    assert.deepEqual(telling.calls.filter(({ method }) => method === 'Watch').map(from), [0, 11])
  })

  it('goes on behind what a member said that nothing happened to', async () => {
    const telling = await member(
      call => {
        say(call, { events: [put(5)] }, { revision: 40 })
        setImmediate(() => call.hangUp())
      },
      call => say(call, { events: [put(41)] }),
    )
    const { told } = watching(5, {}, telling)
    await told.until('41: put k')
    assert.deepEqual(telling.calls.filter(({ method }) => method === 'Watch').map(from), [5, 41])
  })

  it('puts a revision together that comes in pieces, and asks again for one of which a piece is missing', async () => {
    const telling = await member(
      call => {
        say(call, { fragment: true, events: [put(5), put(6, 'a')] }, { fragment: true, events: [put(6, 'b')] }, { events: [put(6, 'c')] })
        call.write(watchAnswer({ fragment: true, events: [put(7, 'a')] }))
        setImmediate(() => call.hangUp())
      },
      call => say(call, { fragment: true, events: [put(7, 'a')] }, { events: [put(7, 'b')] }),
    )
    const { told } = watching(5, {}, telling)
    assert.deepEqual(await told.until('7: put a, put b'), ['5: put k', '6: put a, put b, put c', '7: put a, put b'])
    assert.deepEqual(telling.calls.filter(({ method }) => method === 'Watch').map(from), [5, 7])
  })

  it('says that what it should begin with is gone, and then nothing', async () => {
    const forgetting = await member(call => {
      call.begin()
      call.write(watchAnswer({ created: true, cancelled: true, compactRevision: 30, events: [put(31)] }))
      call.write(watchAnswer({ events: [put(32)] }))
    })
    const { told } = watching(5, {}, forgetting)
    assert.deepEqual(await told.until('compacted 30'), ['compacted 30'])
  })

  it('is told nothing any more once it is stopped', async () => {
    let call: FakeCall | undefined
    const telling = await member(started => {
      call = started
      say(started, { events: [put(5)] })
    })
    const { told, stop } = watching(5, {}, telling)
    await told.until('5: put k')
    stop()
    const gone = Promise.withResolvers<void>()
    call!.stream.once('close', () => gone.resolve())
    call!.write(watchAnswer({ events: [put(6)] }))
    await gone.promise
    assert.deepEqual(told.lines, ['5: put k'])
  })

  it('ends with its client', async () => {
    const { told, etcd } = watching(5, {}, await member(call => say(call, { events: [put(5)] })))
    await told.until('5: put k')
    etcd.close()
    assert.deepEqual(told.lines, ['5: put k', 'ended closed'])
  })

  it('ends where its user may not read', async () => {
    const refusing = await member(call =>
      say(call, { cancelled: true, cancelReason: 'rpc error: code = PermissionDenied desc = etcdserver: permission denied' }),
    )
    const { told } = watching(5, {}, refusing)
    assert.deepEqual(await told.until('ended denied'), ['ended denied'])
    assert.equal(refusing.count('Watch'), 1)
  })

  it('takes a new token where the old one has run out, and ends where that one is refused too', async () => {
    const refuse = (call: FakeCall): void => say(call, { created: true, cancelled: true, cancelReason: 'etcdserver: invalid auth token' })
    const user = { user: 'me', password: () => 'x' }
    const telling = await member(refuse, call => say(call, { events: [put(5)] }))
    const { told } = watching(5, user, telling)
    await told.until('5: put k')
    assert.deepEqual(
      telling.calls.filter(({ method }) => method === 'Watch').map(({ headers }) => headers['token']),
      ['token-1', 'token-2'],
    )
    const never = watching(5, user, await member(refuse))
    assert.deepEqual(await never.told.until('ended unauthenticated'), ['ended unauthenticated'])
  })

  it('goes on where a member knows no leader, hangs at its beginning, or ends it', async () => {
    const telling = await member(
      call => call.refuse(14, 'etcdserver: no leader'),
      () => undefined,
      call => {
        say(call)
        call.finish()
      },
      call => say(call, { cancelled: true }),
      call => say(call, { events: [put(5)] }),
    )
    const { told } = watching(5, { callWithinMs: 100 }, telling)
    assert.deepEqual(await told.until('5: put k'), ['5: put k'])
    assert.equal(telling.count('Watch'), 5)
  })

  it('ends where nothing but nonsense comes', async () => {
    const lying = await member(call => {
      call.begin()
      call.write(Buffer.from('0aff', 'hex'))
    })
    const { told } = watching(5, {}, lying)
    assert.deepEqual(await told.until('ended invalid'), ['ended invalid'])
    assert.equal(lying.count('Watch'), 3)
  })

  it('asks a member that is silent whether it lives, and leaves it where it does not answer', async () => {
    const silent = (call: FakeCall): void => say(call)
    let calls = 0
    const started = await FakeMember.start(call => {
      if (call.method === 'Watch') ++calls === 1 ? silent(call) : say(call, { events: [put(5)] })
    })
    members.push(started)
    const { told } = watching(5, {}, started)
    await told.until('5: put k')
    assert.deepEqual(
      started.calls.map(({ method }) => method),
      ['Watch', 'Status', 'Watch'],
    )
  })
})
