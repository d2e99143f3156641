// Owns `cox workers`: the table of workers.
// Must not start a cluster.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('workers'))
    .summary('the workers, their load and resources')
    .description('Lists the workers: state, pid, load, reserved and offered resources, tasks.')
    .addHelpText('after', '\nExamples:\n  cox workers\n  cox workers --json')
    .action(workers)
}

async function workers(options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { workerLines } = await import('../output/views.ts')
  const view = await withCluster(options, cluster => cluster.workers())
  if (options.json) printJson(view)
  else for (const line of workerLines(view)) printLine(line)
}
