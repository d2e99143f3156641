// Owns `cox jobs`: the list of jobs, newest first.
// Must not start a cluster.
import { type Command, Option } from 'commander'
import type { JobState, JobsQuery } from '../../protocol/index.ts'
import { integerArgument, momentArgument } from '../arguments.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

interface JobsOptions extends ClusterOptions {
  state?: JobState
  name?: string
  label?: string
  prefix?: string
  since?: number
  until?: number
  limit: number
  before?: string
}

const limitMax = 1000
const limitDefault = 50

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('jobs'))
    .summary('the jobs, newest first')
    .description('Lists jobs, newest first: those that run, those that ended lately, and those in the history.')
    .addOption(new Option('--state <state>', 'only jobs in this state').choices(['running', 'succeeded', 'failed', 'cancelled']))
    .option('--name <name>', 'only jobs of this name')
    .option('--label <label>', 'only jobs with this label')
    .option('--prefix <text>', 'only jobs whose id begins so')
    .option('--since <time>', 'only jobs submitted then or later: a duration back, such as 2d, or a date', momentArgument)
    .option('--until <time>', 'only jobs submitted before then', momentArgument)
    .option('--limit <n>', 'at most so many', integerArgument(1, limitMax), limitDefault)
    .option('--before <job>', 'only jobs submitted before this one (for the next page)')
    .addHelpText(
      'after',
      '\nExamples:\n  cox jobs\n  cox jobs --state failed --name nightly --since 2d\n  cox jobs --label eu --until 2026-11-01 --limit 10',
    )
    .action(jobs)
}

async function jobs(options: JobsOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { jobLines } = await import('../output/views.ts')
  const { state, name, label, prefix, since, until, limit, before } = options
  const query: JobsQuery = { limit }
  if (state !== undefined) query.state = state
  if (name !== undefined) query.name = name
  if (label !== undefined) query.label = label
  if (prefix !== undefined) query.prefix = prefix
  if (since !== undefined) query.sinceMs = since
  if (until !== undefined) query.untilMs = until
  if (before !== undefined) query.before = before
  const view = await withCluster(options, cluster => cluster.jobs(query))
  if (options.json) printJson(view)
  else if (view.length === 0) printLine('No such jobs.')
  else for (const line of jobLines(view)) printLine(line)
}
