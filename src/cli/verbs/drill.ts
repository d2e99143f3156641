// Owns `cox drill`: the rehearsal of failover on the user's own cluster.
// Must not hold the rehearsal itself: that is in drill/.
import type { Command } from 'commander'
import { integerArgument } from '../arguments.ts'
import { type ClusterOptions, withClusterOptions } from '../cluster.ts'

/** Options of `cox drill`. */
export interface DrillOptions extends ClusterOptions {
  kills?: number
  freezes?: number
  promotes?: number
  restart?: boolean
}

const timesMax = 1000

/** Declares the verb. */
export function declare(program: Command): void {
  const times = integerArgument(0, timesMax)
  withClusterOptions(program.command('drill'))
    .summary('kill the leader on purpose, and check every promise')
    .description(
      'Kills, freezes and promotes leaders of the cluster of this machine, in turn, under a load of its own, and checks every acknowledged job and every result. ' +
        'Prints how long the next acknowledged write took; exit code 1 if a promise broke. Default: 5 kills, 1 freeze, 5 promotes.',
    )
    .option('--kills <n>', 'SIGKILLs of the leader', times)
    .option('--freezes <n>', 'SIGSTOPs of the leader', times)
    .option('--promotes <n>', 'promotions of a standby', times)
    .option('--restart', 'with one candidate: kill it, and measure how long its restart takes')
    .addHelpText(
      'after',
      '\nExamples:\n  cox drill\n  cox drill --kills 20 --freezes 5 --promotes 20 --json\n  cox drill --restart --kills 3',
    )
    .action(async (options: DrillOptions) => {
      const { drill } = await import('../drill/drill.ts')
      process.exitCode = await drill(options)
    })
}
