// Owns `cox submit FILE#TASK`: it hands a job over and prints its id.
// Must not wait for the result, and must not start a cluster: the job would end with it.
import type { Command } from 'commander'
import { withCluster } from '../cluster.ts'
import type { AnyTask } from '../load-task.ts'
import { type CallOptions, readInput, submitOptions, withCallOptions } from './run.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withCallOptions(program.command('submit'))
    .summary('submit a job and print its id')
    .description('Imports FILE, submits a job that runs the task, and prints its id as soon as it is durable. The job goes on by itself.')
    .option('--dry-run', 'print the steps of a workflow and submit nothing; no cluster is needed')
    .addHelpText(
      'after',
      '\nExamples:\n  cox submit tasks.ts#nightly --id nightly-2026-11-23\n  cox submit tasks.ts#import --key imports --concurrency 2 --timeout 1h\n  cox result $(cox submit tasks.ts#sum --input @numbers.json)\n  cox submit tasks.ts#nightly --dry-run',
    )
    .action(submit)
}

interface SubmitVerbOptions extends CallOptions {
  dryRun?: boolean
}

/** What would be submitted. */
async function showSteps(definition: AnyTask, input: unknown, { json }: CallOptions): Promise<void> {
  const { dryRun } = await import('../../client/index.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { stepLines } = await import('../output/flow.ts')
  const { CoxswainError } = await import('../../protocol/index.ts')
  if (definition.kind !== 'workflow')
    throw new CoxswainError('USAGE', `${definition.name} is a task, not a workflow: it has no steps to show.`)
  const steps = await dryRun(definition, input)
  if (json) printJson(steps)
  else for (const line of stepLines(steps)) printLine(line)
}

async function submit(reference: string, options: SubmitVerbOptions): Promise<void> {
  const { loadTask } = await import('../load-task.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const wanted = await submitOptions(options, true)
  const input = await readInput(options.input)
  const task = await loadTask(reference)
  if (options.dryRun) return showSteps(task, input, options)
  const id = await withCluster(options, async cluster => (await cluster.submit(task, input, wanted)).id)
  if (options.json) printJson({ job: id })
  else printLine(harmless(id))
}
