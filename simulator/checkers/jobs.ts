// Owns S7 (and M5, where the search finds no answer): submits, cancels and questions about each job happened as if one by one.
// Must not use the journal's order: a lying journal is to be found too.
import type { Call, History } from '../history.ts'
import { linearizable, type Model, type Operation } from './linearizable.ts'

/** What is asked about one job. */
export type JobInput =
  | { kind: 'submit'; content: string }
  | { kind: 'reused'; content: string }
  | { kind: 'cancel' }
  | { kind: 'compensate' }
  | { kind: 'rerun' }
  | { kind: 'missing' }
  | { kind: 'status'; state: string }
  | { kind: 'ends'; state: string }

/** A job: not there, or `state content`. `leaving`: it runs, and was asked to end with its compensations. */
export const jobModel: Model<JobInput> = (state, input) => {
  const space = state.indexOf(' ')
  const now = state === '' ? '' : state.slice(0, space)
  const content = state.slice(space + 1)
  const runs = now === 'running' || now === 'leaving'
  switch (input.kind) {
    case 'submit':
      return state === '' ? `running ${input.content}` : content === input.content ? state : undefined
    case 'reused':
      return state !== '' && content !== input.content ? state : undefined
    case 'cancel':
      return state === '' ? undefined : runs ? `cancelled ${content}` : state
    case 'compensate':
      return state === '' ? undefined : runs ? `leaving ${content}` : state
    case 'rerun':
      return now === 'cancelled' || now === 'failed' ? `running ${content}` : undefined
    case 'missing':
      return state === '' ? state : undefined
    case 'status':
      return (runs ? 'running' : now) === input.state ? state : undefined
    case 'ends':
      return runs ? `${input.state} ${content}` : undefined
  }
}

function operationOf(call: Call): Operation<JobInput> | undefined {
  const { operation, key, code } = call
  const known = call.endedMs !== undefined
  const times = { startedMs: call.startedMs, endedMs: call.endedMs ?? Number.POSITIVE_INFINITY, unsure: !known }
  if (code === 'NOT_FOUND') return { input: { kind: 'missing' }, ...times }
  if (code === 'JOB_ID_REUSED') return { input: { kind: 'reused', content: key }, ...times }
  if (known && code !== undefined) return undefined
  if (operation === 'submit') return { input: { kind: 'submit', content: key }, ...times }
  if (operation === 'cancel') return { input: { kind: 'cancel' }, ...times }
  if (operation === 'compensate') return { input: { kind: 'compensate' }, ...times }
  if (operation === 'rerun') return { input: { kind: 'rerun' }, ...times }
  if (operation === 'status' && known) return { input: { kind: 'status', state: String(call.value) }, ...times }
  return undefined
}

/** Looks for an order for each job. `stepsMax`: of one job's search. */
export function checkJobs(history: History, stepsMax?: number): void {
  const byJob = new Map<string, Operation<JobInput>[]>()
  for (const call of history.calls) {
    const operation = call.job === '' ? undefined : operationOf(call)
    if (!operation) continue
    const operations = byJob.get(call.job)
    if (operations) operations.push(operation)
    else byJob.set(call.job, [operation])
  }
  for (const [job, operations] of byJob) {
    const startedMs = Math.min(...operations.map(one => one.startedMs))
    for (const state of ['succeeded', 'failed', 'cancelled'])
      operations.push({ input: { kind: 'ends', state }, startedMs, endedMs: Number.POSITIVE_INFINITY, unsure: true })
    const found = linearizable(operations, '', jobModel, stepsMax)
    if (found === true) continue
    const calls = operations.map(
      ({ input, startedMs: from, endedMs: to }) => `${JSON.stringify(input)} ${from.toFixed(1)}–${to.toFixed(1)}`,
    )
    history.violate(
      found === undefined ? 'M5' : 'S7',
      `${found === undefined ? 'no answer within the limit for' : 'no order explains'} job ${job}: ${calls.join('; ')}`,
      startedMs,
    )
  }
}
