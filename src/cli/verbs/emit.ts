// Owns `cox emit EVENT`: it sends an event, which starts triggers and wakes workflows.
// Must not report success before that is durable.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

interface EmitVerbOptions extends ClusterOptions {
  key?: string
  id?: string
}

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('emit'))
    .summary('send an event: it starts triggers and wakes workflows')
    .description(
      'Sends an event: each trigger that it is for starts a run, and every step that waits for it gets the payload. Returns when that is durable.',
    )
    .argument('<event>', 'the name of the event')
    .argument('[payload]', 'the payload: JSON, @FILE, or - for stdin')
    .option('--key <key>', 'what it is about: who waits for an event of this key gets it')
    .option('--id <id>', 'id of the event: the same one counts once')
    .addHelpText('after', '\nExamples:\n  cox emit payment.received \'{"amount": 12}\' --key order-17 --id evt_9')
    .action(emit)
}

async function emit(event: string, payload: string | undefined, { key, id, ...options }: EmitVerbOptions): Promise<void> {
  const { readInput } = await import('./run.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { countText, harmless } = await import('../output/text.ts')
  const value = await readInput(payload)
  const told = { ...(key !== undefined && { key }), ...(id !== undefined && { id }) }
  const { started, woken } = await withCluster(options, cluster => cluster.emit(event, value, told))
  if (options.json) printJson({ event, started, woken })
  else printLine(`Sent: ${harmless(event)}. It started ${countText(started)}, and ${countText(woken)} steps got it.`)
}
