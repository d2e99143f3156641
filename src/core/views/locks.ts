// Owns the answers about locks. Reads state, in pieces of bounded size.
// Must not write anything.
import type { LockHolderView, LockView } from '../../protocol/index.ts'
import type { Grant } from '../grants/state.ts'
import type { State } from '../state.ts'

const locksMax = 1000
const holdersMax = 100
const lineMax = 10

function holder({ session, mode, token, askedAtMs, grantedAtMs, ttlMs }: Grant): LockHolderView {
  return { session, mode, ...(token > 0 && { token }), sinceMs: token > 0 ? grantedAtMs : askedAtMs, ttlMs }
}

/** The locks that are held, by name. */
export function viewLocks(state: State, prefix = ''): LockView[] {
  const names = [...state.grants.locks.keys()].filter(name => name.startsWith(prefix)).sort()
  return names.slice(0, locksMax).map(name => {
    const { permits, held, line } = state.grants.locks.get(name)!
    return {
      name,
      ...(permits > 0 && { permits }),
      held: [...held].slice(0, holdersMax).map(holder),
      waiting: line.size,
      line: [...line].slice(0, lineMax).map(holder),
    }
  })
}
