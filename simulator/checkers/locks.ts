// Owns S13, S3 and S7 for locks: grants and releases happened as if one by one, tokens only grow, nobody overtakes, nobody believes for too long.
// Must not trust the leader's account of who holds what.
import type { Belief, GrantSeen, History } from '../history.ts'
import type { Facts } from './facts.ts'
import { linearizable, type Model, type Operation } from './linearizable.ts'

/** What happens to one lock. `wrote`: something that is only done while it is held; `ended`: it was given back, or it was lost. */
type LockInput = { kind: 'granted' | 'wrote' | 'ended'; grant: GrantSeen }

interface Held {
  last: number
  held: { id: string; mode: GrantSeen['mode'] }[]
}

/** True if a lock can be held in this mode beside these. */
function compatible(mode: GrantSeen['mode'], permits: number, others: readonly GrantSeen['mode'][]): boolean {
  return mode === 'permit' ? others.length < permits : others.every(other => other === 'read' && mode === 'read')
}

/** A lock: who holds it, and the last token. */
const lockModel: Model<LockInput> = (state, { kind, grant }) => {
  const { last, held } = JSON.parse(state) as Held
  const { id, mode, permits, token } = grant
  if (kind === 'ended') {
    const left = held.filter(one => one.id !== id)
    return left.length < held.length ? JSON.stringify({ last, held: left }) : undefined
  }
  if (kind === 'wrote') return held.some(one => one.id === id) ? state : undefined
  const modes = held.map(one => one.mode)
  if (token <= last || !compatible(mode, permits, modes)) return undefined
  return JSON.stringify({ last: token, held: [...held, { id, mode }] })
}

function byLock<T>(items: readonly T[], lockOf: (item: T) => string): T[][] {
  return [...Map.groupBy(items, lockOf).values()]
}

/** `alike`: clocks run alike, so a grant ends after its client believed in it for the last time. */
function operationsOf(grant: GrantSeen, beliefs: readonly Belief[], alike: boolean): Operation<LockInput>[] {
  const { askedMs, grantedMs, writes, released } = grant
  const last = beliefs.findLast(one => one.grant === grant)
  const end = released
    ? { startedMs: released.fromMs, endedMs: released.toMs }
    : { startedMs: alike && last ? last.atMs : askedMs, endedMs: Number.POSITIVE_INFINITY }
  return [
    { input: { kind: 'granted', grant }, startedMs: askedMs, endedMs: grantedMs, unsure: false },
    ...writes.map(({ fromMs, toMs }) => ({ input: { kind: 'wrote' as const, grant }, startedMs: fromMs, endedMs: toMs, unsure: false })),
    { input: { kind: 'ended', grant }, ...end, unsure: false },
  ]
}

/** Looks for an order for each lock. A grant that nobody was told of only kept others from theirs: it is left out. */
function checkOrder(history: History, alike: boolean): void {
  for (const own of byLock(history.grants, grant => grant.lock)) {
    const operations = own.flatMap(grant => operationsOf(grant, history.beliefs, alike))
    const found = linearizable(operations, JSON.stringify({ last: 0, held: [] }), lockModel)
    if (found === true) continue
    const calls = operations.map(
      ({ input: { kind, grant }, startedMs, endedMs }) =>
        `${grant.mode} ${grant.token} ${kind} ${startedMs.toFixed(1)}–${endedMs.toFixed(1)}`,
    )
    history.violate(found === undefined ? 'M5' : 'S7', `no order explains ${own[0]!.lock}: ${calls.join('; ')}`, own[0]!.askedMs)
  }
}

/** Where clocks run alike, nobody believes in a grant beside one that excludes it, nor after a later one of that kind. */
function checkBeliefs(history: History): void {
  for (const own of byLock(history.beliefs, belief => belief.grant.lock)) {
    const spans = new Map<GrantSeen, { fromMs: number; toMs: number }>()
    for (const { grant, atMs } of own) spans.set(grant, { fromMs: spans.get(grant)?.fromMs ?? atMs, toMs: atMs })
    for (const { grant, atMs } of own) {
      const beside = [...spans].filter(([other, { fromMs, toMs }]) => {
        if (other === grant || atMs < fromMs) return false
        return atMs <= toMs || (grant.mode !== 'permit' && other.token > grant.token)
      })
      const modes = beside.map(([other]) => other.mode)
      if (compatible(grant.mode, grant.permits, modes)) continue
      const others = beside.map(([other]) => other.token).join(', ')
      history.violate('S13', `token ${grant.token} of ${grant.lock} was believed in beside or after ${others}`, atMs)
      break
    }
  }
}

/** `drift`: how unlike the clocks run. */
export function checkLocks(history: History, facts: Pick<Facts, 'granted'>, drift: number): void {
  for (const { lock, id, token, grantedMs } of history.grants) {
    const turn = facts.granted.get(id)
    // Where whoever asked first is served first.
    if (turn?.token !== token)
      history.violate('S13', `a grant of ${lock} has token ${token}, and by its turn ${turn?.token ?? 'none'}`, grantedMs)
    else if (turn.atMs > grantedMs) history.violate('S3', `a grant of ${lock} was told before it was durable`, grantedMs)
  }
  checkOrder(history, drift === 0)
  // Else a grant's time is measured differently by the two, and only its token protects.
  if (drift === 0) checkBeliefs(history)
}
