// Owns `cox story ID`: everything the journal knows about one id, in words.
// Must not interpret records: the leader tells them.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('story'))
    .summary('everything the journal knows about one id, in words')
    .description('Tells the story of a job, task (JOB/INDEX), worker or lane: all journal records about it, in words.')
    .argument('<id>', 'a job, a task, a worker')
    .addHelpText('after', '\nExamples:\n  cox story nightly-2026-11-23\n  cox story nightly-2026-11-23/17\n  cox story worker-1')
    .action(story)
}

async function story(id: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine, printNotice } = await import('../output/print.ts')
  const { CoxswainError } = await import('../../protocol/index.ts')
  const { harmless, momentText, styled } = await import('../output/text.ts')
  const told = await withCluster(options, cluster => cluster.story(id))
  if (told.lines.length === 0 && told.complete) throw new CoxswainError('NOT_FOUND', `The journal knows nothing about ${id}.`, { id })
  if (options.json) return printJson(told)
  for (const line of told.lines)
    printLine(
      `${styled('dim', `${momentText(line.atMs)}  #${line.index}  epoch ${line.epoch}`)}  ${styled('bold', line.kind)}  ${harmless(line.text)}`,
    )
  if (!told.complete) printNotice('Older records are no longer kept.')
}
