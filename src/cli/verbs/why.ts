// Owns `cox why ID`: why something waits, as the rule and its numbers.
// Must not guess: the leader answers.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('why'))
    .summary('why does it wait: the rule and the numbers')
    .description(
      'Tells why a job or task waits: the rule that holds it and the numbers, such as "asks for 8 cpus; the largest worker has 2"; or what a schedule waits for.',
    )
    .argument('<id>', 'a job, a task (JOB/INDEX), or a schedule')
    .addHelpText('after', '\nExamples:\n  cox why nightly-2026-11-23\n  cox why nightly-2026-11-23/17\n  cox why nightly')
    .action(why)
}

async function why(id: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless, styled } = await import('../output/text.ts')
  const reasons = await withCluster(options, cluster => cluster.why(id))
  if (options.json) return printJson(reasons)
  if (reasons.length === 0) printLine(`Nothing holds ${harmless(id)}.`)
  for (const reason of reasons) printLine(`${harmless(reason.id)}  ${styled('bold', reason.rule)}  ${harmless(reason.text)}`)
}
