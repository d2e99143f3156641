// Owns `cox journal verify|keys|dump`: reading the journal of a state folder, with or without a leader running.
// Must not change a byte of it.
import type { Command } from 'commander'
import type { StoreReader } from '../../journal/index.ts'
import { integerArgument } from '../arguments.ts'

interface DumpOptions {
  from: number
  limit: number
  json?: boolean
}

const limitDefault = 100
const limitMax = 1_000_000_000
const rowsAtOnce = 64

/** Declares the verb. */
export function declare(program: Command): void {
  const journal = program
    .command('journal')
    .summary('check or print the journal')
    .description('Reads the journal of the state folder, with or without a leader running. Changes nothing.')
  journal
    .command('verify')
    .summary('check every row, hash, payload and snapshot')
    .description(
      'Checks that the rows follow each other, the chain of hashes, the checksums of payloads and snapshots. Exit code 1 if something is wrong.',
    )
    .addHelpText('after', '\nExamples:\n  cox journal verify\n  COX_HOME=/backup/cox cox journal verify --json')
    .action(verify)
  journal
    .command('keys')
    .summary('count what is kept under which encryption key')
    .description('Counts what is kept in clear, and under each key by its id: when a key may be thrown away. Needs no key itself.')
    .addHelpText('after', '\nExamples:\n  cox journal keys')
    .action(keys)
  journal
    .command('dump')
    .summary('print records')
    .description('Prints the records of the journal, one line each.')
    .option('--from <index>', 'first record (default: the first one kept)', integerArgument(1, limitMax), 1)
    .option('--limit <n>', 'at most so many', integerArgument(1, limitMax), limitDefault)
    .addHelpText('after', '\nExamples:\n  cox journal dump --from 120 --limit 20\n  cox journal dump --json --limit 1000000 | jq .kind')
    .action(dump)
}

async function openReader(): Promise<StoreReader> {
  const { existsSync } = await import('node:fs')
  const { openSqliteReader } = await import('../../journal/index.ts')
  const { CoxswainError } = await import('../../protocol/index.ts')
  const { Home } = await import('../state/home.ts')
  const home = new Home()
  if (!existsSync(home.journal)) throw new CoxswainError('NOT_FOUND', `There is no journal in ${home.path}.`, { id: home.path })
  return openSqliteReader(home.journal)
}

async function verify(options: { json?: boolean }): Promise<void> {
  const { verifyStore } = await import('../../journal/index.ts')
  const { exitCodes } = await import('../exit.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { countText, harmless, styled } = await import('../output/text.ts')
  const store = await openReader()
  try {
    const report = await verifyStore(store)
    if (report.problems.length > 0) process.exitCode = exitCodes.failed
    if (options.json) return printJson({ ok: report.problems.length === 0, ...report })
    printLine(
      `${countText(report.rows)} rows, ${countText(report.records)} records (${report.firstIndex} to ${report.lastIndex}), ${countText(report.payloads)} payloads`,
    )
    for (const problem of report.problems) printLine(`${styled('red', 'problem')}  ${harmless(String(problem))}`)
    if (report.problems.length === 0) printLine(styled('green', 'No problems.'))
  } finally {
    await store.close()
  }
}

async function keys(options: { json?: boolean }): Promise<void> {
  const { keyUse } = await import('../../journal/index.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { countText } = await import('../output/text.ts')
  const store = await openReader()
  try {
    const { clear, sealed } = await keyUse(store)
    if (options.json) return printJson({ clear, sealed: Object.fromEntries(sealed) })
    printLine(`in clear             ${countText(clear)}`)
    for (const [key, pieces] of sealed) printLine(`key ${key} ${countText(pieces)}`)
  } finally {
    await store.close()
  }
}

async function dump(options: DumpOptions): Promise<void> {
  const { decodeRecords } = await import('../../protocol/index.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless, styled } = await import('../output/text.ts')
  const { sealedReader } = await import('../../journal/index.ts')
  // What is encrypted is refused as such, not taken for records.
  const store = sealedReader(await openReader(), undefined)
  try {
    const { firstIndex, lastIndex } = await store.journal.size()
    const first = Math.max(options.from, firstIndex)
    const last = Math.min(lastIndex, first + options.limit - 1)
    for (let from = first; from <= last; ) {
      const rows = await store.journal.read(from, rowsAtOnce)
      if (rows.length === 0) return
      for (const row of rows) {
        decodeRecords(row.records, row.count).forEach((record, at) => {
          const index = row.firstIndex + at
          if (index < first || index > last) return
          const { kind, ...fields } = record
          if (options.json) printJson({ index, epoch: row.epoch, kind, ...fields })
          else printLine(`${styled('dim', `#${index} epoch ${row.epoch}`)}  ${styled('bold', kind)}  ${harmless(JSON.stringify(fields))}`)
        })
        from = row.firstIndex + row.count
      }
    }
  } finally {
    await store.close()
  }
}
