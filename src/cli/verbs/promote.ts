// Owns `cox promote CANDIDATE`: a standby becomes leader on purpose.
// Must not promote anyone by itself: the leader hands over, and the journal decides.
import type { Command } from 'commander'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('promote'))
    .summary('hand the leadership over to a standby')
    .description(
      'The leader hands over to this standby: what runs goes on, and no call fails. A standby that is away or far behind is refused.',
    )
    .argument('<candidate>', 'the standby, as `cox status` names it')
    .addHelpText('after', '\nExamples:\n  cox promote candidate-2')
    .action(promote)
}

async function promote(candidate: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const leader = await withCluster(options, cluster => cluster.promote(candidate))
  if (options.json) printJson({ leader: leader.id, epoch: leader.epoch, pid: leader.pid, address: leader.address })
  else printLine(`${harmless(leader.id)} leads, epoch ${leader.epoch}.`)
}
