// Owns `cox run FILE#TASK`: one call of a task, its logs on stderr, its result as JSON on stdout.
// Must not leave the job running when it is interrupted: it started it.
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { JobHandle, SubmitOptions } from '../../client/index.ts'
import { durationArgument, integerArgument, textsArgument } from '../arguments.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Options of `cox run` and `cox submit`. */
export interface CallOptions extends ClusterOptions {
  input?: string
  id?: string
  labels?: string[]
  priority?: number
  key?: string
  concurrency?: number
  whenBusy?: 'queue' | 'cancel' | 'reject'
  timeout?: number
  quiet?: boolean
}

const priorityMax = 100
const concurrencyMax = 1_000_000
/** So long the end of a finished job's logs is waited for. */
const logsEndMsMax = 2_000

/** Adds argument and options of a call to a verb. */
export function withCallOptions(command: Command): Command {
  return withClusterOptions(command)
    .argument('<file#task>', 'the module and the task that it exports, such as tasks.ts#resize', checkReference)
    .option('--input <json>', 'the input: JSON, @FILE, or - for stdin')
    .option('--id <job>', 'id of the job: the same id with the same content is the same job')
    .option('--labels <names>', 'labels of the job', textsArgument)
    .option('--priority <n>', 'higher goes first, -100 to 100', integerArgument(-priorityMax, priorityMax))
    .option('--key <text>', 'of all jobs with this key one runs at a time, or --concurrency of them')
    .option('--concurrency <n>', 'how many jobs with the key run at once', integerArgument(1, concurrencyMax))
    .addOption(
      new Option('--when-busy <rule>', 'if as many run: wait, cancel the oldest, or be refused').choices(['queue', 'cancel', 'reject']),
    )
    .option('--timeout <duration>', 'let it fail with RUN_TIMEOUT so long after its start', durationArgument)
}

function checkReference(text: string): string {
  if (text === '' || text.startsWith('#')) throw new InvalidArgumentError('It must be FILE#TASK.')
  return text
}

/** Declares the verb. */
export function declare(program: Command): void {
  withCallOptions(program.command('run'))
    .summary('run a task and print its result')
    .description(
      'Imports FILE, runs the task that it exports, shows its logs on stderr and its result as JSON on stdout. Starts a cluster for itself if none is up.',
    )
    .option('--quiet', "do not show the task's logs")
    .addHelpText(
      'after',
      `
Examples:
  cox run tasks.ts#greet --input '"world"'
  cox run tasks.ts#resize --input @input.json > result.json
  echo '{"n": 3}' | cox run tasks.ts#sum --input -
  cox run tasks.ts#nightly --key nightly --when-busy reject --timeout 2h`,
    )
    .action(run)
}

/** The input that the options name. */
export async function readInput(text: string | undefined, whence = '--input'): Promise<unknown> {
  if (text === undefined) return undefined
  const { parseValue } = await import('../output/value.ts')
  if (text !== '-' && !text.startsWith('@')) return parseValue(text, whence)
  const { readFileSync } = await import('node:fs')
  const { CoxswainError } = await import('../../protocol/index.ts')
  try {
    return parseValue(readFileSync(text === '-' ? 0 : text.slice(1), 'utf8'), text === '-' ? 'stdin' : text.slice(1))
  } catch (error) {
    if (error instanceof CoxswainError) throw error
    throw new CoxswainError('USAGE', `${whence} ${text} cannot be read: ${(error as Error).message}`)
  }
}

/** What the options say about the job. Throws USAGE for those that say nothing without another one. */
export async function submitOptions(options: CallOptions, detached: boolean): Promise<SubmitOptions> {
  const { id, labels, priority, key, concurrency, whenBusy, timeout } = options
  if (key === undefined && (concurrency !== undefined || whenBusy !== undefined)) {
    const { CoxswainError } = await import('../../protocol/index.ts')
    throw new CoxswainError('USAGE', '--concurrency and --when-busy say how many jobs of a key may run: name it with --key.')
  }
  const wanted: SubmitOptions = { detached }
  if (id !== undefined) wanted.id = id
  if (labels !== undefined) wanted.labels = labels
  if (priority !== undefined) wanted.priority = priority
  if (key !== undefined) wanted.concurrencyKey = key
  if (concurrency !== undefined) wanted.concurrency = concurrency
  if (whenBusy !== undefined) wanted.whenBusy = whenBusy
  if (timeout !== undefined) wanted.timeout = timeout
  return wanted
}

async function showLogs(handle: JobHandle<unknown>): Promise<void> {
  const { printNotice } = await import('../output/print.ts')
  const { logText } = await import('../output/logs.ts')
  try {
    for await (const line of handle.logs({ follow: true })) printNotice(logText(line, false))
  } catch {
    // Logs are no part of the result: what is missing of them is in `cox logs`.
  }
}

async function run(reference: string, options: CallOptions): Promise<void> {
  const { loadTask } = await import('../load-task.ts')
  const { printLine } = await import('../output/print.ts')
  const { valueText } = await import('../output/value.ts')
  const wanted = await submitOptions(options, false)
  const input = await readInput(options.input)
  const task = await loadTask(reference)
  const value = await withCluster(
    options,
    async (cluster, interrupted) => {
      const handle = await cluster.submit(task, input, wanted)
      const result = handle.result({ signal: interrupted })
      const logs = options.quiet ? Promise.resolve() : showLogs(handle)
      try {
        return await result
      } catch (error) {
        if (!interrupted.aborted) throw error
        await handle.cancel('interrupted')
        throw interrupted.reason
      } finally {
        await Promise.race([logs, new Promise(resolve => setTimeout(resolve, logsEndMsMax).unref())])
      }
    },
    { start: true, endsItself: true },
  )
  printLine(valueText(value, options.json || !process.stdout.isTTY ? 0 : 2))
}
