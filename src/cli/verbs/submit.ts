// Owns `cox submit FILE#TASK`: it hands a job over and prints its id.
// Must not wait for the result, and must not start a cluster: the job would end with it.
import type { Command } from 'commander'
import { withCluster } from '../cluster.ts'
import { type CallOptions, readInput, submitOptions, withCallOptions } from './run.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withCallOptions(program.command('submit'))
    .summary('submit a job and print its id')
    .description('Imports FILE, submits a job that runs the task, and prints its id as soon as it is durable. The job goes on by itself.')
    .addHelpText(
      'after',
      '\nExamples:\n  cox submit tasks.ts#nightly --id nightly-2026-11-23\n  cox result $(cox submit tasks.ts#sum --input @numbers.json)',
    )
    .action(submit)
}

async function submit(reference: string, options: CallOptions): Promise<void> {
  const { loadTask } = await import('../load-task.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const input = await readInput(options.input)
  const task = await loadTask(reference)
  const id = await withCluster(options, async cluster => (await cluster.submit(task, input, submitOptions(options, true))).id)
  if (options.json) printJson({ job: id })
  else printLine(harmless(id))
}
