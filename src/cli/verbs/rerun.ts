// Owns `cox rerun ID`: a workflow goes on from where it failed.
// Must not report success before it is durable.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('rerun'))
    .summary('let a workflow go on from where it failed')
    .description(
      'A workflow that failed or was cancelled goes on in place: what succeeded keeps its results, the rest runs. With FILE#WORKFLOW it goes on by the definitions there. Returns when that is durable.',
    )
    .argument('<id>', 'the job')
    .argument('[workflow]', 'FILE#WORKFLOW with the corrected definitions')
    .addHelpText('after', '\nExamples:\n  cox rerun nightly-2026-11-23\n  cox rerun nightly-2026-11-23 tasks.ts#nightly')
    .action(rerun)
}

async function rerun(id: string, reference: string | undefined, options: ClusterOptions): Promise<void> {
  const { loadTask } = await import('../load-task.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const { CoxswainError } = await import('../../protocol/index.ts')
  const definition = reference === undefined ? undefined : await loadTask(reference)
  if (definition && definition.kind !== 'workflow')
    throw new CoxswainError('USAGE', `${definition.name} is a task, not a workflow: a job goes on by the definitions of a workflow.`)
  await withCluster(options, cluster => cluster.job(id).rerun(definition ? { workflow: definition } : {}))
  if (options.json) printJson({ job: id, rerun: true })
  else printLine(`Goes on: ${harmless(id)}.`)
}
