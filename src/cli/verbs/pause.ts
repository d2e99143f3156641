// Owns `cox pause ID`.
// Must not report success before it is durable.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('pause'))
    .summary('let no more of a job begin')
    .description('From now on no task of the job begins: what runs runs on, signals and times are taken in. Returns when that is durable.')
    .argument('<id>', 'the job')
    .addHelpText('after', '\nExamples:\n  cox pause nightly-2026-11-23')
    .action(pause)
}

async function pause(id: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  await withCluster(options, cluster => cluster.job(id).pause())
  if (options.json) printJson({ job: id, paused: true })
  else printLine(`Paused: ${harmless(id)}.`)
}
