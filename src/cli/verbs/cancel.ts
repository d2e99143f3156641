// Owns `cox cancel ID`.
// Must not report success before the cancelling is durable.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

interface CancelOptions extends ClusterOptions {
  reason?: string
}

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('cancel'))
    .summary('cancel a job')
    .description('Cancels a job: what waits never starts, what runs is told to stop and then stopped. Returns when that is durable.')
    .argument('<id>', 'the job')
    .option('--reason <text>', 'why, for its story')
    .addHelpText('after', '\nExamples:\n  cox cancel nightly-2026-11-23 --reason "wrong day"')
    .action(cancel)
}

async function cancel(id: string, options: CancelOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  await withCluster(options, cluster => cluster.job(id).cancel(options.reason ?? 'cancelled by cox cancel'))
  if (options.json) printJson({ job: id, cancelled: true })
  else printLine(`Cancelled: ${harmless(id)}.`)
}
