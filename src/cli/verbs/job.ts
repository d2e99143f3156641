// Owns `cox job ID`: one job in full.
// Must not start a cluster.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('job'))
    .summary('one job in full')
    .description('Shows one job: its state, stages, counts of tasks and what they ask for.')
    .argument('<id>', 'the job')
    .addHelpText('after', '\nExamples:\n  cox job nightly-2026-11-23\n  cox job nightly-2026-11-23 --json')
    .action(job)
}

async function job(id: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { jobText } = await import('../output/views.ts')
  const view = await withCluster(options, async cluster => await cluster.job(id).status())
  if (options.json) printJson(view)
  else for (const line of jobText(view)) printLine(line)
}
