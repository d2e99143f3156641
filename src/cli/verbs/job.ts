// Owns `cox job ID`: one job in full, a workflow with its steps.
// Must not start a cluster.
import type { Command } from 'commander'
import type { Cluster, JobView, StepView } from '../../client/index.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

interface JobCommandOptions extends ClusterOptions {
  watch?: boolean
  mermaid?: boolean
}

const watchEveryMs = 500
/** Steps that are shown; all of them are in --json and --mermaid. */
const stepsShownMax = 2000

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('job'))
    .summary('one job in full')
    .description('Shows one job: its state, stages, counts of tasks and what they ask for; of a workflow its steps, and what each needs.')
    .argument('<id>', 'the job')
    .option('--watch', 'show it again and again until it has ended')
    .option('--mermaid', 'print the steps of a workflow as a diagram for Mermaid')
    .addHelpText(
      'after',
      '\nExamples:\n  cox job nightly-2026-11-23\n  cox job nightly-2026-11-23 --watch\n  cox job nightly-2026-11-23 --mermaid > nightly.mmd',
    )
    .action(job)
}

async function read(cluster: Cluster, id: string, stepsMax: number): Promise<{ view: JobView; steps: StepView[] }> {
  const handle = cluster.job(id)
  const view = await handle.status()
  const steps: StepView[] = []
  if (view.flow) {
    for await (const step of handle.steps()) {
      if (steps.length === stepsMax) break
      steps.push(step)
    }
  }
  return { view, steps }
}

async function job(id: string, options: JobCommandOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { jobText } = await import('../output/views.ts')
  const { mermaidLines, stepLines } = await import('../output/flow.ts')
  await withCluster(options, async (cluster, signal) => {
    for (;;) {
      const { view, steps } = await read(cluster, id, options.json || options.mermaid ? Number.POSITIVE_INFINITY : stepsShownMax)
      if (options.json) printJson(view.flow ? { ...view, steps } : view)
      else if (options.mermaid) for (const line of mermaidLines(steps)) printLine(line)
      else {
        if (options.watch && process.stdout.isTTY) process.stdout.write('\u001b[2J\u001b[H')
        for (const line of [...jobText(view), ...stepLines(steps)]) printLine(line)
        const more = (view.flow?.steps ?? 0) - steps.length
        if (more > 0) printLine(`  … and ${more} more${view.archived ? ', which the history does not keep' : ': --json has them all'}`)
      }
      if (!options.watch || view.state !== 'running' || signal.aborted) return
      await new Promise(resolve => setTimeout(resolve, watchEveryMs))
    }
  })
}
