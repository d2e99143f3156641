// Owns verbs with a change behind them and a name behind that, such as `cox schedule pause NAME`.
// Must not know what is changed.
import type { Command } from 'commander'
import type { Cluster } from '../client/index.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from './cluster.ts'

/** What can be done: in words, as it is told when it is done, and how. Gives the job that it started, if it did. */
export interface Change {
  summary: string
  done: string
  act(cluster: Cluster, name: string): Promise<void> | Promise<{ id: string }>
}

/** Declares a verb with these changes; `example` is a name. */
export function declareChanges(program: Command, verb: string, example: string, changes: Readonly<Record<string, Change>>): void {
  const names = Object.keys(changes)
  const group = program
    .command(verb)
    .summary(`${names.slice(0, -1).join(', ')} or ${names.at(-1)} a ${verb}`)
    .description(`Changes a ${verb}; \`cox ${verb}s\` lists them. Returns when that is durable.`)
  for (const [change, { summary, done, act }] of Object.entries(changes))
    withClusterOptions(group.command(change))
      .summary(summary)
      .description(`The ${verb}: ${summary}. Returns when that is durable.`)
      .argument('<name>', `the ${verb}`)
      .addHelpText('after', `\nExamples:\n  cox ${verb} ${change} ${example}`)
      .action(async (name: string, options: ClusterOptions) => {
        const { printJson, printLine } = await import('./output/print.ts')
        const { harmless } = await import('./output/text.ts')
        const job = await withCluster(options, async cluster => (await act(cluster, name))?.id)
        if (options.json) printJson({ [verb]: name, change, ...(job !== undefined && { job }) })
        else printLine(`${harmless(name)}: ${done}${job === undefined ? '' : `, as job ${harmless(job)}`}.`)
      })
}
