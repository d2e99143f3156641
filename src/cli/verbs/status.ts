// Owns `cox status`: leader, candidates, workers, load and journal at a glance.
// Must not start a cluster.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'
import { readEndpoint } from '../state/endpoint.ts'
import { Home } from '../state/home.ts'
import { liveSupervisor, type NodeDeath } from '../state/up-file.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('status'))
    .summary('leader, workers, load and journal at a glance')
    .description(
      'Shows the cluster: its leader with id, epoch, pid and address, candidates, workers with load and resources, L = (1/N) Σ L_i, jobs and journal.',
    )
    .addHelpText('after', "\nExamples:\n  cox status\n  cox status --json | jq '.workers[].load'")
    .action(status)
}

/** How nodes of this cluster died, if it runs from our state folder: only its supervisor knows. */
function deathsIn(cluster: string): NodeDeath[] {
  const home = new Home()
  return readEndpoint(home)?.cluster === cluster ? (liveSupervisor(home)?.deaths ?? []) : []
}

async function status(options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { deathLines, statusLines } = await import('../output/views.ts')
  const view = await withCluster(options, cluster => cluster.status())
  const deaths = deathsIn(view.cluster)
  if (options.json) printJson({ ...view, deaths })
  else for (const line of [...statusLines(view), ...deathLines(deaths)]) printLine(line)
}
