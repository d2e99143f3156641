// Owns `cox logs ID`: what a job's tasks wrote, also as they write it.
// Must not change the job.
import type { Command } from 'commander'
import type { LogsOptions } from '../../client/index.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

interface LogsVerbOptions extends ClusterOptions {
  follow?: boolean
}

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('logs'))
    .summary("what a job's tasks wrote")
    .description('Prints the log lines of a job. They are kept by the workers, bounded per attempt.')
    .argument('<id>', 'a job, or one task of it (JOB/INDEX)')
    .option('-f, --follow', 'go on with what is written from now on, until the job ends')
    .addHelpText('after', '\nExamples:\n  cox logs nightly-2026-11-23/17\n  cox logs nightly-2026-11-23 -f --json')
    .action(logs)
}

async function logs(id: string, options: LogsVerbOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { logText } = await import('../output/logs.ts')
  const [, job = id, index] = /^(.+)\/(\d+)$/.exec(id) ?? []
  await withCluster(options, async (cluster, signal) => {
    const handle = cluster.job(job)
    const wanted: LogsOptions = { signal, follow: options.follow === true }
    if (index !== undefined) wanted.index = Number(index)
    for await (const line of handle.logs(wanted)) {
      if (options.json) printJson(line)
      else printLine(logText(line, true))
    }
  })
}
