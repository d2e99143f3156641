// Owns what a task asks to be done with its result: entries to write, signals to send, jobs to submit, as plain data.
// Must not send anything: it goes with the task's outcome, or not at all.
import { createHash, randomUUID } from 'node:crypto'
import { ChunkWriter, CoxswainError, checkJobId, itemInline, limits, type Outcome, writeValue } from '../../../protocol/index.ts'
import { expansionOf } from './results.ts'

type Committed = Extract<Outcome, { kind: 'committed' }>
/** What goes with a result. */
export type Commit = Pick<Committed, 'exchange' | 'jobs'>

/** What of a definition matters here: the program has its own copy of all classes. */
interface Definition {
  kind?: unknown
  name?: unknown
  policy?: Pick<Committed['jobs'][number]['stages'][number], 'resources' | 'retry' | 'timeoutMs'>
  run?: (input: unknown) => unknown
}

interface Changes {
  state?: readonly { space: string; key: string; value?: unknown; version?: number }[]
  signal?: readonly { job: string; name: string; payload?: unknown; id?: string }[]
  submit?: readonly { task: unknown; input?: unknown; id?: string; labels?: readonly string[]; priority?: number }[]
}

function invalid(message: string): never {
  throw new CoxswainError('INVALID_ARGUMENT', `ctx.commit: ${message}.`)
}

function encoded(value: unknown, what: string): Buffer {
  const chunk = new ChunkWriter()
  const item = chunk.beginItem()
  item.byte(itemInline)
  writeValue(item, value, what)
  if (item.length > limits.inlineBytesMax)
    throw new CoxswainError(
      'VALUE_CANNOT_TRAVEL',
      `ctx.commit: ${what} is larger than ${limits.inlineBytesMax} bytes: keep it elsewhere, and its place here.`,
    )
  chunk.endItem()
  return chunk.finish()
}

function jobOf({ task, input, id, labels, priority }: NonNullable<Changes['submit']>[number]): Commit['jobs'][number] {
  const { kind, name, policy, run } = (typeof task === 'object' && task ? task : {}) as Definition
  if ((kind !== 'task' && kind !== 'workflow') || typeof name !== 'string' || !policy || typeof run !== 'function')
    return invalid('what is to be submitted is neither a task nor a workflow')
  const built = kind === 'workflow' ? expansionOf(run(input)) : undefined
  const { resources, retry, timeoutMs } = policy
  const stages = built?.stages ?? [{ task: name, program: '', resources, retry, timeoutMs, edges: [] }]
  const inputs = built?.inputs ?? [{ stage: 0, first: 0, items: encoded(input, `the input of ${name}`), blocks: [], seal: true }]
  const hash = createHash('sha256').update(JSON.stringify([kind, name, stages, built?.flow, built?.policies]))
  for (const one of inputs) hash.update(one.items)
  return {
    job: id === undefined ? randomUUID() : checkJobId(id),
    name,
    contentHash: hash.digest('hex'),
    labels: [...(labels ?? [])],
    priority: priority ?? 0,
    stages,
    inputs,
    flow: built?.flow,
    policies: built?.policies ?? [],
  }
}

/** What is to be done with the result, and what was asked before. Throws INVALID_ARGUMENT or VALUE_CANNOT_TRAVEL. */
export function addedTo(before: Commit | undefined, changes: unknown): Commit {
  const { state = [], signal = [], submit = [] } = (typeof changes === 'object' && changes ? changes : {}) as Changes
  if (!Array.isArray(state) || !Array.isArray(signal) || !Array.isArray(submit)) return invalid('state, signal and submit are lists')
  const exchange = before?.exchange ?? { checks: [], writes: [], grants: [], signals: [] }
  for (const one of state as NonNullable<Changes['state']>) {
    const { space, key, version } = one
    if (typeof space !== 'string' || space === '' || typeof key !== 'string' || key === '')
      return invalid('each change names a space and a key')
    if (exchange.writes.some(other => other.space === space && other.key === key)) return invalid(`${space}/${key} is changed twice`)
    exchange.writes.push({ space, key, item: 'value' in one ? encoded(one.value, `${space}/${key}`) : undefined })
    if (version !== undefined) exchange.checks.push({ space, key, version })
  }
  for (const { job, name, payload, id } of signal as NonNullable<Changes['signal']>) {
    if (typeof job !== 'string' || job === '' || typeof name !== 'string' || name === '')
      return invalid('each signal names a job and itself')
    exchange.signals.push({ job, name, signal: id ?? randomUUID(), item: encoded(payload, `the payload of signal ${name}`) })
  }
  const jobs = [...(before?.jobs ?? []), ...(submit as NonNullable<Changes['submit']>).map(jobOf)]
  const { transactionEntriesMax: entries, transactionSignalsMax: signals, transactionJobsMax: submits } = limits
  if (exchange.writes.length > entries || exchange.signals.length > signals || jobs.length > submits)
    return invalid(`at most ${entries} changes, ${signals} signals and ${submits} jobs go with one result`)
  return { exchange, jobs }
}
