// Owns `cox bench`: the project's own bench in a checkout, else a short measurement against the cluster that is up, or one of its own.
// Must not hold the measurements.
import type { Command } from 'commander'
import { type ClusterOptions, withClusterOptions } from '../cluster.ts'

/** Options of `cox bench`. */
export interface BenchOptions extends ClusterOptions {
  short?: boolean
}

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('bench'))
    .summary('measure throughput and round trip')
    .description(
      "In a checkout: runs the project's bench (arguments are passed on). Installed, or with --short: measures no-op tasks per second and the round trip of one call.",
    )
    .argument('[args...]', 'for the bench of the checkout, behind --')
    .option('--short', 'the short measurement, also in a checkout')
    .addHelpText('after', '\nExamples:\n  cox bench --short\n  cox bench -- --smoke')
    .action(async (args: string[], options: BenchOptions) => {
      const { bench } = await import('../bench/bench.ts')
      process.exitCode = await bench(args, options)
    })
}
