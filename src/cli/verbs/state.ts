// Owns `cox state NAME [PREFIX]`: the entries of a space.
// Must not change any.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('state'))
    .summary('the entries of a key-value space')
    .description('Prints the entries of a space, as cluster.state(NAME) has them: key, version and value, in the order of the keys.')
    .argument('<name>', 'the name of the space')
    .argument('[prefix]', 'only keys that begin with this')
    .addHelpText('after', '\nExamples:\n  cox state accounts\n  cox state accounts de/ --json')
    .action(state)
}

async function state(name: string, prefix: string | undefined, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const { valueText, valueToJson } = await import('../output/value.ts')
  const entries = await withCluster(options, cluster =>
    Array.fromAsync(cluster.state(name).entries(prefix === undefined ? {} : { prefix })),
  )
  if (options.json) printJson(entries.map(([key, value, version]) => ({ key, version, value: valueToJson(value) })))
  else if (entries.length === 0) printLine('No such entries.')
  else for (const [key, value, version] of entries) printLine(`${harmless(key)}  v${version}  ${harmless(valueText(value))}`)
}
