// Owns `cox result ID`: waits for a job and prints its result as JSON.
// Must not change the job: Ctrl-C only stops the waiting.
import type { Command } from 'commander'
import type { Cluster, StepView } from '../../client/index.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('result'))
    .summary("wait for a job's result and print it")
    .description(
      'Waits for the job and prints its result as JSON on stdout (what JSON has no word for: see docs/cli.md). Ctrl-C stops waiting, not the job.',
    )
    .argument('<id>', 'the job')
    .argument('[step]', 'a step of a workflow, by its number or name: what it came to, as far as it has')
    .option('--input', 'what the step was given, instead of what it came to')
    .addHelpText(
      'after',
      '\nExamples:\n  cox result nightly-2026-11-23\n  cox result nightly-2026-11-23 | jq .total\n  cox result nightly-2026-11-23 split\n  cox result nightly-2026-11-23 split --input',
    )
    .action(result)
}

async function result(id: string, step: string | undefined, options: ClusterOptions & { input?: boolean }): Promise<void> {
  if (options.input && step === undefined) {
    const { CoxswainError } = await import('../../protocol/index.ts')
    throw new CoxswainError('USAGE', `--input is for a step: cox result ${id} STEP --input. cox job ${id} shows the steps.`)
  }
  const { printLine } = await import('../output/print.ts')
  const { valueText } = await import('../output/value.ts')
  const value = await withCluster(options, (cluster, signal) =>
    step === undefined ? cluster.job(id).result({ signal }) : ofStep(cluster, id, step, options.input === true),
  )
  printLine(valueText(value, options.json || !process.stdout.isTTY ? 0 : 2))
}

/** What one step came to, or was given. The last one of a name counts. */
async function ofStep(cluster: Cluster, id: string, wanted: string, input: boolean): Promise<unknown> {
  const handle = cluster.job(id)
  let found: StepView | undefined
  for await (const step of handle.steps()) if (String(step.step) === wanted || step.name === wanted) found = step
  if (found) return input ? handle.stepInput(found) : handle.stepResult(found)
  const { CoxswainError } = await import('../../protocol/index.ts')
  throw new CoxswainError('NOT_FOUND', `Job ${id} has no step ${wanted}: cox job ${id} shows them.`, { id })
}
