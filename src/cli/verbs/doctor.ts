// Owns `cox doctor`: checks of this machine and state folder, each a line with what to do about it.
// Must not change anything but a probe file of its own.
import type { Command } from 'commander'
import { integerArgument } from '../arguments.ts'

interface DoctorOptions {
  port?: number
  json?: boolean
}

const portMax = 65_535

/** Declares the verb. */
export function declare(program: Command): void {
  program
    .command('doctor')
    .summary('check this machine and the state folder')
    .description(
      'Checks Node, memory, open files, clock, state folder, file system, disk space, fsync speed, ports and the cluster. Exit code 1 if one fails.',
    )
    .option('--port <port>', 'also check that the leader could listen on this port', integerArgument(1, portMax))
    .addHelpText('after', '\nExamples:\n  cox doctor\n  cox doctor --json | jq \'.checks[] | select(.state != "ok")\'')
    .action(doctor)
}

async function doctor(options: DoctorOptions): Promise<void> {
  const { exitCodes } = await import('../exit.ts')
  const { runChecks } = await import('../doctor/checks.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless, styled } = await import('../output/text.ts')
  const checks = await runChecks(options.port)
  const failed = checks.some(check => check.state === 'fail')
  if (failed) process.exitCode = exitCodes.failed
  if (options.json) return printJson({ ok: !failed, checks })
  const styles = { ok: 'green', warn: 'yellow', fail: 'red' } as const
  for (const { state, name, text, advice } of checks) {
    printLine(`${styled(styles[state], state.padEnd(4))}  ${name.padEnd(12)}  ${harmless(text)}`)
    if (advice) printLine(`${' '.repeat(20)}${harmless(advice)}`)
  }
}
