// Owns `cox logs ID`: what a job's tasks wrote, also as they write it.
// Must not change the job.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

interface LogsOptions extends ClusterOptions {
  follow?: boolean
  task?: string
}

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('logs'))
    .summary("what a job's tasks wrote")
    .description('Prints the log lines of a job. They are kept by the workers, bounded per attempt.')
    .argument('<id>', 'the job')
    .option('-f, --follow', 'go on with what is written from now on, until the job ends')
    .addHelpText('after', '\nExamples:\n  cox logs nightly-2026-11-23\n  cox logs nightly-2026-11-23 -f --json')
    .action(logs)
}

async function logs(id: string, options: LogsOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { logText } = await import('../output/logs.ts')
  const { resultOrInterruption } = await import('./run.ts')
  await withCluster(options, async (cluster, signal) => {
    const print = async (): Promise<void> => {
      for await (const line of cluster.job(id).logs({ follow: options.follow === true })) {
        if (options.json) printJson(line)
        else printLine(logText(line, true))
      }
    }
    await resultOrInterruption(print(), signal)
  })
}
