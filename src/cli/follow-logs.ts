// Owns following a job's log to its end: workers go on sending until they are told to stop, so somebody has to know when that is.
// Must not print.
import type { JobHandle, LogLine, LogsOptions } from '../client/index.ts'

const statusEveryMs = 250

/** The lines of a job, those to come too, until `ended` settles; then what is still missing. */
export async function* followLogs(handle: JobHandle<unknown>, ended: Promise<unknown>, options: LogsOptions): AsyncGenerator<LogLine> {
  const { signal, ...wanted } = options
  const over = new AbortController()
  const isOver = (): void => over.abort()
  ended.then(isOver, isOver)
  const shown = new Map<string, number>()
  const signals = signal ? [over.signal, signal] : [over.signal]
  try {
    for await (const line of handle.logs({ ...wanted, follow: true, signal: AbortSignal.any(signals) })) {
      count(shown, line)
      yield line
    }
  } catch (error) {
    if (!over.signal.aborted || signal?.aborted) throw error
  }
  // The last lines and the end of the job come by different ways: what is kept is complete now.
  const seen = new Map<string, number>()
  for await (const line of handle.logs(options)) if (count(seen, line) > (shown.get(attemptOf(line)) ?? 0)) yield line
}

function attemptOf(line: LogLine): string {
  return `${line.stage}/${line.index}/${line.attempt}`
}

function count(counts: Map<string, number>, line: LogLine): number {
  const next = (counts.get(attemptOf(line)) ?? 0) + 1
  counts.set(attemptOf(line), next)
  return next
}

/** Resolves when the job has ended. It is asked for, not watched: who watches is sent all its results. */
export async function jobEnded(handle: JobHandle<unknown>, signal: AbortSignal): Promise<void> {
  while ((await handle.status()).state === 'running') {
    signal.throwIfAborted()
    await new Promise<void>(resolve => setTimeout(resolve, statusEveryMs))
  }
}
