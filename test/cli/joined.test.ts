// Machines over the real listener: a worker joins, connects with its certificate alone, renews, and is sent away when it is revoked.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it } from 'node:test'
import { enrol } from '../../src/cli/authority/enrol.ts'
import { NodeFolder } from '../../src/cli/authority/folder.ts'
import { initCluster } from '../../src/cli/authority/init.ts'
import { NodeKeeper } from '../../src/cli/authority/keeper.ts'
import { openNode } from '../../src/cli/authority/open.ts'
import { formatJoinToken, parseJoinToken } from '../../src/cli/authority/token.ts'
import { createMemoryStore } from '../../src/journal/index.ts'
import { Leader } from '../../src/leader/index.ts'
import type { Connection } from '../../src/platform/index.ts'
import { makeNodeTransport, nodePlatform } from '../../src/platform/node/index.ts'
import {
  clientToLeader,
  decodeMessage,
  encodeMessage,
  hello,
  leaderToClient,
  leaderToWorker,
  type NodeUp,
  protocolVersion,
  type Welcome,
  welcome,
  workerToLeader,
} from '../../src/protocol/index.ts'
import { principals } from '../fakes/principals.ts'

const root = mkdtempSync(join(tmpdir(), 'cox-joined-'))
after(() => rmSync(root, { recursive: true, force: true }))
const frameBytesMax = 1 << 20

/** `laterMs`: how far its clock is ahead. */
function keeperOf(name: string, laterMs = 0): NodeKeeper {
  const platform = nodePlatform(name, 'error')
  return new NodeKeeper(new NodeFolder(join(root, name)), { ...platform, clock: { ...platform.clock, wallMs: () => Date.now() + laterMs } })
}

/** Someone who connects: what it hears, and how that ends. */
class Visit {
  readonly welcomed = Promise.withResolvers<Welcome>()
  readonly closed = Promise.withResolvers<{ reason: string; status: number | undefined }>()
  readonly connection: Connection
  #greeted = false

  constructor(
    address: string,
    keeper: NodeKeeper | undefined,
    who: { role: 'client' | 'worker' | 'candidate'; name: string; token?: string; trusts?: NodeKeeper },
    frame: (bytes: Uint8Array) => void,
  ) {
    const { role, name, token = '' } = who
    // Without an identity of its own it still has to believe the leader.
    const trusted = who.trusts
    const plain = trusted && {
      current: () => ({ authorities: trusted.current().authorities }),
      onChange: () => () => undefined,
      problem: trusted.problem.bind(trusted),
    }
    this.connection = makeNodeTransport(keeper ?? plain).connect(address, token, frameBytesMax, {
      opened: () =>
        this.connection.send(
          encodeMessage(hello, { protocol: protocolVersion, release: '0', role, name, cluster: '', epochSeen: 0, session: `${name}-boot` }),
        ),
      frame: bytes => {
        if (this.#greeted) return frame(bytes)
        this.#greeted = true
        this.welcomed.resolve(decodeMessage(welcome, bytes))
      },
      closed: (reason, status) => this.closed.resolve({ reason, status }),
    })
  }
}

it('a worker joins, proves itself by its certificate alone, renews it while it is connected, and is sent away when it is revoked', async () => {
  const made = await initCluster({
    ...{ folder: join(root, 'c1'), cluster: '', name: 'c1', address: '127.0.0.1:1' },
    token: { role: 'worker', uses: 2, expiresInMs: 3_600_000 },
  })
  assert.equal(await openNode(join(root, 'nothing'), nodePlatform('x', 'error')), undefined)
  const opened = await openNode(join(root, 'c1'), nodePlatform('c1', 'error'))
  assert(opened?.nodes?.founding)
  const { keeper: own, nodes } = opened
  let address = ''
  const leader: Leader = new Leader(
    {
      ...{ id: 'c1', store: createMemoryStore().open(), host: '127.0.0.1', port: 0, cluster: made.cluster },
      authenticate: ({ token, certificate }) => (certificate ? leader.principalOf(certificate) : principals[token]),
      announce: async endpoint => {
        address = endpoint.address
      },
      nodes,
    },
    nodePlatform('c1', 'error', own),
  )
  await leader.start()
  const joinToken = formatJoinToken({ ...parseJoinToken(made.joinToken), candidates: [address.replace('wss://', '')] })
  await enrol(joinToken, { name: 'w1', folder: join(root, 'w1') })
  await enrol(joinToken, { name: 'w2', folder: join(root, 'w2') })
  const keeper = keeperOf('w1', 17 * 3_600_000)
  const { serial } = keeper
  const renewed = Promise.withResolvers<void>()
  keeper.onChange(() => {
    if (keeper.serial !== serial) renewed.resolve()
  })
  let attached: ReturnType<NodeKeeper['attach']> | undefined
  const worker = new Visit(address, keeper, { role: 'worker', name: 'w1' }, bytes => {
    const message = decodeMessage(leaderToWorker, bytes)
    if (message.kind === 'trust' || message.kind === 'certificate') attached?.heard(message)
  })
  assert.equal((await worker.welcomed.promise).kind, 'welcome')
  attached = keeper.attach((message: NodeUp) => worker.connection.send(encodeMessage(workerToLeader, message)))
  // By its clock two thirds of the time are over.
  keeper.start()
  await renewed.promise
  keeper.stop()
  // A worker is no candidate and no user, and no other worker.
  for (const [role, name] of [
    ['candidate', 'w1'],
    ['client', 'w1'],
    ['worker', 'w2'],
  ] as const) {
    const answer = await new Visit(address, keeper, { role, name }, () => undefined).welcomed.promise
    assert.deepEqual([role, name, answer.kind === 'refused' && answer.code], [role, name, 'FORBIDDEN'])
  }
  const answered = Promise.withResolvers<string>()
  const user = new Visit(address, undefined, { role: 'client', name: 'me', token: 'client', trusts: keeper }, bytes => {
    const message = decodeMessage(leaderToClient, bytes)
    if ('request' in message && message.request === 7) answered.resolve(message.kind)
  })
  assert.equal((await user.welcomed.promise).kind, 'welcome')
  user.connection.send(encodeMessage(clientToLeader, { kind: 'revokeNode', request: 7, node: 'w1' }))
  assert.equal(await answered.promise, 'done')
  assert.match((await worker.closed.promise).reason, /NODE_REVOKED/)
  assert.equal((await new Visit(address, keeper, { role: 'worker', name: 'w1' }, () => undefined).closed.promise).status, 401)
  const other = new Visit(address, keeperOf('w2'), { role: 'worker', name: 'w2' }, () => undefined)
  assert.equal((await other.welcomed.promise).kind, 'welcome', 'nobody else is sent away')
  for (const one of [other, user]) one.connection.close('the test is over')
  await leader.stop('the test is over')
  own.stop()
})
