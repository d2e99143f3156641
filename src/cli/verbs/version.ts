// Owns `cox version`: releases and versions of what is run here.
// Must not need a cluster.
import type { Command } from 'commander'
import { protocolVersion, recordVersion, release } from '../../protocol/index.ts'
import { printJson, printLine } from '../output/print.ts'

/** Declares the verb. */
export function declare(program: Command): void {
  program
    .command('version')
    .summary('print releases and versions')
    .description('Prints the release of Coxswain, the versions of its protocol and its records, and Node’s.')
    .addHelpText('after', '\nExamples:\n  cox version\n  cox version --json')
    .action((options: { json?: boolean }) => {
      const { node, v8, sqlite = '' } = process.versions
      if (options.json)
        return printJson({
          release,
          protocol: protocolVersion,
          records: recordVersion,
          node,
          v8,
          sqlite,
          platform: process.platform,
          arch: process.arch,
        })
      printLine(
        `coxswain ${release} (protocol ${protocolVersion}, records ${recordVersion}), Node ${node}, SQLite ${sqlite}, ${process.platform}-${process.arch}`,
      )
    })
}
