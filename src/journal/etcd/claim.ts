// Owns the claim of the leadership in etcd: one transaction that compares who led and where the journal ended, as they were seen.
// Must not lead.
import { CoxswainError } from '../../protocol/errors.ts'
import { recordVersion } from '../../protocol/limits.ts'
import type { Claim } from '../journal.ts'
import { corruptRow, rowProblem, sameBytes } from '../row.ts'
import type { Compare, Operation, RangeAnswer } from './api.ts'
import type { Caller } from './caller.ts'
import { Indexes } from './indexes.ts'
import { aliveKey, blobsFrom, endKey, fromRowKey, leaderKey } from './keys.ts'
import { aliveValue } from './lifeline.ts'
import { planAppend } from './plan.ts'
import type { Head, Reader } from './reader.ts'
import { type End, encodeEnd, encodeLeader, newer } from './values.ts'

/** A claim that was won. */
export interface Claimed {
  /** Revision at which it changed the leader's key. */
  fence: number
  end: End
  lease: string
}

/** Refuses to go on from an end that cannot be believed. */
async function checkEnd(reader: Reader, { newest, end, leader }: Head): Promise<void> {
  if (!newest) {
    if (end.lastIndex !== 0) throw corruptRow(end.lastIndex, 'is missing')
    return
  }
  const row = await reader.whole(newest.key, newest.value)
  const first = fromRowKey(newest.key)!.firstIndex
  const problem = row ? rowProblem(row, undefined) : 'is missing in part'
  if (!row || problem !== undefined) throw corruptRow(first, problem ?? '')
  const last = first + row.count - 1
  if (last !== end.lastIndex) throw corruptRow(last, `is the newest, where the key of the end says that ${end.lastIndex} is`)
  if (!sameBytes(row.hash, end.hash)) throw corruptRow(first, 'does not have the hash that the key of the end names')
  if (row.epoch !== leader?.epoch) throw corruptRow(last, `is of epoch ${row.epoch}, where the leader's key says ${leader?.epoch}`)
}

/** Parts that were put for appends which never came. */
function orphans({ lastIndex, lastPayload }: End): Operation[] {
  return [
    blobsFrom('b', lastPayload + 1),
    blobsFrom('p', lastPayload + 1),
    blobsFrom('r', lastIndex + 1),
    blobsFrom('t', lastIndex + 1),
  ].map(range => ({ delete: range }))
}

/** Claims the leadership. Undefined: another one was faster. Throws what keeps anybody from leading here. */
export async function claimLeadership(caller: Caller, reader: Reader, claim: Claim, ttlSeconds: number): Promise<Claimed | undefined> {
  const { seenEpoch, leader, pid, processStart, address, opening } = claim
  if (opening.epoch !== seenEpoch + 1 || opening.count < 1)
    throw new CoxswainError(
      'INVALID_ARGUMENT',
      `The opening of epoch ${seenEpoch + 1} is of epoch ${opening.epoch}, with ${opening.count} records.`,
    )
  const head = await reader.head()
  await checkEnd(reader, head)
  if (head.leader && head.leader.records > recordVersion) throw newer('records of version', head.leader.records, recordVersion)
  if ((head.leader?.epoch ?? 0) !== seenEpoch || opening.firstIndex !== head.end.lastIndex + 1) return undefined
  const plan = planAppend(opening, head.end, new Indexes(caller))
  if (plan.before.length > 0 || plan.todo || opening.payloads.length > 0)
    throw new CoxswainError('INVALID_ARGUMENT', 'The opening of an epoch must fit into one transaction, without payloads.')
  const lease = await caller.lease(ttlSeconds)
  const value = encodeLeader({ epoch: opening.epoch, leader, pid, processStart, address, claim: lease })
  const compare: Compare[] = [
    { key: leaderKey, target: 'mod', result: 'equal', revision: head.fence },
    head.end.sequence === 0
      ? { key: endKey, target: 'create', result: 'equal', revision: 0 }
      : { key: endKey, target: 'value', result: 'equal', value: encodeEnd(head.end) },
    { key: plan.rowKey, target: 'create', result: 'equal', revision: 0 },
  ]
  const success: Operation[] = [
    { put: { key: leaderKey, value } },
    { put: { key: endKey, value: encodeEnd(plan.end) } },
    { put: { key: aliveKey, value: aliveValue(opening.epoch), lease } },
    ...plan.operations,
    ...orphans(head.end),
  ]
  const answer = await caller.settle({ compare, success, failure: [{ range: { key: leaderKey } }] })
  const { fence, won } = outcome(answer.succeeded, answer.revision, answer.answers[0] as RangeAnswer | undefined, value)
  if (won) return { fence, end: plan.end, lease }
  await caller.etcd.revokeLease(lease).catch(() => undefined)
  return undefined
}

/** An earlier try of the same claim may have won: then the key has its value, which no other claim has. */
function outcome(succeeded: boolean, revision: number, found: RangeAnswer | undefined, value: Uint8Array): { fence: number; won: boolean } {
  if (succeeded) return { fence: revision, won: true }
  const kept = found?.rows?.[0]
  return { fence: kept?.modRevision ?? 0, won: kept !== undefined && sameBytes(kept.value, value) }
}
