// Owns `cox trigger pause|resume|delete NAME`.
// Must not make one: programs do, with `cluster.on`.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** What can be done, and how it is told. */
const changes = {
  pause: ['events start nothing until it is resumed; what runs goes on', 'paused'],
  resume: ['events start it again, from now on', 'starts again'],
  delete: ['forgets it; what runs goes on', 'deleted'],
} as const
type Change = keyof typeof changes

/** Declares the verb. */
export function declare(program: Command): void {
  const group = program
    .command('trigger')
    .summary('pause, resume or delete a trigger')
    .description('Changes a trigger; `cox triggers` lists them. Returns when that is durable.')
  for (const [change, [summary]] of Object.entries(changes) as [Change, readonly [string, string]][])
    withClusterOptions(group.command(change))
      .summary(summary)
      .description(`The trigger: ${summary}. Returns when that is durable.`)
      .argument('<name>', 'the trigger')
      .addHelpText('after', `\nExamples:\n  cox trigger ${change} on-order`)
      .action((name: string, options: ClusterOptions) => perform(change, name, options))
}

async function perform(change: Change, name: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  await withCluster(options, cluster => cluster.trigger(name)[change]())
  if (options.json) printJson({ trigger: name, change })
  else printLine(`${harmless(name)}: ${changes[change][1]}.`)
}
