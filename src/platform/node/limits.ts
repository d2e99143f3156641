// Owns the named limits of whatever listens: how slow, how many and how large somebody may be who has not proved who it is.
// Must not hold limits of those who have: they are the rooms' own.

/** Every limit by its name; units stand last in it. */
export interface ListenLimits {
  /** A TLS handshake must be done within this. */
  handshakeTimeoutMs: number
  /** The whole head of a request must be there within this. */
  headersTimeoutMs: number
  /** A whole request with its body. 0: its server looks after bodies itself. */
  requestTimeoutMs: number
  /** How often it is looked who is late. */
  lateCheckMs: number
  /** A connection without a request is kept for so long after the last one. */
  keepAliveMs: number
  /** Of a request that `answer` is given. */
  bodyBytesMax: number
  /** New connections beyond these are ended at once; old ones are kept. Fewer where the system allows the process fewer files. */
  connectionsMax: number
  /** Connections from one address that have not proved who they are. */
  unprovedPerAddressMax: number
  /** Wrong credentials from one address that are looked at at once; the same one again, or none, counts a tenth. */
  failuresMax: number
  /** So many more are looked at each second. */
  failuresPerSecond: number
  /** Addresses of which wrong credentials are remembered; the least recent go first. */
  addressesMax: number
}

/** The limits where nothing else is said. */
export const listenLimits: ListenLimits = {
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 20_000,
  lateCheckMs: 2_000,
  keepAliveMs: 5_000,
  bodyBytesMax: 1 << 20,
  connectionsMax: 20_000,
  unprovedPerAddressMax: 1_000,
  failuresMax: 30,
  failuresPerSecond: 0.5,
  addressesMax: 4_096,
}
