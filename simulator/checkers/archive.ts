// Owns S9 for jobs in the history: each has one row in the store, the one that the replay knows, and the results that it names are there.
// Must not look at how they got there.
import { decodeKept, type State } from '../../src/core/index.ts'
import type { History } from '../history.ts'
import type { Archive } from '../world/cluster-store.ts'

/** `state`: the replay of all that is durable. */
export function checkArchive(history: History, { rows, payloads: kept }: Archive, state: State): void {
  const broken = (text: string): void => history.violate('S9', `the history of finished jobs: ${text}`, history.rows.at(-1)?.atMs ?? 0)
  if (rows.length > 0) history.probe('jobs in the history at the end')
  if (rows.length !== state.history.size) broken(`${rows.length} rows for ${state.history.size} jobs`)
  for (const { job, place, payloads, body } of rows) {
    if (state.history.find(job) !== place) broken(`${job} has its row at ${place}, and is known at ${state.history.find(job)}`)
    if (state.jobs.byId.has(job)) broken(`${job} is in the state too`)
    const { view } = decodeKept(body)
    if (view.id !== job || view.state === 'running') broken(`the row of ${job} says that ${view.id} is ${view.state}`)
    for (const payload of payloads) if (!kept.has(payload)) broken(`payload ${payload} of ${job} is gone`)
  }
}
