// A candidate that listens always: who comes while it stands by hears who leads, and follows.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Door } from '../../src/leader/door.ts'
import { decodeMessage, encodeMessage, hello, protocolVersion, Roster, type Welcome, welcome } from '../../src/protocol/index.ts'
import { principals } from '../fakes/principals.ts'
import { World } from '../fakes/world.ts'

const greeting = encodeMessage(hello, {
  protocol: protocolVersion,
  release: '1',
  role: 'client',
  name: 'me',
  cluster: '',
  epochSeen: 0,
  session: 's',
})

/** What somebody hears who says this first, and why its connection ended. */
async function visit(
  world: World,
  address: string,
  first: Uint8Array = greeting,
): Promise<{ heard: Welcome[]; reason: string | undefined }> {
  const heard: Welcome[] = []
  let reason: string | undefined
  const connection = world.platform.transport.connect(address, 'client', 1 << 20, {
    opened: () => connection.send(first),
    frame: bytes => heard.push(decodeMessage(welcome, bytes)),
    closed: why => {
      reason = why
    },
  })
  await world.calm()
  return { heard, reason }
}

function doorIn(world: World, always: boolean, advertise?: string): Door {
  const options = { host: '127.0.0.1', port: 0, authenticate: ({ token }: { token: string }) => principals[token] }
  return new Door({ ...options, ...(advertise !== undefined && { advertise }) }, world.platform, always)
}

describe('a door', () => {
  it('tells who leads while its candidate stands by, and is its own when it leads', async () => {
    const world = new World()
    const door = doorIn(world, true)
    const address = await door.open(false)
    assert.deepEqual(await visit(world, address), { heard: [], reason: 'it does not lead yet' })
    door.standBy('ws://far:1', 7)
    const { heard, reason } = await visit(world, address)
    assert.deepEqual(heard, [{ kind: 'elsewhere', leader: 'ws://far:1', epoch: 7 }])
    assert.equal(reason, 'it stands by')
    assert.equal((await visit(world, address, Buffer.from([9, 9]))).reason, 'its first frame is no greeting')
    const names: string[] = []
    door.lead((connection, principal) => {
      names.push(principal.kind)
      return { opened() {}, frame: () => connection.send(encodeMessage(welcome, { kind: 'refused', code: 'X', message: '' })), closed() {} }
    })
    const inside = await visit(world, address)
    assert.deepEqual([inside.heard.map(({ kind }) => kind), inside.reason, names], [['refused'], undefined, ['user']])
    await door.leave('it leads no more')
    assert.equal((await visit(world, address)).reason, 'it leads no more')
    assert.equal(await door.open(false), address, 'it is still open')
    await door.close()
    assert.equal((await visit(world, address)).reason, 'nobody listens')
  })

  it('that is open only while its candidate leads shuts with the leadership', async () => {
    const world = new World()
    const door = doorIn(world, false, 'wss://outside:4')
    assert.equal(await door.open(false), 'wss://outside:4')
    door.lead(() => ({ opened() {}, frame() {}, closed() {} }))
    await door.leave('over')
    assert.equal((await visit(world, 'ws://127.0.0.1:4001')).reason, 'nobody listens')
  })
})

describe('a roster', () => {
  it('goes where the leader is said to be once, else from one to the next', () => {
    const roster = new Roster(['a', 'b', 'c'])
    assert.deepEqual([roster.dial(), roster.dial()], ['a', 'b'])
    roster.leader('z')
    assert.deepEqual([roster.dial(), roster.dial(), roster.dial()], ['z', 'c', 'a'])
  })
})
