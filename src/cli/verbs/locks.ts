// Owns `cox locks [PREFIX]`: who holds which lock, and who waits.
// Must not take or release any.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('locks'))
    .summary('who holds which lock, and who waits')
    .description(
      'Lists the locks and semaphores that somebody holds: their holders with fencing tokens, and those who wait, in their order.',
    )
    .argument('[prefix]', 'only those whose names begin with this')
    .addHelpText('after', '\nExamples:\n  cox locks\n  cox locks accounts/')
    .action(locks)
}

async function locks(prefix: string | undefined, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { lockLines } = await import('../output/views.ts')
  const { view, timeMs } = await withCluster(options, async cluster => ({
    view: await cluster.locks(prefix),
    timeMs: (await cluster.status()).timeMs,
  }))
  if (options.json) printJson(view)
  else if (view.length === 0) printLine('No lock is held.')
  else for (const line of lockLines(view, timeMs)) printLine(line)
}
