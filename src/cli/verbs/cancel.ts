// Owns `cox cancel ID`.
// Must not report success before the cancelling is durable.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

interface CancelOptions extends ClusterOptions {
  compensate?: boolean
  reason?: string
}

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('cancel'))
    .summary('cancel a job')
    .description('Cancels a job: what waits never starts, what runs is told to stop and then stopped. Returns when that is durable.')
    .argument('<id>', 'the job')
    .option('--reason <text>', 'why, for its story')
    .option('--compensate', 'of a workflow: run its compensations first; cancelled once more without this, it ends at once')
    .addHelpText('after', '\nExamples:\n  cox cancel nightly-2026-11-23 --reason "wrong day"\n  cox cancel order-17 --compensate')
    .action(cancel)
}

async function cancel(id: string, options: CancelOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const compensate = options.compensate === true
  const compensating = await withCluster(options, async cluster => {
    const job = cluster.job(id)
    await job.cancel(options.reason ?? 'cancelled by cox cancel', { compensate })
    return compensate && (await job.status()).cancelling === true
  })
  if (options.json) printJson({ job: id, cancelled: true, compensating })
  else if (compensating) printLine(`Being cancelled: ${harmless(id)}. Its compensations run first: cox job ${harmless(id)}.`)
  else printLine(`Cancelled: ${harmless(id)}.`)
}
