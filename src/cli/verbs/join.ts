// Owns `cox join TOKEN`: this machine becomes a node of a cluster. Must not print or log the token, and must not start the node.
import { type Command, InvalidArgumentError } from 'commander'
import { type NodeRole, nodeRoles } from '../../protocol/index.ts'

interface JoinOptions {
  tokenFile?: string
  role?: NodeRole
  name?: string
  advertise?: string
  json?: boolean
}

/** A role off the command line. */
export function nodeRoleArgument(text: string): NodeRole {
  const role = nodeRoles.find(one => one === text)
  if (!role) throw new InvalidArgumentError(`It must be ${nodeRoles.join(' or ')}.`)
  return role
}

/** Declares the verb. */
export function declare(program: Command): void {
  program
    .command('join')
    .summary('make this machine a node of a cluster')
    .description('Makes a key here, has it signed by the cluster that made the token, and keeps all of it in the state folder.')
    .argument('[token]', 'the join token; `-` reads it from stdin')
    .option('--token-file <file>', 'read the join token from this file')
    .option('--role <role>', 'worker or candidate (default: that of the token)', nodeRoleArgument)
    .option('--name <name>', 'name of this node (default: the name of the machine)')
    .option('--advertise <host:port>', 'where other machines reach this candidate')
    .addHelpText(
      'after',
      '\nArguments can be seen by other users of this machine: a file or stdin keeps the token from them.\n\nExamples:\n  cox join coxj_…\n  cox join - < token\n  cox join --token-file token --role candidate --advertise cox2.example:4700',
    )
    .action(join)
}

async function tokenText(given: string | undefined, file: string | undefined): Promise<string> {
  const { CoxswainError } = await import('../../protocol/index.ts')
  const { readFile } = await import('node:fs/promises')
  if (file !== undefined && given === undefined)
    return readFile(file, 'utf8').catch(error => {
      throw new CoxswainError('INVALID_ARGUMENT', `The file ${file} cannot be read.`, { id: file, cause: error })
    })
  if (given === undefined || file !== undefined)
    throw new CoxswainError('USAGE', 'Give the join token as an argument, as `-` for stdin, or with --token-file: one of them.')
  if (given !== '-') return given
  const { text } = await import('node:stream/consumers')
  return text(process.stdin)
}

async function join(given: string | undefined, options: JoinOptions): Promise<void> {
  const { hostname } = await import('node:os')
  const { enrol, nodeNameOf } = await import('../authority/enrol.ts')
  const { parseJoinToken } = await import('../authority/token.ts')
  const { Home, prepareHome } = await import('../state/home.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  const token = await tokenText(given, options.tokenFile)
  const role = options.role ?? parseJoinToken(token).role
  const home = new Home()
  prepareHome(home)
  const name = options.name ?? nodeNameOf(hostname(), role)
  const { advertise: address } = options
  const node = await enrol(token, { role, name, folder: home.node, ...(address !== undefined && { address }) })
  if (options.json) return printJson(node)
  printLine(`${harmless(node.name)} is a ${node.role} of cluster ${harmless(node.cluster)}; its certificate renews itself.`)
  printLine(node.role === 'candidate' ? 'Start it with: cox up --journal URL' : 'Start it with: cox up')
}
