// Owns etcd's lock, as its lock service gives it: one member with fsync, one lease that is kept for all grants as a session would.
// Must not measure the lease: a client has it once.
import { type Figure, latencyFigures, type Peer, type Rounds, repeated } from '../bar.ts'
import { oneByOne } from '../load.ts'
import { EtcdServers } from './etcd-server.ts'
import { bytesField, fieldsOf, GrpcClient, numberField } from './grpc.ts'

const leaseSeconds = 600n

async function measure(how: Rounds): Promise<Figure[]> {
  await using servers = await EtcdServers.start(1)
  using grpc = new GrpcClient(servers.endpoints[0]!)
  const granted = await grpc.call('/etcdserverpb.Lease/LeaseGrant', numberField(1, leaseSeconds))
  const lease = numberField(2, granted.get(2) as bigint)
  const name = bytesField(1, Buffer.from('bench'))
  let revision = 0n
  const call = async (): Promise<void> => {
    const locked = await grpc.call('/v3lockpb.Lock/Lock', name, lease)
    const now = fieldsOf(locked.get(1) as Uint8Array).get(3) as bigint
    if (now <= revision) throw new Error(`etcd's revision ${now} came after ${revision}`)
    revision = now
    await grpc.call('/v3lockpb.Lock/Unlock', bytesField(1, locked.get(2) as Uint8Array))
  }
  return latencyFigures(await repeated(how, () => oneByOne(how.smoke, call)))
}

export const etcdLock: Peer = {
  name: 'etcd',
  title: "etcd's lock service, one member, fsync on",
  // Twice as fast.
  bar: { at: 0.5, side: 'at most' },
  measure,
}
