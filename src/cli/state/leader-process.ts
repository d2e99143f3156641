// Owns telling which process the leader of a cluster is, if it is one that the supervisor of a state folder started.
// Must not name a process of which that is not certain: who asks wants to signal it.
import { CoxswainError } from '../../protocol/errors.ts'
import type { StatusView } from '../../protocol/index.ts'
import { readEndpoint } from './endpoint.ts'
import type { Home } from './home.ts'
import type { ProcessIdentity } from './processes.ts'
import { liveSupervisor } from './up-file.ts'

/** The leader's process on this machine; throws where it is none of this state folder's cluster. */
export function leaderProcess(home: Home, { leader, cluster }: Pick<StatusView, 'leader' | 'cluster'>): ProcessIdentity {
  const node = liveSupervisor(home)?.nodes.find(one => one.name === leader.id && one.pid === leader.pid)
  if (node && readEndpoint(home)?.cluster === cluster) return node
  throw new CoxswainError(
    'UNAVAILABLE',
    `${leader.id} with pid ${leader.pid} is no process of the cluster in ${home.path}: it is left alone.`,
    {
      id: leader.id,
    },
  )
}
