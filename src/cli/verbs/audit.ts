// Owns `cox audit`: what was denied and what was changed, by whom. Must not read the files itself: the leader does.
import type { Command } from 'commander'
import { integerArgument, momentArgument } from '../arguments.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

interface AuditVerbOptions extends ClusterOptions {
  denied?: boolean
  user?: string
  since?: number
  limit: number
  verify?: boolean
}

const limitDefault = 100
const limitMax = 10_000

/** Declares the verb. */
export function declare(program: Command): void {
  withClusterOptions(program.command('audit'))
    .summary('who changed what, and who was denied what')
    .description(
      "Prints lines of the audit log of the leader's machine, oldest first: calls that changed something and calls that were denied. Equal calls of a connection within a second are one line with a count.",
    )
    .option('--denied', 'only what was denied')
    .option('--user <name>', 'only of this user or node')
    .option('--since <time>', 'only since this time: a duration back such as 2d, or a date', momentArgument)
    .option('--limit <n>', 'at most so many, the newest', integerArgument(1, limitMax), limitDefault)
    .option('--verify', 'check instead that no line was altered or removed; exit code 1 if one was')
    .addHelpText('after', '\nExamples:\n  cox audit --denied --since 2d\n  cox audit --user ci --json\n  cox audit --verify')
    .action(audit)
}

async function audit({ denied, user, since, limit, verify, ...options }: AuditVerbOptions): Promise<void> {
  if (verify) return check(options)
  const { printJson, printLine } = await import('../output/print.ts')
  const { auditLines } = await import('../output/audit.ts')
  const query = { limit, ...(denied && { denied }), ...(user !== undefined && { user }), ...(since !== undefined && { sinceMs: since }) }
  const entries = await withCluster(options, ({ access }) => access.audit(query))
  if (options.json) return printJson(entries)
  if (entries.length === 0) return printLine('Nothing.')
  for (const line of auditLines(entries)) printLine(line)
}

async function check(options: ClusterOptions): Promise<void> {
  const { exitCodes } = await import('../exit.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { countText, harmless, styled } = await import('../output/text.ts')
  const checked = await withCluster(options, ({ access }) => access.checkAudit())
  if (checked.problems.length > 0) process.exitCode = exitCodes.failed
  if (options.json) return printJson({ ok: checked.problems.length === 0, ...checked })
  printLine(`${countText(checked.files)} files, ${countText(checked.lines)} lines`)
  for (const problem of checked.problems) printLine(`${styled('red', 'problem')}  ${harmless(problem)}`)
  if (checked.problems.length === 0) printLine(styled('green', 'No problems.'))
}
