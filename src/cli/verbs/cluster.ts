// Owns `cox cluster init|token|rotate-ca|status`: the authority of a cluster of several machines, and who may join it.
// Must not print a key. A join token is printed once, to whoever asked for it.
import type { Command } from 'commander'
import type { NodeRole, NodesView } from '../../protocol/index.ts'
import { durationArgument, integerArgument } from '../arguments.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'
import { nodeRoleArgument } from './join.ts'

const usesMax = 10_000
const hourMs = 3_600_000

interface TokenOptions {
  role: NodeRole
  uses: number
  expires: number
}

interface FoundOptions extends TokenOptions {
  advertise: string
  name?: string
  json?: boolean
}

function withTokenOptions(command: Command): Command {
  return command
    .option('--role <role>', 'what joins with the token: worker or candidate', nodeRoleArgument, 'worker')
    .option('--uses <n>', 'for how many machines', integerArgument(1, usesMax), 1)
    .option('--expires <duration>', 'how long it is good', durationArgument, hourMs)
}

/** Declares the verb. */
export function declare(program: Command): void {
  const cluster = program
    .command('cluster')
    .summary('a cluster of several machines: its authority, and who may join')
    .description("Machines prove themselves to each other by certificates of the cluster's own authority. See docs/machines.md.")
  withTokenOptions(cluster.command('init'))
    .summary('make the authority, and this machine its first candidate')
    .description(
      'Makes the authority and the certificate of the first candidate in the state folder, and prints the line with which a machine joins.',
    )
    .requiredOption('--advertise <host:port>', 'where other machines reach this candidate')
    .option('--name <name>', 'name of this node (default: the name of the machine, and `-c`)')
    .addHelpText(
      'after',
      '\nExamples:\n  cox cluster init --advertise cox1.example:4700\n  cox cluster init --advertise 10.0.0.1:4700 --uses 20 --expires 2h',
    )
    .action(init)
  withTokenOptions(withClusterOptions(cluster.command('token')))
    .summary('a token with which machines join')
    .description('Prints a join token. Whoever has it may join until it is used or expires: hand it on as a secret.')
    .addHelpText(
      'after',
      '\nExamples:\n  cox cluster token\n  cox cluster token --role candidate\n  cox cluster token --uses 20 --expires 2h',
    )
    .action(token)
  withClusterOptions(cluster.command('rotate-ca'))
    .summary('replace the authority, while all goes on')
    .description('A new authority is believed by all nodes first, then it signs, and the old one goes when no node needs it any more.')
    .addHelpText('after', '\nExamples:\n  cox cluster rotate-ca\n  cox cluster status')
    .action(rotate)
  withClusterOptions(cluster.command('status'))
    .summary('authorities, nodes and join tokens, and when they expire')
    .description('Shows the authorities, whether one replaces another and for whom it waits, the nodes, and the open join tokens.')
    .addHelpText('after', '\nExamples:\n  cox cluster status\n  cox cluster status --json')
    .action(status)
}

async function init(options: FoundOptions): Promise<void> {
  const { hostname } = await import('node:os')
  const { initCluster } = await import('../authority/init.ts')
  const { placeOf } = await import('../authority/pin.ts')
  const { nodeNameOf } = await import('../authority/enrol.ts')
  const { readEndpoint } = await import('../state/endpoint.ts')
  const { Home, prepareHome } = await import('../state/home.ts')
  const { keepUserToken } = await import('../state/tokens.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { advertise: address, role, uses, expires: expiresInMs } = options
  placeOf(address)
  const home = new Home()
  prepareHome(home)
  const name = options.name ?? nodeNameOf(hostname(), 'candidate')
  const cluster = readEndpoint(home)?.cluster ?? ''
  const made = await initCluster({ folder: home.node, cluster, name, address, token: { role, uses, expiresInMs } })
  keepUserToken(home, made.adminToken)
  const { adminToken: _, ...told } = made
  if (options.json) return printJson(told)
  printLine(`Cluster ${made.cluster}, authority ${made.authority.slice(0, 16)}, first candidate ${name} at ${address}.`)
  printLine(`Machines join, until ${new Date(made.expiresAtMs).toISOString()}, as ${role}:`)
  printLine(`  cox join ${made.joinToken}`)
  printLine('This user is `admin` of the cluster: its token is in the state folder. `cox user add` makes others.')
}

async function token(options: ClusterOptions & TokenOptions): Promise<void> {
  const { formatJoinToken } = await import('../authority/token.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { role, uses, expires } = options
  const made = await withCluster(options, cluster => cluster.nodes.makeToken({ role, uses, expires }))
  const word = formatJoinToken(made)
  if (options.json) printJson({ joinToken: word, role, uses, expiresAtMs: made.expiresAtMs })
  else printLine(word)
}

async function rotate(options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  await withCluster(options, cluster => cluster.nodes.rotateAuthority())
  if (options.json) printJson({ rotating: true })
  else printLine('Another authority is on its way: `cox cluster status` shows how far.')
}

async function status(options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { nodeLines } = await import('../output/nodes.ts')
  const { harmless } = await import('../output/text.ts')
  const view: NodesView = await withCluster(options, cluster => cluster.nodes.view())
  if (options.json) return printJson(view)
  if (view.authorities.length === 0) return printLine('A cluster of one machine: it has no authority for certificates.')
  for (const { authority, state, expiresAtMs } of view.authorities)
    printLine(`authority ${authority.slice(0, 16)}  ${state}  until ${new Date(expiresAtMs).toISOString()}`)
  if (view.rotation)
    printLine(
      `One replaces the other (${view.rotation.step}); it waits for ${view.rotation.waitsFor.map(harmless).join(', ') || 'nobody'}.`,
    )
  for (const line of nodeLines(view.nodes)) printLine(line)
  for (const one of view.tokens)
    printLine(`join token ${harmless(one.token)}  ${one.role}  ${one.usesLeft} left  until ${new Date(one.expiresAtMs).toISOString()}`)
  if (view.revoked > 0) printLine(`${view.revoked} revoked certificates have not expired by themselves.`)
}
