// Owns reading what a step of a workflow was given, and what it came to, as much as fits into one message.
// Must not look into a value.
import { inputOfStep, jobOf, type KeptJob, type Piece, stepResult } from '../core/index.ts'
import { type ClientToLeader, CoxswainError, type LeaderToClient } from '../protocol/index.ts'
import { readInputs } from './compose.ts'
import type { LeaderContext } from './context.ts'
import { archivedJob, readKept } from './history.ts'

type StepRead = Omit<Extract<LeaderToClient, { kind: 'stepRead' }>, 'kind' | 'request'>
type ReadStep = Extract<ClientToLeader, { kind: 'readStep' }>

/** Bytes of one answer (one item may pass it); the client asks again for the rest. */
const readBytesMax = 4 << 20
/** Results in one piece of an answer. */
const pieceItemsMax = 1000

/** What was asked for, from its item `first` on. Throws the step's error, or why it is not there. */
export async function readStep(context: LeaderContext, asked: ReadStep): Promise<StepRead> {
  const kept = await archivedJob(context, asked.job)
  if (kept) return readKeptStep(context, kept, asked)
  const job = jobOf(context.state, asked.job)
  return asked.part === 'input'
    ? readInput(context, asked, inputOfStep(job, asked.step, asked.first))
    : readResult(context, asked, stepResult(job, asked.step))
}

/** What was just recorded can be read, and told, once it is durable. */
function durable({ loop }: LeaderContext): Promise<void> {
  return new Promise(resolve => loop.whenDurable(resolve))
}

async function readInput(context: LeaderContext, { first }: ReadStep, input: ReturnType<typeof inputOfStep>): Promise<StepRead> {
  await durable(context)
  const answer: StepRead = { list: input.list, chunks: [], failure: undefined, next: input.next }
  let bytes = 0
  for (const [position, inputs] of input.tasks.entries()) {
    if (bytes >= readBytesMax) return { ...answer, next: first + position }
    for (const chunk of await readInputs(context.payloads, [inputs], gone)) {
      answer.chunks.push(chunk)
      bytes += chunk.length
    }
  }
  return answer
}

/** The job may be forgotten while it is read: then its payloads are gone. */
function gone(): boolean {
  return false
}

async function readResult(context: LeaderContext, { first }: ReadStep, result: ReturnType<typeof stepResult>): Promise<StepRead> {
  await durable(context)
  if ('failure' in result) return { list: false, chunks: [], failure: result, next: undefined }
  const answer: StepRead = { list: result.list, chunks: [], failure: undefined, next: undefined }
  let bytes = 0
  let next = first
  for (const piece of piecesFrom(result.pieces, first)) {
    if (bytes >= readBytesMax) return { ...answer, next }
    const chunk = await context.payloads.readPiece(piece, gone)
    answer.chunks.push(chunk)
    bytes += chunk.length
    next += piece.count
  }
  return answer
}

/** The pieces without their first `skip` items, none of them long. */
function* piecesFrom(pieces: readonly Piece[], skip: number): Generator<Piece> {
  let passed = 0
  for (const { payload, from, count } of pieces) {
    for (let at = Math.max(0, skip - passed); at < count; at += pieceItemsMax)
      yield { payload, from: from + at, count: Math.min(pieceItemsMax, count - at) }
    passed += count
  }
}

/** The history keeps results of tasks, and some failures. */
async function readKeptStep(context: LeaderContext, kept: KeptJob, { step, part, first }: ReadStep): Promise<StepRead> {
  const { id } = kept.view
  const range = part === 'result' ? kept.stepResults?.[step] : undefined
  if (range) {
    const { parts, next } = await readKept(context, kept, range.stage, range.first + first, range.count - first)
    const chunks = parts.map(({ items }) => items)
    if (chunks.length === 0 && range.count > first)
      throw new CoxswainError('RESULT_GONE', `The result of step ${step} of job ${id} is not kept any more.`, { id })
    return { list: range.list, chunks, failure: undefined, next: next === undefined ? undefined : next - range.first }
  }
  const view = kept.steps?.[step]
  const failure = part === 'result' && view?.tasks ? failureIn(kept, view.stage!, view.first!, view.tasks.total) : undefined
  if (failure) return { list: false, chunks: [], failure: { stage: view!.stage!, failure }, next: undefined }
  throw new CoxswainError('JOB_ARCHIVED', `Job ${id} is only in the history, which does not keep the ${part} of its step ${step}.`, { id })
}

function failureIn(kept: KeptJob, stage: number, first: number, count: number): NonNullable<StepRead['failure']>['failure'] | undefined {
  return kept.stages[stage]?.failures.find(({ index }) => index >= first && index < first + count)
}
