// Owns `cox up`: the options of a cluster on this machine, and what its user is told while it runs.
// Must not manage processes: the supervisor does.
import { type Command, Option } from 'commander'
import { type ConfigOption, settingsOf, withSettings } from '../config/options.ts'
import type { SettingValues } from '../config/schema.ts'

/** What one run of `cox up` is told beside its settings. */
interface RunOptions extends ConfigOption {
  detach?: boolean
  ephemeral?: boolean
  attached?: boolean
  background?: boolean
  json?: boolean
}

/** Options of `cox up`: its settings, from wherever they come, and how this one runs. */
export type UpOptions = SettingValues & RunOptions

/** Declares the verb. */
export function declare(program: Command): void {
  withSettings(program.command('up'))
    .summary('start a cluster on this machine')
    .description(
      'Starts a cluster on this machine: candidates, of which one leads and keeps the journal, and workers. In the foreground until Ctrl-C, or with --detach in the background. What no flag says is taken from variables COX_… and the config file; `cox config` shows it.',
    )
    .option('--detach', 'return as soon as tasks can run; the cluster goes on in the background')
    .option('--ephemeral', 'end when stdin is closed, and leave nothing behind (for programs that start a cluster)')
    .addOption(new Option('--attached', 'end when stdin is closed').hideHelp())
    .addOption(new Option('--background').hideHelp())
    .addHelpText(
      'after',
      `
Examples:
  cox up                               a worker per core, until Ctrl-C
  cox up --detach                      in the background; stop it with: cox down
  cox up --workers 2 --executors 4 --memory 4gb --labels fast,ssd
  cox up --candidates 3 --workers 4    two standbys: kill the leader, nothing is lost
  COX_HOME=/srv/cox cox up --port 4700 a state folder and a port of your choice`,
    )
    .action(async (run: RunOptions, command: Command) => {
      const { up } = await import('../supervisor/up.ts')
      process.exitCode = await up(await upOptions(run, command))
    })
}

/** The options of this run; a cluster that belongs to a program takes its settings from that alone. */
async function upOptions(run: RunOptions, command: Command): Promise<UpOptions> {
  const { values, strangers } = await settingsOf(command, run.ephemeral === true || run.attached === true)
  if (strangers.length > 0 && !run.background) {
    const { printNotice } = await import('../output/print.ts')
    for (const { variable, meant } of strangers) printNotice(`cox: ${variable} is no setting and is not heeded: did you mean ${meant}?`)
  }
  return { ...run, ...values }
}
