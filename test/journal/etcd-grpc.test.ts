// Shows what the client of etcd makes of servers that refuse, reset, say goodbye, fall silent or lie: no call is told as done or undone that may be otherwise, and no
// transaction is sent twice.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { constants } from 'node:http2'
import { type AddressInfo, createServer } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import type { Etcd, EtcdError, EtcdErrorKind } from '../../src/journal/etcd/api.ts'
import { type EtcdOptions, openEtcd } from '../../src/journal/etcd/client.ts'
import { numberAnswer, rangeAnswer, tokenAnswer, transactionAnswer } from './etcd-answers.ts'
import { type FakeCall, FakeMember } from './fake-etcd.ts'

const transaction = { compare: [], success: [{ put: { key: 'k', value: Buffer.from('v') } }] }
const kept = { key: '/c/k', value: Buffer.from('v'), createRevision: 2, modRevision: 3, lease: '' }
const members: FakeMember[] = []
const clients: Etcd[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  for (const member of members.splice(0)) await member.close()
})

async function member(handle: (call: FakeCall, number: number) => void): Promise<FakeMember> {
  const started = await FakeMember.start(handle)
  members.push(started)
  return started
}

function client(options: Partial<EtcdOptions>, ...of: FakeMember[]): Etcd {
  const opened = openEtcd({ endpoints: of.map(({ endpoint }) => endpoint), prefix: '/c', callWithinMs: 60_000, ...options })
  clients.push(opened)
  return opened
}

/** The good answer to each call. */
function serve(call: FakeCall): void {
  if (call.method === 'Txn') call.answer(transactionAnswer(5, true, 1))
  else if (call.method === 'Range') call.answer(rangeAnswer(5, [kept]))
  else if (call.method === 'LeaseKeepAlive') call.answer(numberAnswer(3, 9))
  else call.answer(Buffer.alloc(0))
}

async function kindOf(work: Promise<unknown>): Promise<EtcdErrorKind> {
  return work.then(
    () => assert.fail('it was answered'),
    (error: EtcdError) => error.kind,
  )
}

describe('a refusal by etcd', () => {
  for (const [status, words, write, read] of [
    [8, 'etcdserver: mvcc: database space exceeded', 'noSpace', 'noSpace'],
    [3, 'etcdserver: request is too large', 'tooLarge', 'tooLarge'],
    [8, 'grpc: received message larger than max (2097200 vs. 2097152)', 'tooLarge', 'tooLarge'],
    [3, 'etcdserver: too many operations in txn request', 'tooLarge', 'tooLarge'],
    [11, 'etcdserver: mvcc: required revision has been compacted', 'compacted', 'compacted'],
    [5, 'etcdserver: requested lease not found', 'leaseGone', 'leaseGone'],
    [16, 'etcdserver: invalid auth token', 'unauthenticated', 'unauthenticated'],
    [3, 'etcdserver: user name is empty', 'unauthenticated', 'unauthenticated'],
    [7, 'etcdserver: permission denied', 'denied', 'denied'],
    [3, 'etcdserver: duplicate key given in txn request', 'invalid', 'invalid'],
    [11, 'etcdserver: mvcc: required revision is a future revision', 'invalid', 'invalid'],
    [12, 'unknown method', 'invalid', 'invalid'],
    [14, 'etcdserver: no leader', 'unavailable', 'unavailable'],
    [8, 'etcdserver: too many requests', 'unavailable', 'unavailable'],
    [14, 'etcdserver: leader changed', 'unknown', 'unavailable'],
    [14, 'etcdserver: request timed out', 'unknown', 'unavailable'],
    [14, 'etcdserver: request timed out, possibly due to connection lost', 'unknown', 'unavailable'],
    [14, 'etcdserver: server stopped', 'unknown', 'unavailable'],
    [4, 'context deadline exceeded', 'unknown', 'unavailable'],
    [1, 'context canceled', 'unknown', 'unavailable'],
    [2, 'something else', 'unknown', 'unavailable'],
    [13, 'internal', 'unknown', 'unavailable'],
    [99, 'from the future', 'unknown', 'unavailable'],
  ] as const) {
    it(`"${words}" is ${write} for a transaction, which is sent once, and ${read} for a read`, async () => {
      const refusing = await member(call => call.refuse(status, words))
      const etcd = client({}, refusing)
      assert.equal(await kindOf(etcd.transact(transaction)), write)
      assert.equal(refusing.count('Txn'), 1)
      assert.equal(await kindOf(etcd.range({ key: 'k' })), read)
      assert.equal(refusing.count('Range'), read === 'unavailable' ? 4 : 1)
    })
  }

  it('in trailers behind an answer counts, not the answer', async () => {
    const refusing = await member(call => {
      call.begin()
      call.write(transactionAnswer(5, true, 1))
      call.finish(14, 'etcdserver: request timed out')
    })
    assert.equal(await kindOf(client({}, refusing).transact(transaction)), 'unknown')
  })
})

describe('a transaction without a good answer is unknown and was sent once', () => {
  const other = (call: FakeCall): void => serve(call)
  for (const [name, spoil] of [
    ['the stream is reset', (call: FakeCall) => call.reset()],
    ['the connection breaks', (call: FakeCall) => call.hangUp()],
    [
      'the connection breaks within the answer',
      (call: FakeCall) => {
        call.begin()
        call.stream.write(Buffer.from([0, 0, 0, 0, 9, 1, 2]), () => call.hangUp())
      },
    ],
    [
      'the answer ends within a message',
      (call: FakeCall) => {
        call.begin()
        call.stream.write(Buffer.from([0, 0, 0, 0, 9, 1, 2]))
        call.finish()
      },
    ],
    [
      'the answer is empty',
      (call: FakeCall) => {
        call.begin()
        call.finish()
      },
    ],
    [
      'two answers come',
      (call: FakeCall) => {
        call.begin()
        call.write(transactionAnswer(5, true, 1))
        call.write(transactionAnswer(5, true, 1))
        call.finish()
      },
    ],
    [
      'the answer has no status',
      (call: FakeCall) => {
        call.stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
        call.write(transactionAnswer(5, true, 1))
        call.stream.end()
      },
    ],
    [
      'more is announced than anybody may send',
      (call: FakeCall) => {
        call.begin()
        call.stream.write(Buffer.from([0, 255, 255, 255, 255, 1, 2]))
      },
    ],
    [
      'the answer is compressed',
      (call: FakeCall) => {
        call.begin()
        call.stream.write(Buffer.from([1, 0, 0, 0, 1, 1]))
      },
    ],
    ['the answer is no message', (call: FakeCall) => call.answer(Buffer.from('0aff', 'hex'))],
    ['the answer is one of another transaction', (call: FakeCall) => call.answer(transactionAnswer(5, true, 3))],
    [
      'a proxy answers',
      (call: FakeCall) => {
        call.stream.respond({ ':status': 502, 'content-type': 'text/html' })
        call.stream.end('<html>')
      },
    ],
  ] as const) {
    it(`where ${name}`, async () => {
      let spoiled = 0
      const handle = (call: FakeCall): void => {
        if (spoiled++ === 0) spoil(call)
        else other(call)
      }
      const [first, second] = [await member(handle), await member(handle)]
      const etcd = client({}, first, second)
      assert.equal(await kindOf(etcd.transact(transaction)), 'unknown')
      assert.equal(first.count('Txn') + second.count('Txn'), 1)
      assert.deepEqual(await etcd.transact(transaction), { revision: 5, succeeded: true, answers: [undefined] })
    })
  }

  it('where no answer comes in time', async () => {
    const hanging = await member(call => {
      if (call.method !== 'Txn') serve(call)
    })
    const etcd = client({ callWithinMs: 50 }, hanging)
    assert.equal(await kindOf(etcd.transact(transaction)), 'unknown')
    assert.equal(hanging.count('Txn'), 1)
    assert.equal(hanging.calls[0]!.headers['grpc-timeout'], '50m')
  })
})

describe('a transaction that was not looked at goes to another member', () => {
  for (const [name, spoil] of [
    ['its stream is refused', (call: FakeCall) => call.reset(constants.NGHTTP2_REFUSED_STREAM)],
    ['the member says goodbye before it', (call: FakeCall) => call.goodbyeBefore()],
    ['the member knows no leader', (call: FakeCall) => call.refuse(14, 'etcdserver: no leader')],
  ] as const) {
    it(`where ${name}`, async () => {
      let spoiled = 0
      const handle = (call: FakeCall): void => {
        if (call.method === 'Txn' && spoiled++ === 0) spoil(call)
        else serve(call)
      }
      const [first, second] = [await member(handle), await member(handle)]
      const etcd = client({}, first, second)
      await etcd.range({ key: 'k' })
      const answer = await etcd.transact(transaction)
      assert.equal(answer.succeeded, true)
      assert.equal(spoiled, 2)
      assert.deepEqual([first.count('Txn'), second.count('Txn')], [1, 1])
    })
  }

  it('where the member cannot be reached; where none can, it is unavailable', async () => {
    const gone = await member(serve)
    const there = await member(serve)
    const { endpoint } = gone
    await gone.close()
    members.splice(members.indexOf(gone), 1)
    for (let turn = 0; turn < 4; turn++) {
      const etcd = client({ endpoints: [endpoint, there.endpoint] })
      assert.equal((await etcd.transact(transaction)).succeeded, true)
    }
    assert.equal(await kindOf(client({ endpoints: [endpoint] }).transact(transaction)), 'unavailable')
    assert.equal(await kindOf(client({ endpoints: [endpoint] }).range({ key: 'k' })), 'unavailable')
  })

  it('where no server of HTTP/2 is there: nothing was sent', async () => {
    const heard: Buffer[] = []
    const server = createServer(socket => {
      socket.on('error', () => undefined).on('data', piece => heard.push(piece))
      socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    assert.equal(await kindOf(client({ endpoints: [endpoint] }).transact(transaction)), 'unavailable')
    assert.equal(Buffer.concat(heard).includes('etcdserverpb'), false)
    server.close()
  })
})

describe('calls that may be tried again', () => {
  it('are, at another member, until one answers', async () => {
    let calls = 0
    const handle = (call: FakeCall): void => {
      if (++calls <= 3) call.reset()
      else serve(call)
    }
    const [first, second] = [await member(handle), await member(handle)]
    const { rows, revision } = await client({}, first, second).range({ key: 'k' })
    assert.deepEqual([revision, rows], [5, [{ ...kept, key: 'k' }]])
    assert.ok(first.count('Range') > 0 && second.count('Range') > 0)
  })

  it('are one lease where the first answer was lost', async () => {
    const asked: FakeCall[] = []
    const losing = await member(call => {
      asked.push(call)
      if (asked.length === 1) call.reset()
      else call.refuse(9, 'etcdserver: lease already exists')
    })
    const lease = await client({}, losing).grantLease(7)
    assert.match(lease, /^[1-9]\d*$/)
    assert.equal(asked.length, 2)
    assert.deepEqual(asked[0]!.message, asked[1]!.message)
    assert.equal(asked[0]!.number(1), 7)
  })

  it('know what an earlier try did: a lease that is gone, what is compacted', async () => {
    for (const [words, work] of [
      ['etcdserver: requested lease not found', (etcd: Etcd) => etcd.revokeLease('5')],
      ['etcdserver: mvcc: required revision has been compacted', (etcd: Etcd) => etcd.compact(4)],
    ] as const) {
      const refusing = await member(call => call.refuse(11, words))
      assert.notEqual(await kindOf(work(client({}, refusing))), 'unknown')
      const losing = await member((call, number) => (number === 1 ? call.reset() : call.refuse(11, words)))
      await work(client({}, losing))
    }
  })

  it('stay unknown where only the first may have been done', async () => {
    const losing = await member((call, number) => (number === 1 ? call.reset() : call.refuse(14, 'etcdserver: no leader')))
    assert.equal(await kindOf(client({}, losing).compact(4)), 'unknown')
  })

  it('tell a lease that has ended', async () => {
    const ended = await member(call => call.answer(numberAnswer(3, 0)))
    assert.equal(await kindOf(client({}, ended).keepLease('5')), 'leaseGone')
    assert.equal(await client({}, await member(serve)).keepLease('5'), 9)
  })
})

describe('a user', () => {
  function guarding(valid: () => string, otherwise = 'etcdserver: invalid auth token'): (call: FakeCall) => void {
    return call => {
      if (call.method === 'Authenticate') call.answer(tokenAnswer(valid()))
      else if (call.headers['token'] === valid()) serve(call)
      else call.refuse(16, otherwise)
    }
  }

  it('gets a token, and one new one for all calls when it has run out', async () => {
    let token = 'first.1'
    const guarded = await member(guarding(() => token))
    const etcd = client({ user: 'me', password: () => 'secret' }, guarded)
    await etcd.transact(transaction)
    assert.equal(guarded.count('Authenticate'), 1)
    token = 'second.2'
    const answers = await Promise.all(Array.from({ length: 8 }, () => etcd.transact(transaction)))
    assert.equal(
      answers.every(({ succeeded }) => succeeded),
      true,
    )
    assert.equal(guarded.count('Authenticate'), 2)
    assert.equal(
      guarded.calls.some(call => call.method !== 'Authenticate' && call.message.includes('secret')),
      false,
    )
  })

  it('is refused after one new token', async () => {
    const guarded = await member(call => {
      if (call.method === 'Authenticate') call.answer(tokenAnswer('never-good'))
      else call.refuse(16, 'etcdserver: invalid auth token')
    })
    assert.equal(await kindOf(client({ user: 'me', password: () => 'x' }, guarded).transact(transaction)), 'unauthenticated')
    assert.deepEqual([guarded.count('Authenticate'), guarded.count('Txn')], [2, 2])
  })

  it('with a wrong password, or one that cannot be read, is unauthenticated', async () => {
    const refusing = await member(call => call.refuse(3, 'etcdserver: authentication failed, invalid user ID or password'))
    assert.equal(await kindOf(client({ user: 'me', password: () => 'x' }, refusing).range({ key: 'k' })), 'unauthenticated')
    const unreadable = (): string => {
      throw new Error('no such file')
    }
    assert.equal(await kindOf(client({ user: 'me', password: unreadable }, refusing).transact(transaction)), 'unauthenticated')
    assert.equal(refusing.calls.length, 1)
  })

  it('needs no token where etcd asks for none', async () => {
    const open = await member(call =>
      call.method === 'Authenticate' ? call.refuse(9, 'etcdserver: authentication is not enabled') : serve(call),
    )
    assert.equal((await client({ user: 'me', password: () => 'x' }, open).transact(transaction)).succeeded, true)
  })

  it('whose token cannot be had has sent nothing', async () => {
    const losing = await member(call => (call.method === 'Authenticate' ? call.reset() : serve(call)))
    assert.equal(await kindOf(client({ user: 'me', password: () => 'x' }, losing).transact(transaction)), 'unavailable')
    const lying = await member(call => call.answer(tokenAnswer('a\nb')))
    assert.equal(await kindOf(client({ user: 'me', password: () => 'x' }, lying).transact(transaction)), 'unavailable')
    assert.equal(losing.count('Txn') + lying.count('Txn'), 0)
  })
})

describe('a client that is closed', () => {
  it('ends calls, pauses and connections', async () => {
    const arrived = Promise.withResolvers<void>()
    const hanging = await member(() => arrived.resolve())
    const etcd = client({}, hanging)
    const under = etcd.transact(transaction)
    const reading = etcd.range({ key: 'k' })
    await arrived.promise
    etcd.close()
    assert.deepEqual(await Promise.all([kindOf(under), kindOf(reading), kindOf(etcd.range({ key: 'k' }))]), ['closed', 'closed', 'closed'])
    const untilNobodyIsThere = async (): Promise<void> => {
      while (hanging.sessions > 0) await new Promise(resolve => setImmediate(resolve))
    }
    await untilNobodyIsThere()
  })
})
