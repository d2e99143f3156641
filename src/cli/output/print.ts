// Owns what goes to stdout and stderr: answers, JSON, errors with their advice. Nobody else in the CLI writes there.
// Must not choose exit codes: that is exit.ts.
import { CoxswainError, TaskFailedError } from '../../protocol/errors.ts'
import { harmless, harmlessLines, styled } from './text.ts'

/** A line of an answer. */
export function printLine(line = ''): void {
  process.stdout.write(`${line}\n`)
}

/** An answer for programs: one line of JSON. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

/** A line for people beside the answer. */
export function printNotice(line: string): void {
  process.stderr.write(`${line}\n`)
}

let endsWithItsReader = true

/** Whoever reads our output may go away (`cox jobs | head`): that is no error, and then we may go too. */
export function endQuietlyOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      if (endsWithItsReader) process.exit(process.exitCode ?? 0)
    })
  }
}

/** From now on this process goes on although nobody reads its output. */
export function outliveReaders(): void {
  endsWithItsReader = false
}

/** Resolves when everything printed so far was taken by the system, so that the process may end. */
export async function drained(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) await new Promise<void>(resolve => stream.write('', () => resolve()))
}

interface ErrorJson {
  code: string
  message: string
  advice: string
  id?: string
  retryAfterMs?: number
  task?: string
  remoteStack?: string
  attempts?: unknown
  story?: string
}

const bugAdvice = 'This is a mistake in Coxswain; please report it with what you did. COX_DEBUG=1 prints the stack.'

/** An error as an object for programs. */
export function errorJson(error: unknown): ErrorJson {
  if (!(error instanceof CoxswainError))
    return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error), advice: bugAdvice }
  const { code, message, advice, id, retryAfterMs } = error
  return {
    code,
    message,
    advice,
    ...(id === undefined ? {} : { id }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(error instanceof TaskFailedError
      ? { task: error.task, remoteStack: error.remoteStack, attempts: error.attempts, story: error.story }
      : {}),
  }
}

/** Prints an error: for people `cox: CODE: message` and the advice on stderr, for programs an object on stdout. */
export function printError(error: unknown, json: boolean): void {
  if (json) {
    printJson({ error: errorJson(error) })
    return
  }
  const { code, message, advice } = errorJson(error)
  printNotice(`${styled('red', `cox: ${code}:`, process.stderr)} ${harmlessLines(message)}`)
  if (error instanceof TaskFailedError) {
    if (error.remoteStack) printNotice(harmlessLines(error.remoteStack))
    for (const attempt of error.attempts)
      printNotice(`  attempt ${attempt.attempt} on ${harmless(attempt.worker)}: ${attempt.code}: ${harmless(attempt.message)}`)
    printNotice(`  Its story: ${harmless(error.story)}`)
  }
  printNotice(advice)
  if (process.env.COX_DEBUG && error instanceof Error) printNotice(error.stack ?? '')
}
