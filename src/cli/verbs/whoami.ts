// Owns `cox whoami`: who the cluster takes this user for. Must not print a token.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('whoami'))
    .summary('who the cluster takes you for, and what you may do')
    .description('Shows the user that the credential stands for: name, role, scope, and the id of the credential.')
    .addHelpText('after', '\nExamples:\n  cox whoami')
    .action(whoami)
}

async function whoami(options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const who = await withCluster(options, ({ access }) => access.whoAmI())
  if (options.json) return printJson(who)
  printLine(`${harmless(who.name)}, ${who.roles.join(', ')}, by the credential ${harmless(who.credential)}`)
  if (who.jobPrefixes.length > 0) printLine(`only names that begin with ${who.jobPrefixes.map(harmless).join(' or ')}`)
  if (who.labels.length > 0) printLine(`only jobs labelled ${who.labels.map(harmless).join(' or ')}`)
}
