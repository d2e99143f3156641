// Owns `cox node list|revoke`: who has a certificate, and who is not to come back.
// Must not start nodes: the processes of a supervisor are `cox node candidate|worker`, which main.ts takes before this.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  const node = program
    .command('node')
    .summary('the nodes of a cluster of several machines')
    .description('Lists the nodes that have a certificate, and ends those that are not to come back.')
  withClusterOptions(node.command('list'))
    .summary('the nodes, and when their certificates expire')
    .description('Lists the nodes that have a certificate.')
    .addHelpText('after', '\nExamples:\n  cox node list\n  cox node list --json')
    .action(list)
  withClusterOptions(node.command('revoke'))
    .summary('none of its certificates counts any more')
    .description(
      'Its connections end at once, on all nodes, and what it ran runs again elsewhere. It may only come back by a new join token.',
    )
    .argument('<node>', 'the node')
    .addHelpText('after', '\nExamples:\n  cox node revoke worker-7')
    .action(revoke)
}

async function list(options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { nodeLines } = await import('../output/nodes.ts')
  const { nodes } = await withCluster(options, cluster => cluster.nodes.view())
  if (options.json) printJson(nodes)
  else if (nodes.length === 0) printLine('No node has a certificate: this is a cluster of one machine.')
  else for (const line of nodeLines(nodes)) printLine(line)
}

async function revoke(name: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine, printNotice } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const role = await withCluster(options, async cluster => {
    const { nodes } = await cluster.nodes.view()
    await cluster.nodes.revoke(name)
    return nodes.find(one => one.name === name)?.role
  })
  if (options.json) printJson({ node: name, revoked: true, role })
  else printLine(`Revoked: ${harmless(name)}.`)
  if (role === 'candidate' && !options.json)
    printNotice('A candidate has the key of the authority: replace it now with `cox cluster rotate-ca`.')
}
