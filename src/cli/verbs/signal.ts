// Owns `cox signal JOB NAME`: it tells a workflow something.
// Must not report success before the signal is durable.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

interface SignalOptions extends ClusterOptions {
  id?: string
}

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('signal'))
    .summary('tell a workflow something')
    .description('Sends a signal to a workflow: the step that waits for this name gets the payload. Returns when that is durable.')
    .argument('<job>', 'the job')
    .argument('<name>', 'the name that flow.waitFor waits for')
    .argument('[payload]', 'the payload: JSON, @FILE, or - for stdin')
    .option('--id <id>', 'id of the signal: the same one counts once')
    .addHelpText('after', '\nExamples:\n  cox signal order-17 approved \'{"by": "ann"}\'')
    .action(signal)
}

async function signal(job: string, name: string, payload: string | undefined, options: SignalOptions): Promise<void> {
  const { readInput } = await import('./run.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const value = await readInput(payload, 'the payload')
  await withCluster(options, cluster => cluster.signal(job, name, value, options.id === undefined ? {} : { id: options.id }))
  if (options.json) printJson({ job, signal: name, sent: true })
  else printLine(`Sent: ${harmless(name)} to ${harmless(job)}.`)
}
