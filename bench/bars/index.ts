// The list of all bars, in the order of the table in docs/performance.md.
import type { Bar } from '../bar.ts'
import { concurrentRuns } from './concurrent-runs.ts'
import { etcdFailover, etcdOne, etcdRoundTrip, etcdThree } from './etcd.ts'
import { failover, frozenLeader, handOver } from './failover.ts'
import { history } from './history.ts'
import { idle } from './idle.ts'
import { lock } from './lock.ts'
import { payloadTasks } from './payloads.ts'
import { queue } from './queue.ts'
import { results } from './results.ts'
import { roundTrip } from './round-trip.ts'
import { sleepers } from './sleepers.ts'
import { standbys } from './standbys.ts'
import { start } from './start.ts'
import { takeover } from './takeover.ts'
import { throughput } from './throughput.ts'
import { workers } from './workers.ts'
import { workflowFan } from './workflow-fan.ts'
import { workflowGraph } from './workflow-graph.ts'
import { workflowChain, workflowMany, workflowOne, workflowTen } from './workflows.ts'

/** Every bar. A new one gets its file and its line here. */
export const bars: readonly Bar[] = [
  throughput,
  standbys,
  concurrentRuns,
  payloadTasks,
  roundTrip,
  queue,
  workers,
  results,
  start,
  idle,
  failover,
  frozenLeader,
  handOver,
  takeover,
  workflowOne,
  workflowMany,
  workflowChain,
  workflowTen,
  workflowGraph,
  workflowFan,
  sleepers,
  lock,
  history,
  etcdOne,
  etcdThree,
  etcdRoundTrip,
  etcdFailover,
]
