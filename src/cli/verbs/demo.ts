// Owns `cox demo [folder]` and `cox demo query WORD`.
// Must not hold the demo itself: that is in demo/.
import type { Command } from 'commander'
import { integerArgument } from '../arguments.ts'

/** Options of `cox demo`. */
export interface DemoOptions {
  home?: string
  workers?: number
  json?: boolean
  kill: boolean
}

const workersMax = 256

/** Declares the verb. */
export function declare(program: Command): void {
  const demo = program
    .command('demo')
    .summary('index the words of a folder on a cluster of its own')
    .description(
      'Starts a cluster for itself, counts the words and identifiers of all text files below the folder (fan-out over groups of files, merged as a tree), ' +
        'prints the top 25 and writes the index to a file that `cox demo query WORD` reads. In the middle of it the leader is killed with SIGKILL, and a standby takes over. Default: the checkout that it runs from, else the current folder.',
    )
    .argument('[folder]', 'the folder')
    .option('--home <folder>', 'state folder for its cluster and the index (default: a temporary one; the index goes to the usual one)')
    .option('--workers <n>', 'worker processes (default: one per core)', integerArgument(1, workersMax))
    .option('--no-kill', 'do not kill the leader in the middle')
    .addHelpText('after', '\nExamples:\n  cox demo\n  cox demo ~/src\n  cox demo query connect')
    .action(async (folder: string | undefined, options: DemoOptions) => {
      const { demo: run } = await import('../demo/demo.ts')
      process.exitCode = await run(folder, options)
    })
  demo
    .command('query')
    .summary('look a word up in the index of the last demo')
    .description('Looks a word up in the index that `cox demo` wrote last: how often it occurs, in how many files, and where most.')
    .argument('<word>', 'a word or an identifier')
    .option('--home <folder>', 'the state folder that was given to `cox demo`')
    .addHelpText('after', '\nExamples:\n  cox demo query connect\n  cox demo query 数据 --json')
    .action(async (word: string, options: DemoOptions) => {
      const { query } = await import('../demo/query.ts')
      // `--home` before the word belongs to `demo`, behind it to `query`.
      process.exitCode = await query(word, { ...demo.opts<DemoOptions>(), ...options })
    })
}
