// Owns `cox result ID`: waits for a job and prints its result as JSON.
// Must not change the job: Ctrl-C only stops the waiting.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('result'))
    .summary("wait for a job's result and print it")
    .description(
      'Waits for the job and prints its result as JSON on stdout (what JSON has no word for: see docs/cli.md). Ctrl-C stops waiting, not the job.',
    )
    .argument('<id>', 'the job')
    .addHelpText('after', '\nExamples:\n  cox result nightly-2026-11-23\n  cox result nightly-2026-11-23 | jq .total')
    .action(result)
}

async function result(id: string, options: ClusterOptions): Promise<void> {
  const { printLine } = await import('../output/print.ts')
  const { valueText } = await import('../output/value.ts')
  const value = await withCluster(options, (cluster, signal) => cluster.job(id).result({ signal }))
  printLine(valueText(value, options.json || !process.stdout.isTTY ? 0 : 2))
}
