// Owns what the leader's parts share while it leads. Must not hold behaviour.
import type { CoreLimits, Observed, State } from '../core/index.ts'
import type { Store } from '../journal/index.ts'
import type { Platform } from '../platform/index.ts'
import type { CoxswainError } from '../protocol/index.ts'
import type { Rates } from './access/rates.ts'
import type { Audit } from './audit/audit.ts'
import type { Comeback } from './comeback.ts'
import type { Enrolment } from './enrolment.ts'
import type { GrantWatch } from './grants.ts'
import type { Links } from './links.ts'
import type { LogReadings } from './logs.ts'
import type { Loop } from './loop.ts'
import type { NodeOffice } from './nodes.ts'
import type { Outbox } from './outbox.ts'
import type { Payloads } from './payloads.ts'
import type { ScheduleClock } from './schedules.ts'
import type { SecretSealer } from './secrets.ts'

/** What the leader's own process says of itself. */
export interface Vitals {
  pid: number
  rssBytes: number
  eventLoopDelayMs: number
}

export interface LeaderContext {
  id: string
  address: string
  startedMs: number
  state: State
  observed: Observed
  limits: CoreLimits
  store: Store
  platform: Platform
  links: Links
  logs: LogReadings
  loop: Loop
  outbox: Outbox
  payloads: Payloads
  comeback: Comeback
  grants: GrantWatch
  schedules: ScheduleClock
  /** Keeps secrets; without it there can be none. */
  sealer: SecretSealer | undefined
  /** Missing in a cluster of one machine. */
  office?: NodeOffice
  enrolment?: Enrolment
  rates: Rates
  /** Without it nothing is audited. */
  audit: Audit | undefined
  /** Cluster time now. */
  nowMs(): number
  vitals(): Vitals
  /** Hands the leadership over to this standby, if it can be; `begun` is called before it happens. */
  promote(candidate: string, begun: () => void): CoxswainError | undefined
}
