// Owns `cox schedules`: which there are, when they come next, and what became of their ticks.
// Must not change any: `cox schedule` does.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('schedules'))
    .summary('the schedules, and when they come next')
    .description('Lists the schedules: when they have their ticks, when the next one is, and how many ran, were skipped or missed.')
    .addHelpText('after', '\nExamples:\n  cox schedules\n  cox schedule pause nightly')
    .action(schedules)
}

async function schedules(options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { scheduleLines } = await import('../output/views.ts')
  const view = await withCluster(options, cluster => cluster.schedules())
  if (options.json) printJson(view)
  else if (view.length === 0) printLine('No schedules.')
  else for (const line of scheduleLines(view)) printLine(line)
}
