// Owns `cox login URL`: from then on commands and programs of this user talk to that cluster.
// Must not take a token from the command line, nor keep one that the cluster refuses.
import type { Command } from 'commander'
import { durationArgument } from '../arguments.ts'

interface LoginOptions {
  tokenFile?: string
  caFile?: string
  connectTimeout: number
  json?: boolean
}

const connectTimeoutMs = 10_000
const tokenCharactersMax = 10_000

/** Declares the verb. */
export function declare(program: Command): void {
  program
    .command('login')
    .summary('work with a cluster elsewhere from now on')
    .description(
      'Looks whether the cluster accepts the token, and keeps address and token in the state folder, for this user alone. Commands and programs use it where COX_URL is not set and no cluster is up on this machine.',
    )
    .argument('<url>', 'the address, or several with commas, such as wss://a:4700,wss://b:4700')
    .option('--token-file <file>', 'file with the token (default: it is read from stdin)')
    .option('--ca-file <file>', "the certificates of the cluster's authority, as PEM")
    .option('--connect-timeout <duration>', 'how long to try', durationArgument, connectTimeoutMs)
    .addHelpText(
      'after',
      '\nExamples:\n  cox login wss://cox.example.com:4700 --token-file token.txt\n  cox login wss://cox.example.com:4700 < token.txt',
    )
    .action(login)
}

async function readText(file: string): Promise<string> {
  const { readFileSync } = await import('node:fs')
  const { CoxswainError } = await import('../../protocol/errors.ts')
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new CoxswainError('USAGE', `The file ${file} cannot be read: ${(error as Error).message}`, { id: file, cause: error })
  }
}

async function readToken(file: string | undefined): Promise<string> {
  const { CoxswainError } = await import('../../protocol/errors.ts')
  let text = ''
  if (file !== undefined) text = await readText(file)
  else {
    if (process.stdin.isTTY) process.stderr.write('The token, then Enter and Ctrl-D: ')
    for await (const piece of process.stdin.setEncoding('utf8')) {
      text += String(piece)
      if (text.length > tokenCharactersMax) throw new CoxswainError('USAGE', 'What came from stdin is too long for a token.')
    }
  }
  const token = text.trim()
  // It goes into a header as it is.
  if (!/^[\x21-\x7e]+$/.test(token)) throw new CoxswainError('USAGE', `What came from ${file ?? 'stdin'} is no token.`)
  return token
}

async function login(url: string, { tokenFile, caFile, connectTimeout, json }: LoginOptions): Promise<void> {
  const { connect } = await import('../../client/index.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const { writeLogin } = await import('../state/login.ts')
  const { Home } = await import('../state/home.ts')
  const ca = caFile === undefined ? undefined : await readText(caFile)
  const token = await readToken(tokenFile)
  const cluster = await connect({ url, token, ...(ca !== undefined && { ca }), name: 'cox', timeout: connectTimeout })
  const who = await cluster.access.whoAmI().finally(() => cluster.close())
  writeLogin(new Home(), { url, ...(ca !== undefined && { ca }) }, token)
  if (json) printJson({ url, ...who })
  else printLine(`Logged in at ${harmless(url)} as ${harmless(who.name)}, ${who.roles.join(', ')}.`)
}
