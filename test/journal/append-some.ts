// Owns a leader in a process of its own that makes some appends, one after the other, and prints how each ended.
// Must not stop at the first that fails.
import { TestLeader } from '../../src/journal/conformance/index.ts'
import { openSqliteStore } from '../../src/journal/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'

const [folder, appends, payloadBytes] = process.argv.slice(2)
const store = await openSqliteStore({ folder: folder! })
const leader = await TestLeader.claim(store)
for (let i = 0; i < Number(appends); i++) {
  const payloads = Number(payloadBytes) > 0 ? [leader.payload(Number(payloadBytes))] : []
  const outcome = await leader.append({ payloads }).then(
    () => 'durable',
    (error: unknown) => (error instanceof CoxswainError ? error.code : String(error)),
  )
  console.log(outcome)
}
await store.close()
