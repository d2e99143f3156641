// Owns `cox triggers`: which there are, what starts them, and how often that happened.
// Must not change any: `cox trigger` does.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('triggers'))
    .summary('the triggers, and which events start them')
    .description('Lists the triggers: the event and key that start them, what they run, how often they did, and the last run.')
    .addHelpText('after', '\nExamples:\n  cox triggers\n  cox trigger pause on-order')
    .action(triggers)
}

async function triggers(options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { triggerLines } = await import('../output/views.ts')
  const view = await withCluster(options, cluster => cluster.triggers())
  if (options.json) printJson(view)
  else if (view.length === 0) printLine('No triggers.')
  else for (const line of triggerLines(view)) printLine(line)
}
