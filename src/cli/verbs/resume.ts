// Owns `cox resume ID`.
// Must not report success before it is durable.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('resume'))
    .summary('let a paused job go on')
    .description('A paused job goes on where it stands. Returns when that is durable.')
    .argument('<id>', 'the job')
    .addHelpText('after', '\nExamples:\n  cox resume nightly-2026-11-23')
    .action(resume)
}

async function resume(id: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  await withCluster(options, cluster => cluster.job(id).resume())
  if (options.json) printJson({ job: id, paused: false })
  else printLine(`Resumed: ${harmless(id)}.`)
}
