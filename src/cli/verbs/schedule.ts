// Owns `cox schedule pause|resume|trigger|delete NAME`.
// Must not make one: programs do, with `cluster.schedule`.
import type { Command } from 'commander'
import type { ScheduleHandle } from '../../client/index.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

/** What can be done, and how it is told. */
const changes = {
  pause: ['no more ticks until it is resumed; what runs goes on', 'paused'],
  resume: ['ticks again, from now on', 'ticks again'],
  trigger: ['runs it now, besides its ticks', 'runs now'],
  delete: ['forgets it; what runs goes on', 'deleted'],
} as const
type Change = keyof typeof changes

/** Declares the verb. */
export function declare(program: Command): void {
  const group = program
    .command('schedule')
    .summary('pause, resume, trigger or delete a schedule')
    .description('Changes a schedule; `cox schedules` lists them. Returns when that is durable.')
  for (const [change, [summary]] of Object.entries(changes) as [Change, readonly [string, string]][])
    withClusterOptions(group.command(change))
      .summary(summary)
      .description(`The schedule: ${summary}. Returns when that is durable.`)
      .argument('<name>', 'the schedule')
      .addHelpText('after', `\nExamples:\n  cox schedule ${change} nightly`)
      .action((name: string, options: ClusterOptions) => perform(change, name, options))
}

async function perform(change: Change, name: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const job = await withCluster(options, async cluster => {
    const schedule: ScheduleHandle = cluster.scheduled(name)
    if (change === 'trigger') return (await schedule.trigger()).id
    await schedule[change]()
    return undefined
  })
  if (options.json) printJson({ schedule: name, change, ...(job !== undefined && { job }) })
  else printLine(`${harmless(name)}: ${changes[change][1]}${job === undefined ? '' : `, as job ${harmless(job)}`}.`)
}
