// Owns the one suite that every backend of the journal has to pass. Tests call it; the package does not contain it.
// Must not know any backend: what one cannot do, it says in `skips`, with a reason.
import { describe, it } from 'node:test'
import { appending, fencing, resigning } from './appending.ts'
import type { Backend } from './backend.ts'
import { corruption } from './corruption.ts'
import { history } from './history.ts'
import { compaction, payloads, snapshots } from './keeping.ts'

export type { Backend, Place, TestStore } from './backend.ts'
export { rejectsWith, TestLeader } from './leader.ts'

/** Rows that `compact` keeps in the case about the budget. */
const largeBudgetBytes = 1 << 20

/** Declares the suite for one backend. */
export function conformance(backend: Backend): void {
  const parts = { appending, fencing, resigning, payloads, snapshots, compaction, corruption, history }
  describe(`journal conformance: ${backend.name}`, () => {
    for (const [part, cases] of Object.entries(parts)) {
      describe(part, () => {
        for (const [name, run] of Object.entries(cases)) {
          const reason = backend.skips?.[name]
          it(name, { skip: reason ?? false }, async () => {
            const place = await backend.place(name.includes('within the budget') ? largeBudgetBytes : 0)
            try {
              await run(place, backend)
            } finally {
              await place.remove()
            }
          })
        }
      })
    }
  })
}
