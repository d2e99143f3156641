// Owns how a connection begins, and what messages of all kinds have in common.
// Must not hold behaviour.
import { enumeration, type Infer, string, struct, union, varint } from './codec.ts'
import { limits } from './limits.ts'
import { jobIdField, nameField } from './plan.ts'

/** First frame of every connection, from the side that dialled. */
export const hello = struct({
  protocol: varint,
  release: nameField,
  role: enumeration('client', 'worker', 'candidate'),
  /** The worker's name, or what the client calls itself. */
  name: nameField,
  /** The cluster it belongs to, empty if it does not know yet. */
  cluster: nameField,
  /** The highest epoch it has seen: a leader of a lower one steps down. */
  epochSeen: varint,
  /** Client: its session, the same over reconnects. Worker and candidate: its boot, new with each start of its process. */
  session: nameField,
})
export type Hello = Infer<typeof hello>

/** Answer to hello. `refused` and `elsewhere` are followed by the end of the connection. */
export const welcome = union({
  welcome: [1, struct({ protocol: varint, release: nameField, cluster: nameField, epoch: varint, leader: nameField, pulseMs: varint })],
  refused: [2, struct({ code: nameField, message: string(4096) })],
  /** This candidate stands by: the leader of this epoch is there. Empty where it does not know one. */
  elsewhere: [3, struct({ leader: string(), epoch: varint })],
})
export type Welcome = Infer<typeof welcome>

/** An error as it travels. */
export const wireError = struct({ code: nameField, message: string(8192), id: nameField, retryAfterMs: varint })
export type WireError = Infer<typeof wireError>

/** One line that a task wrote. */
export const logLine = struct({
  job: jobIdField,
  stage: varint,
  index: varint,
  attempt: varint,
  stream: enumeration('out', 'err', 'log', 'system'),
  atMs: varint,
  text: string(limits.logLineBytesMax),
})
export type LogLine = Infer<typeof logLine>
