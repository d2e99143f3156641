// Owns `cox drain WORKER`: the worker takes no new work and ends when it has none.
// Must not stop what runs.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('drain'))
    .summary('let a worker finish its work and take no more')
    .description('The worker takes no new work; what it has it finishes.')
    .argument('<worker>', 'the worker')
    .addHelpText('after', '\nExamples:\n  cox drain worker-2')
    .action(drain)
}

async function drain(worker: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  await withCluster(options, cluster => cluster.drainWorker(worker))
  if (options.json) printJson({ worker, draining: true })
  else printLine(`Draining: ${harmless(worker)}.`)
}
