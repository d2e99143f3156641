// Owns what can be asked of the leader's mind, and the form of its answers. Must not hold how they are decided.
import type {
  CoxswainError,
  Exchange,
  FlowPlan,
  Inputs,
  JobPlan,
  JournalRecord,
  LaneReport,
  LockMode,
  NodeRole,
  Outcome,
  PayloadId,
  Range,
  Resources,
  RunPolicy,
  ScheduleSpec,
  StagePolicy,
  TriggerSpec,
  UserSpec,
} from '../protocol/index.ts'

/** A job as it is to be submitted. */
export interface Submission {
  plan: JobPlan
  inputs: Inputs[]
  flow?: FlowPlan | undefined
  /** Limits of its stages, and of the job as a whole. */
  policies?: StagePolicy[]
  run?: RunPolicy | undefined
}

/** An authority that is to be believed: the SHA-256 of its certificate, and that. */
export interface NewAuthority {
  authority: string
  certificate: Uint8Array
  expiresAtMs: number
}

/** A certificate that was signed, and counts once this is a fact. `key`: SHA-256 of the public key. */
export interface NewCertificate {
  node: string
  key: string
  serial: string
  expiresAtMs: number
  authority: string
}

/** A join token, made before anybody led. */
export interface NewJoinToken {
  token: string
  secretHash: string
  role: NodeRole
  uses: number
  expiresAtMs: number
}

/** A command as it comes out of the mailbox: decoded, authenticated, stamped. */
export type Command =
  | {
      kind: 'registerWorker'
      worker: string
      boot: string
      capacity: Resources
      host: string
      pid: number
      blocks: string
      labels: string[]
      lanes: LaneReport[]
    }
  | { kind: 'loseWorker'; worker: string; incarnation: number; reason: string }
  | { kind: 'drainWorker'; worker: string }
  | { kind: 'report'; worker: string; incarnation: number; lane: number; from: number; outcomes: Outcome[]; jitter: number }
  | { kind: 'returnTasks'; worker: string; incarnation: number; lane: number; from: number }
  | { kind: 'putProgram'; program: string; bytes: Uint8Array }
  | ({ kind: 'submitJob' } & Submission)
  | { kind: 'addTasks'; job: string; inputs: Inputs }
  /** `compensate`: of a workflow, what its steps did is taken back first. */
  | { kind: 'cancelJob'; job: string; reason: string; compensate?: boolean }
  | { kind: 'pauseJob'; job: string; paused: boolean }
  | { kind: 'rerunJob'; job: string; rerun: string; program: string | undefined }
  | { kind: 'cancelTasks'; job: string; stage: number; ranges: Range[] }
  | { kind: 'releaseResults'; job: string; stage: number; ranges: Range[] }
  | { kind: 'signal'; job: string; name: string; signal: string; items: Uint8Array }
  | { kind: 'endSession'; session: string }
  | { kind: 'lock'; grant: string; lock: string; session: string; mode: LockMode; permits: number; ttlMs: number }
  | { kind: 'unlock'; grant: string; session: string }
  | { kind: 'expireGrants'; session: string; silentMs: number }
  | {
      kind: 'transact'
      session: string
      number: number
      before: number
      exchange: Exchange
      jobs: Submission[]
    }
  | { kind: 'setSchedule'; spec: ScheduleSpec; bytes: Uint8Array; submission: Submission; nextAtMs: number; replace: boolean }
  /** `dueMs`: the tick that was due; `atMs`: that which runs now, which may be a later one. */
  | { kind: 'tickSchedule'; schedule: string; dueMs: number; atMs: number; nextAtMs: number; missed: boolean; submission: Submission }
  | { kind: 'runSchedule'; schedule: string; queued: boolean; submission: Submission }
  | { kind: 'changeSchedule'; schedule: string; change: 'pause' | 'resume' | 'delete'; nextAtMs: number }
  | { kind: 'setTrigger'; spec: TriggerSpec; submission: Uint8Array; replace: boolean }
  | { kind: 'changeTrigger'; trigger: string; change: 'pause' | 'resume' | 'delete' }
  /** `items`: a chunk of one value. */
  | { kind: 'emit'; event: string; key: string; id: string; items: Uint8Array }
  | { kind: 'readEntries'; space: string; keys: string[] }
  | { kind: 'listEntries'; space: string; prefix: string; after: string; limit: number }
  /** `sealed`: what only candidates can open. */
  | { kind: 'setSecret'; secret: string; sealed: Uint8Array; jobs: string[] }
  | { kind: 'deleteSecret'; secret: string }
  | { kind: 'setUser'; spec: UserSpec; replace: boolean }
  | { kind: 'deleteUser'; user: string }
  /** `digest`: of the token's text, which nobody here ever sees. */
  | { kind: 'issueToken'; token: string; user: string; digest: string; ttlMs: number }
  | { kind: 'revokeToken'; token: string }
  | { kind: 'joinCandidate'; candidate: string; priority: number }
  | { kind: 'loseCandidate'; candidate: string; failed: boolean }
  | { kind: 'foundNodes'; authority: NewAuthority; node: Omit<NewCertificate, 'authority'> & { address: string }; tokens: NewJoinToken[] }
  | { kind: 'makeJoinToken'; token: string; secretHash: string; role: NodeRole; uses: number; expiresInMs: number }
  | ({ kind: 'enrolNode'; role: NodeRole; address: string; token: string } & NewCertificate)
  /** `presented`: the serial number of the certificate with which it asks. */
  | ({ kind: 'renewCertificate'; presented: string } & NewCertificate)
  | { kind: 'holdCertificate'; node: string; serial: string; authority: string }
  | { kind: 'revokeNode'; node: string }
  | ({ kind: 'addAuthority'; replaces: string } & NewAuthority)
  | { kind: 'rotate'; keys: string[] }

export type CommandKind = Command['kind']
export type CommandOf<K extends CommandKind> = Extract<Command, { kind: K }>

/** What a command is answered with, once its records are durable. */
export type Reply =
  | { kind: 'done' }
  | { kind: 'submitted'; existing: boolean }
  | { kind: 'registered'; incarnation: number; keep: { lane: number; tasks: number }[] }
  /** The lock was asked for; with a token it is granted already. */
  | { kind: 'asked'; token: number }
  | { kind: 'transacted'; version: number }
  | { kind: 'emitted'; started: number; woken: number }
  | { kind: 'issued'; expiresAtMs: number }
  | { kind: 'entries'; entries: { key: string; version: number; payload: PayloadId | undefined }[]; next: string | undefined }
  /** The sender is not (any more) the incarnation it thinks it is. */
  | { kind: 'dismissed'; reason: string }
  | { kind: 'refused'; error: CoxswainError }

/** Facts that follow from a command, the bytes they name, and the answer. */
export interface Decision {
  records: JournalRecord[]
  payloads: { payload: PayloadId; bytes: Uint8Array }[]
  reply: Reply
}

/** No facts, only an answer. */
export function answer(reply: Reply): Decision {
  return { records: [], payloads: [], reply }
}

/** The command cannot be done, and why. */
export function refuse(error: CoxswainError): Decision {
  return answer({ kind: 'refused', error })
}
