// Owns how test results are shown: one line per file, every failure in full, at the end node's own summary lines.
// Must not swallow a failure, or what a failed file wrote.
import { relative } from 'node:path'
import { inspect } from 'node:util'
import { root } from './steps.ts'

interface TestEvent {
  type: string
  data: {
    name?: string
    file?: string
    nesting?: number
    message?: string
    line?: number
    details?: { type?: string; duration_ms?: number; error?: Error & { cause?: unknown; failureType?: string } }
    skip?: boolean | string
    summary?: {
      files: { path: string; coveredLinePercent: number; coveredBranchPercent: number; lines: { line: number; count: number }[] }[]
      totals: Percentages
    }
  }
}

interface Percentages {
  coveredLinePercent: number
  coveredBranchPercent: number
  coveredFunctionPercent: number
}

/** Output kept per file until it is known whether the file failed. */
const outputCharactersMax = 64 << 10

function place(data: TestEvent['data']): string {
  return data.file ? `${relative(root, data.file)}${data.line ? `:${data.line}` : ''}` : ''
}

function failure(path: readonly string[], data: TestEvent['data']): string {
  const error = data.details?.error
  const cause = error?.cause ?? error
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause)
  const more = cause instanceof Error && cause.cause !== undefined ? `\ncause: ${inspect(cause.cause)}` : ''
  return `\n✖ ${path.join(' › ')} (${place(data)})\n${`${text}${more}`.replace(/^/gm, '  ')}\n`
}

/** Percentages of the whole, then the files and lines that are not covered. */
function coverage(summary: NonNullable<TestEvent['data']['summary']>): string {
  const percent = (value: number): string => `${value.toFixed(1)} %`
  let text = `coverage: lines ${percent(summary.totals.coveredLinePercent)}, branches ${percent(summary.totals.coveredBranchPercent)}, functions ${percent(summary.totals.coveredFunctionPercent)}\n`
  for (const file of summary.files) {
    if (file.coveredLinePercent >= 95 && file.coveredBranchPercent >= 90) continue
    const missed = file.lines.filter(line => line.count === 0).map(line => line.line)
    text += `  ${relative(root, file.path)}: lines ${percent(file.coveredLinePercent)}, branches ${percent(file.coveredBranchPercent)}${missed.length > 0 ? `; not run: ${missed.slice(0, 30).join(' ')}` : ''}\n`
  }
  return text
}

interface Count {
  passed: number
  failed: number
  skipped: number
  durationMs: number
}

/** One line about a file. */
function line(file: string, { passed, failed, durationMs }: Count): string {
  return `${failed > 0 ? '✖' : '✔'} ${relative(root, file)} (${passed} passed${failed > 0 ? `, ${failed} failed` : ''}, ${(durationMs / 1000).toFixed(1)} s)\n`
}

/** What a failed file wrote. */
function words(text: string | undefined): string {
  return text ? `--- what it wrote ---\n${text.trimEnd()}\n---\n` : ''
}

/** A reporter for `node --test --test-reporter`. */
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const counts = new Map<string, Count>()
  const output = new Map<string, string>()
  for await (const { type, data } of source) {
    const file = data.file ?? ''
    const count = counts.get(file) ?? { passed: 0, failed: 0, skipped: 0, durationMs: 0 }
    if (file !== '') counts.set(file, count)
    if ((type === 'test:pass' || type === 'test:fail') && data.nesting === 0) count.durationMs += data.details?.duration_ms ?? 0
    const isTest = data.details?.type !== 'suite'
    if (type === 'test:stdout' || type === 'test:stderr')
      output.set(file, `${output.get(file) ?? ''}${data.message}`.slice(-outputCharactersMax))
    else if (type === 'test:pass' && isTest) {
      if (data.skip) {
        count.skipped++
        yield `skipped: ${data.name} (${place(data)})${typeof data.skip === 'string' ? `: ${data.skip}` : ''}\n`
      } else count.passed++
    } else if (type === 'test:fail') {
      // A suite that failed only because of a test within it has been told by that test.
      if (data.details?.error?.failureType === 'subtestsFailed') continue
      count.failed++
      yield failure([data.name ?? ''], data)
    } else if (type === 'test:summary' && data.file) {
      yield line(file, { ...count, durationMs: (data as { duration_ms?: number }).duration_ms ?? 0 })
      if (count.failed > 0) yield words(output.get(file))
      output.delete(file)
      counts.delete(file)
    } else if (type === 'test:coverage' && data.summary) yield coverage(data.summary)
    else if (type === 'test:diagnostic' && (data.nesting ?? 0) === 0) {
      // A file that could not be loaded, or was ended, never came to its summary; files that share a process have none of their own.
      for (const [path, one] of counts) {
        if (one.passed + one.failed > 0) yield line(path, one)
        if (one.failed > 0) yield words(output.get(path))
      }
      counts.clear()
      output.clear()
      yield `ℹ ${data.message}\n`
    }
  }
}
