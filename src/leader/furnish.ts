// Owns putting together what a leadership works with, from the state that it begins with.
// Must not begin to lead, and must not decide what ends a leadership.
import { createObserved, defaultLimits, observeHungry, type State } from '../core/index.ts'
import type { Platform } from '../platform/index.ts'
import type { CoxswainError } from '../protocol/index.ts'
import { Rates } from './access/rates.ts'
import { Audit } from './audit/audit.ts'
import type { NodeAct } from './authority.ts'
import { Comeback } from './comeback.ts'
import type { LeaderContext } from './context.ts'
import { BlockDrops } from './drops.ts'
import { Enrolment } from './enrolment.ts'
import { GrantWatch } from './grants.ts'
import type { LeaderOptions } from './leader.ts'
import { Links } from './links.ts'
import { LogReadings } from './logs.ts'
import { Loop } from './loop.ts'
import { NodeOffice } from './nodes.ts'
import { Outbox } from './outbox.ts'
import { Payloads } from './payloads.ts'
import { ScheduleClock } from './schedules.ts'
import { processVitals } from './vitals.ts'

/** What the rooms of a leadership tell whoever leads. */
export interface Housekeeper {
  promote: LeaderContext['promote']
  lost(error: CoxswainError): void
  /** Inputs cannot be read. */
  unreadable(error: unknown): void
}

/** The rooms of one leadership. */
export function furnish(
  options: LeaderOptions,
  platform: Platform,
  { state, address }: { state: State; address: string },
  keeper: Housekeeper,
): { context: LeaderContext; drops: BlockDrops } {
  const { store, id, sealer } = options
  const { clock } = platform
  const startedMs = clock.monotonicMs()
  const baseMs = state.nowMs
  const observed = createObserved()
  const links = new Links()
  const payloads = new Payloads(store.journal)
  const limits = { ...defaultLimits, ...options.limits }
  const drops = new BlockDrops(state, links, clock)
  const logs = new LogReadings(links)
  const outbox = new Outbox({ state, links, payloads, drops, logs, failed: error => keeper.unreadable(error) })
  // Cluster time goes on from the journal by this process's monotonic clock: a wall clock set back or forward moves nothing.
  const nowMs = (): number => baseMs + clock.monotonicMs() - startedMs
  const loop = new Loop({
    state,
    observed,
    journal: store.journal,
    clock,
    limits,
    policy: options.policy ?? 'spread',
    nowMs,
    listener: outbox,
    lost: error => keeper.lost(error),
    ...(options.check && { check: options.check }),
  })
  for (const lane of state.tasks.lanes.values()) observeHungry(observed, lane)
  const vitals = options.vitals ?? processVitals()
  const comeback = new Comeback(state.membership.workers.keys(), clock)
  const grants = new GrantWatch(state, loop, clock, store.leadership)
  const schedules = new ScheduleClock(state, loop, payloads, platform)
  outbox.schedulesChanged = () => schedules.look()
  const rates = new Rates(options.rates ?? {}, clock)
  const audit = options.audit && new Audit(options.audit, { leader: id, epoch: state.epoch, index: () => state.index }, platform)
  const nodes = options.nodes && { ...options.nodes, audit: (act: NodeAct) => noteAct(audit, act) }
  const office = nodes && new NodeOffice({ id, state, loop, platform, nodes })
  const own = { sealer, ...(office && { office, enrolment: new Enrolment({ state, loop, platform, nodes, office }) }) }
  const rooms = { rates, audit, links, logs, loop, outbox, payloads, comeback, grants, schedules, nowMs, vitals }
  const context = { id, address, startedMs, state, observed, limits, store, platform, promote: keeper.promote, ...rooms, ...own }
  return { context, drops }
}

/** What was asked about nodes at the door, which no client's message brought: those are audited as all messages are. */
function noteAct(audit: Audit | undefined, { act, node, outcome, remote }: NodeAct): void {
  if (act !== 'enrol' && act !== 'renew') return
  const good = outcome === 'ok'
  audit?.note({ who: node, credential: '', from: remote, what: act, id: node }, good ? 'ok' : 'denied', good ? '' : outcome)
}
