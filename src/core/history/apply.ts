// Owns what the facts about the history do to the state: jobs that go there, and what goes from there.
// Must not choose anything, and must not hold what the rows hold.
import type { Range, RecordOf, TaskBlock } from '../../protocol/index.ts'
import { forgetFlow } from '../flows/events.ts'
import { dropBlock, dropInputs, forgetResults } from '../jobs/accounts.ts'
import type { Job } from '../jobs/state.ts'
import type { State } from '../state.ts'
import { keptStages } from './kept.ts'

export function applyJobsArchived(state: State, record: RecordOf<'JobsArchived'>): void {
  for (const id of record.jobs) {
    const job = state.jobs.byId.get(id)
    if (!job || !state.jobs.finished.has(job)) throw new Error(`no finished job ${id}`)
    archive(state, job)
  }
}

/** Its row has what it has: payloads of results are the row's from here on, those of all else go. */
function archive(state: State, job: Job): void {
  const { history } = state
  const kept = keptStages(job)
  const blocks: TaskBlock[] = []
  let bytes = 0
  for (const stage of job.stages) {
    dropInputs(state, stage, { first: 0, count: stage.added })
    if (!kept.has(stage)) forgetResults(state, stage)
  }
  for (const stage of kept) {
    for (const segment of stage.results) {
      bytes += segment.bytes
      state.payloadUses.delete(segment.payload)
    }
    blocks.push(...stage.resultBlocks.values())
  }
  forgetFlow(state, job)
  const place = history.end
  state.jobs.resultBytes += history.add(job.plan.job, job.plan.contentHash, job.finishedAtMs, bytes) - bytes
  if (blocks.length > 0) history.blocks.set(place, blocks)
  state.jobs.finished.delete(job)
  state.jobs.byId.delete(job.plan.job)
}

export function applyHistoryEmptied(state: State, { first, count }: RecordOf<'HistoryEmptied'>): void {
  const { history } = state
  if (first !== history.emptiedTo) throw new Error(`the history was emptied from ${first} on, and is up to ${history.emptiedTo}`)
  checkKnown(state, { first, count })
  for (let place = first; place < first + count; place++) empty(state)
}

export function applyHistoryForgotten(state: State, { first, count }: RecordOf<'HistoryForgotten'>): void {
  const { history } = state
  if (first !== history.first) throw new Error(`the history was forgotten from ${first} on, and begins at ${history.first}`)
  checkKnown(state, { first, count })
  for (let place = first; place < first + count; place++) {
    if (history.emptiedTo === place) empty(state)
    history.forget()
  }
}

function checkKnown(state: State, { first, count }: Range): void {
  if (first + count > state.history.end) throw new Error(`the history ends at ${state.history.end}, before ${first + count}`)
}

/** The results of the next job go: their payloads with the row's, their blocks here. */
function empty(state: State): void {
  const { history } = state
  for (const { block, holder } of history.blocks.get(history.emptiedTo) ?? []) dropBlock(state, block, holder)
  state.jobs.resultBytes -= history.bytesAt(history.emptiedTo)
  history.empty()
}
