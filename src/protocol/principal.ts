// Owns who somebody is, once it is proved: a user with a role, or a node of the cluster.
// Must not hold how it is proved.

/** What users may be, each allowed all that those before it are: look, submit and control jobs, run the cluster, manage its access. */
export const userRoles = ['viewer', 'submitter', 'operator', 'admin'] as const
/** What a user is. */
export type UserRole = (typeof userRoles)[number]

/** What nodes may be. */
export const nodeRoles = ['worker', 'candidate'] as const
/** What a node is. */
export type NodeRole = (typeof nodeRoles)[number]

/** Which jobs a user may see and touch: all conditions hold together, and an empty list is none. */
export interface Scope {
  /** The job's name begins with one of these. */
  jobPrefixes: readonly string[]
  /** The job has one of these labels. */
  labels: readonly string[]
}

/** The scope that leaves nothing out. */
export const everything: Scope = { jobPrefixes: [], labels: [] }

/** Somebody who proved who it is. `credential` names what proved it, never the secret itself: id of a token, serial number of a certificate, or `local`. */
export type Principal =
  | {
      kind: 'user'
      name: string
      role: UserRole
      scope: Scope
      credential: string
      /** For how long from now on the credential is good; missing where it does not expire. */
      goodForMs?: number
    }
  /** Empty `name`: any node of this machine. */
  | { kind: 'node'; name: string; roles: readonly NodeRole[]; credential: string }
