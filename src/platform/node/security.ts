// Owns what a process needs to know for connections between machines: what it proves itself with, and whom it believes.
// Must not read files or make certificates: whoever starts the process does.
import type { PeerCertificate } from '../platform.ts'

/** PEM texts. */
export interface Identity {
  /** Authorities that are believed: the cluster's present one, and a second while one replaces the other. */
  authorities: readonly string[]
  /** Certificate (with what is between it and the authority) and key of this node. A user's client has none. */
  certificate?: string
  key?: string
}

/** The identity of a process, which may change while it runs, and its judgement of others. */
export interface Security {
  current(): Identity
  /** Calls back after each change of `current`; the function returned ends that. */
  onChange(callback: () => void): () => void
  /**
   * Why the node that was dialled is not believed although an authority signed its certificate (revoked, of another cluster, of another role than `wanted`), or
   * undefined. Names of hosts prove nothing here: what counts are the certificate's names as URIs, `coxswain://CLUSTER/candidate/NAME` or `…/worker/NAME`.
   */
  problem(certificate: PeerCertificate, wanted: 'candidate' | 'worker'): string | undefined
}
