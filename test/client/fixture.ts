// Owns what the client's tests share: a cluster over a fake leader, and tasks.
import { clusterOf } from '../../src/client/connect.ts'
import type { Cluster } from '../../src/client/index.ts'
import { task } from '../../src/client/index.ts'
import { Programs } from '../../src/client/programs/cache.ts'
import { Session } from '../../src/client/session.ts'
import { FakeLeader, platformOf } from './fake-leader.ts'

export const echo = task({ name: 'echo', run: (input: unknown) => input })
export const twice = task({ name: 'twice', run: (input: number) => input * 2 })

export interface Fixture extends AsyncDisposable {
  leader: FakeLeader
  cluster: Cluster
  session: Session
}

/** A client that is connected to a fake leader. */
export async function connected(options: { reconnectTimeoutMs?: number; leader?: FakeLeader } = {}): Promise<Fixture> {
  const leader = options.leader ?? new FakeLeader()
  const platform = platformOf(leader)
  const session = new Session(
    {
      endpoint: async () => ({ address: 'memory', token: 'the-token' }),
      name: 'test',
      connectTimeoutMs: 2000,
      reconnectTimeoutMs: options.reconnectTimeoutMs ?? 10_000,
      keepAlive() {
        const timer = setInterval(() => undefined, 1000)
        return () => clearInterval(timer)
      },
    },
    platform,
  )
  await session.open()
  const cluster = clusterOf(platform, session, new Programs([], undefined), async () => undefined)
  return { leader, cluster, session, [Symbol.asyncDispose]: () => cluster.close() }
}
