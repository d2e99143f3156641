// Owns the command tree of `cox` and the way every verb ends: its exit code, its errors in words or JSON.
// Must not load a verb that was not asked for: starting fast is part of the promise.
import { Command, CommanderError } from 'commander'
import { CoxswainError } from '../protocol/errors.ts'
import { release } from '../protocol/release.ts'
import { exitCodeOf, exitCodes } from './exit.ts'
import { drained, endQuietlyOnClosedPipe, printError } from './output/print.ts'

type Declare = (program: Command) => void

/** Every verb and where it is, in the order of the help. */
const verbs: Record<string, () => Promise<{ declare: Declare }>> = {
  up: () => import('./verbs/up.ts'),
  down: () => import('./verbs/down.ts'),
  status: () => import('./verbs/status.ts'),
  run: () => import('./verbs/run.ts'),
  submit: () => import('./verbs/submit.ts'),
  jobs: () => import('./verbs/jobs.ts'),
  job: () => import('./verbs/job.ts'),
  result: () => import('./verbs/result.ts'),
  logs: () => import('./verbs/logs.ts'),
  cancel: () => import('./verbs/cancel.ts'),
  pause: () => import('./verbs/pause.ts'),
  resume: () => import('./verbs/resume.ts'),
  rerun: () => import('./verbs/rerun.ts'),
  signal: () => import('./verbs/signal.ts'),
  emit: () => import('./verbs/emit.ts'),
  triggers: () => import('./verbs/triggers.ts'),
  trigger: () => import('./verbs/trigger.ts'),
  schedules: () => import('./verbs/schedules.ts'),
  schedule: () => import('./verbs/schedule.ts'),
  locks: () => import('./verbs/locks.ts'),
  state: () => import('./verbs/state.ts'),
  secret: () => import('./verbs/secret.ts'),
  user: () => import('./verbs/user.ts'),
  login: () => import('./verbs/login.ts'),
  logout: () => import('./verbs/logout.ts'),
  whoami: () => import('./verbs/whoami.ts'),
  audit: () => import('./verbs/audit.ts'),
  workers: () => import('./verbs/workers.ts'),
  drain: () => import('./verbs/drain.ts'),
  cluster: () => import('./verbs/cluster.ts'),
  join: () => import('./verbs/join.ts'),
  node: () => import('./verbs/node.ts'),
  promote: () => import('./verbs/promote.ts'),
  drill: () => import('./verbs/drill.ts'),
  story: () => import('./verbs/story.ts'),
  why: () => import('./verbs/why.ts'),
  journal: () => import('./verbs/journal.ts'),
  demo: () => import('./verbs/demo.ts'),
  bench: () => import('./verbs/bench.ts'),
  config: () => import('./verbs/config.ts'),
  doctor: () => import('./verbs/doctor.ts'),
  version: () => import('./verbs/version.ts'),
}

/** The names of all verbs, in the order of the help. */
export const verbNames = Object.keys(verbs)

const exitCodesHelp = `
Exit codes:
  0  ok                          3  no cluster answers
  1  task, job or check failed   4  refused: credentials, limits, folder or port in use
  2  usage                       5  a mistake in Coxswain      130  interrupted`

/** The command tree with the verb that is asked for, or with all. */
export async function commandTree(verb: string | undefined): Promise<Command> {
  const program = new Command('cox')
    .description('One cox, many oars: typed tasks for TypeScript, run by one leader on many workers.')
    .version(release, '-V, --version', 'print the release')
    .helpOption('-h, --help', 'print help')
    .configureHelp({ sortSubcommands: false })
    .showSuggestionAfterError(true)
    .addHelpText('after', `${exitCodesHelp}\n\nStart with: cox demo, or: cox up`)
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
  const wanted = verb !== undefined && Object.hasOwn(verbs, verb) ? [verb] : verbNames
  for (const { declare } of await Promise.all(wanted.map(name => verbs[name]!()))) declare(program)
  inherit(program)
  return program
}

/** Every command ends and reports in the same way as the program does. */
function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent)
    // A group of verbs would take the option away from the verb behind it. `demo` is both, and hands it on.
    if (command.commands.length === 0 || command.name() === 'demo') command.option('--json', 'answer in JSON, errors too')
    inherit(command)
  }
}

function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return (end < 0 ? args : args.slice(0, end)).includes('--json')
}

/** Commander's complaint as one of our errors, or the exit code of what is none (help, version). */
function usageError(error: CommanderError): CoxswainError | number {
  if (error.exitCode === 0) return exitCodes.ok
  if (error.code === 'commander.help') return exitCodes.usage
  return new CoxswainError('USAGE', error.message.replace(/^error: /, ''))
}

async function perform(args: string[]): Promise<number> {
  const verb = args.find(arg => !arg.startsWith('-'))
  try {
    const program = await commandTree(args[0] === verb ? verb : undefined)
    if (verb === undefined && args.length === 0) {
      program.outputHelp({ error: true })
      return exitCodes.usage
    }
    await program.parseAsync(args, { from: 'user' })
    return typeof process.exitCode === 'number' ? process.exitCode : exitCodes.ok
  } catch (thrown) {
    const error = thrown instanceof CommanderError ? usageError(thrown) : thrown
    if (typeof error === 'number') return error
    printError(error, wantsJson(args))
    return exitCodeOf(error)
  }
}

/** The whole life of a `cox` process. */
export async function main(args: string[]): Promise<void> {
  endQuietlyOnClosedPipe()
  process.on('unhandledRejection', reason => {
    printError(reason, wantsJson(args))
    process.exit(exitCodeOf(reason))
  })
  const exitCode = await perform(args)
  await drained()
  // Not left to Node: a module that `cox run` imported may hold the process open.
  process.exit(exitCode)
}
