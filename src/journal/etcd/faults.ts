// Owns what an answer of etcd that is a refusal, or no answer at all, means for who called. The words are those of etcd's rpctypes.
// Must not decide what is tried again: it only says what may be.
import { EtcdError, type EtcdErrorKind } from './api.ts'
import { GrpcError, grpcStatus } from './grpc-messages.ts'

/**
 * What a call does. `nothing`: it only reads. `again`: sent twice it does the same as once. `once`: a transaction, which is never sent a second time here.
 */
export type Effect = 'nothing' | 'again' | 'once'

/** Refusals that etcd gives before it does anything, or instead of it, by a part of their words that no other refusal has. */
const refusals: readonly (readonly [words: string, kind: EtcdErrorKind])[] = [
  ['database space exceeded', 'noSpace'],
  ['request is too large', 'tooLarge'],
  ['too many operations in txn request', 'tooLarge'],
  ['received message larger than max', 'tooLarge'],
  ['required revision has been compacted', 'compacted'],
  ['requested lease not found', 'leaseGone'],
  ['invalid auth token', 'unauthenticated'],
  ['revision of auth store is old', 'unauthenticated'],
  ['user name is empty', 'unauthenticated'],
  ['user name not found', 'unauthenticated'],
  ['authentication failed', 'unauthenticated'],
  // Said by a member that was told to answer only while it knows a leader; before it looks at the call.
  ['etcdserver: no leader', 'unavailable'],
  ['etcdserver: not capable', 'unavailable'],
  ['not supported for learner', 'unavailable'],
  ['too many requests', 'unavailable'],
  ['corrupt cluster', 'unavailable'],
]

/** Statuses that no member gives to what it has done. */
const refusedStatuses: Readonly<Record<number, EtcdErrorKind>> = {
  [grpcStatus.invalidArgument]: 'invalid',
  [grpcStatus.notFound]: 'invalid',
  [grpcStatus.permissionDenied]: 'denied',
  [grpcStatus.failedPrecondition]: 'invalid',
  [grpcStatus.outOfRange]: 'invalid',
  [grpcStatus.unimplemented]: 'invalid',
  [grpcStatus.unauthenticated]: 'unauthenticated',
}

/** Whether the token was refused: it may have run out, and with a new one the same may be asked again. */
export function isTokenRefused(message: string): boolean {
  return ['invalid auth token', 'revision of auth store is old', 'user name is empty'].some(words => message.includes(words))
}

/** Why a call has no good answer, as its caller has to know it. */
export function etcdErrorOf(error: unknown, effect: Effect): EtcdError {
  if (error instanceof EtcdError) return error
  if (!(error instanceof GrpcError)) throw error
  return new EtcdError(kindOf(error, effect), `etcd: ${error.message}`, { cause: error })
}

function kindOf({ outcome, status, message }: GrpcError, effect: Effect): EtcdErrorKind {
  // Whoever only reads changes nothing, whatever becomes of it.
  const nobodyKnows = effect === 'nothing' ? 'unavailable' : 'unknown'
  switch (outcome) {
    case 'unsent':
      return 'unavailable'
    case 'lost':
      return nobodyKnows
    case 'malformed':
      return effect === 'nothing' ? 'invalid' : 'unknown'
    case 'refused':
      return refusals.find(([words]) => message.includes(words))?.[1] ?? refusedStatuses[status] ?? nobodyKnows
  }
}

/** The refusal behind a watch that etcd cancelled with these words. */
export function cancelledWatch(reason: string): EtcdError {
  const kind = refusals.find(([words]) => reason.includes(words))?.[1] ?? (reason.includes('permission denied') ? 'denied' : 'unavailable')
  return new EtcdError(kind, `etcd: the watch was cancelled: ${reason || 'no reason was given'}`)
}
