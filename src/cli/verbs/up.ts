// Owns `cox up`: the options of a cluster on this machine, and what its user is told while it runs.
// Must not manage processes: the supervisor does.
import { type Command, Option } from 'commander'
import { defaultLimits, priorityDefault, priorityMax } from '../../core/limits.ts'
import { limits } from '../../protocol/limits.ts'
import { durationArgument, integerArgument, memoryArgument, millisArgument, namedAmountsArgument, textsArgument } from '../arguments.ts'
import { logLevels } from '../nodes/options.ts'

const workersMax = 256
const executorsMax = 1024
const portMax = 65_535
const candidatesMax = 9
const historyMax = 100_000_000
const recentMax = 1_000_000

/** Priorities separated by commas. */
function prioritiesArgument(text: string): number[] {
  return text.split(',').map(integerArgument(1, priorityMax))
}

/** Options of `cox up`, as parsed. */
export interface UpOptions {
  workers?: number
  executors?: number
  cpus?: number
  memory?: number
  gpus?: number
  resources?: { name: string; millis: number }[]
  labels?: string[]
  host: string
  port: number
  candidates: number
  priorities?: number[]
  recent?: number
  history?: number
  historyAge?: number
  drain: number
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  detach?: boolean
  ephemeral?: boolean
  attached?: boolean
  background?: boolean
  json?: boolean
}

/** Declares the verb. */
export function declare(program: Command): void {
  program
    .command('up')
    .summary('start a cluster on this machine')
    .description(
      'Starts a cluster on this machine: candidates, of which one leads and keeps the journal, and workers. In the foreground until Ctrl-C, or with --detach in the background.',
    )
    .option('--workers <n>', 'worker processes (default: one per core)', integerArgument(1, workersMax))
    .option('--executors <n>', 'executors of each worker (default: as many as it has cpus)', integerArgument(1, executorsMax))
    .option('--cpus <amount>', 'cpus that each worker offers (default: its executors, or its share of the cores)', millisArgument)
    .option('--memory <bytes>', 'memory that each worker offers, like 2gb (default: its share of 80 % of the machine)', memoryArgument)
    .option('--gpus <amount>', 'gpus that each worker offers', millisArgument)
    .option('--resources <name=amount>', 'named resources that each worker offers, such as licence=2', namedAmountsArgument)
    .option('--labels <names>', `labels of each worker (at most ${limits.labelsMax})`, textsArgument)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', "the leader's port; 0 takes a free one", integerArgument(0, portMax), 0)
    .option('--candidates <n>', 'candidates for the leadership: one leads, the others stand by', integerArgument(1, candidatesMax), 2)
    .option(
      '--priorities <list>',
      `priority of each candidate, 1 to ${priorityMax}, such as 300,200 (default: ${priorityDefault} each)`,
      prioritiesArgument,
    )
    .option('--detach', 'return as soon as tasks can run; the cluster goes on in the background')
    .option('--ephemeral', 'end when stdin is closed, and leave nothing behind (for programs that start a cluster)')
    .option(
      '--recent <jobs>',
      `jobs that succeeded, and others that ended, kept whole in memory: so many of each (default: ${defaultLimits.finishedJobsMax})`,
      integerArgument(0, recentMax),
    )
    .option(
      '--history <jobs>',
      `finished jobs in the history, beside the newest that are kept whole (default: ${defaultLimits.historyJobsMax}); 0 keeps none`,
      integerArgument(0, historyMax),
    )
    .option('--history-age <duration>', 'how long a finished job is known, such as 90d (default: 30d)', durationArgument)
    .option('--drain <duration>', 'how long running tasks may go on when it stops', durationArgument, 10_000)
    .addOption(new Option('--log-level <level>', "how much of the nodes' logs to show and keep").choices(logLevels).default('info'))
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
    .action(async (options: UpOptions) => {
      const { up } = await import('../supervisor/up.ts')
      process.exitCode = await up(options)
    })
}
