// Owns `cox secret set|list|delete`: what tasks need and nobody else should see.
// Must not take a secret from the command line, and must not print one.
import type { Command } from 'commander'
import type { SecretView } from '../../protocol/index.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'
import type { Column } from '../output/table.ts'

interface SetOptions extends ClusterOptions {
  file?: string
  jobs?: string[]
}

/** Declares the verb. */
export function declare(program: Command): void {
  const secret = program
    .command('secret')
    .summary('what tasks need and nobody else should see')
    .description(
      'Secrets are kept sealed, and given to the tasks that name them: `secrets: [NAME]` in the definition, `ctx.secret(NAME)` in its code.',
    )
  withClusterOptions(secret.command('set'))
    .summary('set a secret, from stdin or a file')
    .description(
      'Sets a secret, or another value of it. Read from stdin (one line break at its end is left out) or from a file, never from the command line.',
    )
    .argument('<name>', 'its name: letters, digits and _ . -')
    .option('--file <file>', 'read it from this file')
    .option('--jobs <prefix...>', 'only for jobs whose names begin with one of these')
    .addHelpText(
      'after',
      '\nExamples:\n  cox secret set DATABASE_PASSWORD < password.txt\n  cox secret set API_KEY --file key.txt --jobs billing/',
    )
    .action(set)
  withClusterOptions(secret.command('list'))
    .summary('names of all secrets, when they were set and for which jobs')
    .description('Lists the secrets that there are, without what is in them.')
    .addHelpText('after', '\nExamples:\n  cox secret list\n  cox secret list --json')
    .action(list)
  withClusterOptions(secret.command('delete'))
    .summary('delete a secret')
    .description('Deletes a secret: tasks that ask for it from now on fail with SECRET_UNKNOWN.')
    .argument('<name>', 'its name')
    .addHelpText('after', '\nExamples:\n  cox secret delete API_KEY')
    .action(remove)
}

/** Of what is read: a file that is much larger is none that was meant. */
const readBytesMax = 1 << 20

async function readSecret(file: string | undefined): Promise<string> {
  const { CoxswainError } = await import('../../protocol/errors.ts')
  if (file !== undefined) {
    const { readFileSync } = await import('node:fs')
    try {
      return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
    } catch (error) {
      throw new CoxswainError('USAGE', `The file ${file} cannot be read: ${(error as Error).message}`, { id: file, cause: error })
    }
  }
  if (process.stdin.isTTY) process.stderr.write('The secret, then Ctrl-D: ')
  let text = ''
  for await (const piece of process.stdin.setEncoding('utf8')) {
    text += String(piece)
    if (text.length > readBytesMax)
      throw new CoxswainError('USAGE', `More than ${readBytesMax} characters came from stdin: that is no secret.`)
  }
  return text.replace(/\r?\n$/, '')
}

async function set(name: string, { file, jobs = [], ...options }: SetOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const value = await readSecret(file)
  await withCluster(options, cluster => cluster.setSecret(name, value, { jobs }))
  if (options.json) printJson({ secret: name, set: true })
  else printLine(`${harmless(name)} is set${jobs.length > 0 ? `, for jobs named ${jobs.map(harmless).join(', ')}` : ''}.`)
}

async function list(options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { tableLines } = await import('../output/table.ts')
  const secrets = await withCluster(options, cluster => cluster.secrets())
  if (options.json) return printJson(secrets)
  if (secrets.length === 0) return printLine('There is no secret.')
  const columns: Column<SecretView>[] = [
    { title: 'secret', text: ({ name }) => name },
    { title: 'version', text: ({ version }) => `v${version}` },
    { title: 'set at', text: ({ setAtMs }) => new Date(setAtMs).toISOString() },
    { title: 'for', text: ({ jobs }) => (jobs.length > 0 ? jobs.map(one => `${one}…`).join(', ') : 'all jobs') },
  ]
  for (const line of tableLines(columns, secrets)) printLine(line)
}

async function remove(name: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  await withCluster(options, cluster => cluster.deleteSecret(name))
  if (options.json) printJson({ secret: name, deleted: true })
  else printLine(`${harmless(name)} is deleted.`)
}
