// Owns `cox user add|list|remove|token|revoke`: who may do what, and their tokens.
// Must not put a token anywhere but on stdout, once.
import { type Command, Option } from 'commander'
import type { IssuedToken } from '../../client/index.ts'
import { type UserRole, userRoles } from '../../protocol/principal.ts'
import { durationArgument, textsArgument } from '../arguments.ts'
import { type ClusterOptions, withCluster, withClusterOptions } from '../cluster.ts'

interface TokenOptions extends ClusterOptions {
  expires: number
}

interface AddOptions extends TokenOptions {
  role: UserRole
  jobs?: string[]
  labels?: string[]
  replace?: boolean
}

const expiresDefaultMs = 90 * 24 * 3_600_000

function withExpiry(command: Command): Command {
  return withClusterOptions(command).option(
    '--expires <duration>',
    'how long the token is good (default: 90d)',
    durationArgument,
    expiresDefaultMs,
  )
}

/** Declares the verb. */
export function declare(program: Command): void {
  const user = program
    .command('user')
    .summary('add, list or remove users, and give or revoke their tokens')
    .description('Users of the cluster, their roles and their tokens: for admins. docs/access.md has what each role may do.')
  withExpiry(user.command('add'))
    .summary('add a user and print its first token')
    .description(
      'Adds a user and prints a token for it, which is told this once. With --replace it changes one that there is, whose tokens stay, and prints none.',
    )
    .argument('<name>', 'letters, digits and . _ @ + -')
    .addOption(new Option('--role <role>', 'what it may do').choices(userRoles).makeOptionMandatory())
    .option('--jobs <prefixes>', 'only jobs, locks, … whose names begin with one of these', textsArgument)
    .option('--labels <labels>', 'only jobs that have one of these labels', textsArgument)
    .option('--replace', 'change a user that there is')
    .addHelpText(
      'after',
      '\nExamples:\n  cox user add alice --role operator\n  cox user add ci --role submitter --jobs ci/ --expires 30d > token.txt',
    )
    .action(add)
  withClusterOptions(user.command('list'))
    .summary('all users with their tokens')
    .description('Lists the users: role, scope, and the ids of their tokens with the time at which each expires.')
    .addHelpText('after', '\nExamples:\n  cox user list')
    .action(list)
  withClusterOptions(user.command('remove'))
    .summary('remove a user with all its tokens')
    .description('Removes a user. Its tokens are worth nothing from that moment on, and its connections end.')
    .argument('<name>', 'the user')
    .addHelpText('after', '\nExamples:\n  cox user remove alice')
    .action(remove)
  withExpiry(user.command('token'))
    .summary('print another token of a user')
    .description('Makes another token of a user and prints it, which is told this once.')
    .argument('<name>', 'the user')
    .addHelpText('after', '\nExamples:\n  cox user token ci --expires 30d > token.txt')
    .action(token)
  withClusterOptions(user.command('revoke'))
    .summary('make a token worth nothing')
    .description('Revokes a token by its id. What is connected with it is disconnected in that moment.')
    .argument('<token-id>', 'its id: `cox user list` has all')
    .addHelpText('after', '\nExamples:\n  cox user revoke 3f9a01c2b7de')
    .action(revoke)
}

/** The token alone on stdout, so that it can go into a file; what there is to say about it beside that. */
async function tell(user: string, issued: IssuedToken, json: boolean | undefined): Promise<void> {
  const { printJson, printLine, printNotice } = await import('../output/print.ts')
  const { harmless, momentText } = await import('../output/text.ts')
  if (json) return printJson({ user, ...issued })
  printNotice(`Token ${issued.id} of ${harmless(user)}, good until ${momentText(issued.expiresAtMs)} UTC. It is shown only now:`)
  printLine(issued.token)
}

async function add(name: string, { role, jobs = [], labels = [], replace = false, expires, ...options }: AddOptions): Promise<void> {
  const issued = await withCluster(options, async ({ access }) => {
    await access.setUser(name, { role, jobs, labels, replace })
    return replace ? undefined : access.issueToken(name, { expires })
  })
  if (issued) return tell(name, issued, options.json)
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  if (options.json) printJson({ user: name, role })
  else printLine(`${harmless(name)} is ${role}.`)
}

async function token(name: string, { expires, ...options }: TokenOptions): Promise<void> {
  await tell(name, await withCluster(options, ({ access }) => access.issueToken(name, { expires })), options.json)
}

async function list(options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { tableLines } = await import('../output/table.ts')
  const { momentText } = await import('../output/text.ts')
  const users = await withCluster(options, ({ access }) => access.users())
  if (options.json) return printJson(users)
  if (users.length === 0) return printLine('No users.')
  const lines = tableLines(
    [
      { title: 'USER', text: user => user.name },
      { title: 'ROLE', text: user => user.role },
      { title: 'JOBS', text: user => user.jobPrefixes.join(', ') },
      { title: 'LABELS', text: user => user.labels.join(', ') },
      {
        title: 'TOKENS',
        text: user =>
          user.tokens
            .map(({ id, expiresAtMs, expired }) => `${id} ${expired ? 'expired' : `until ${momentText(expiresAtMs).slice(0, 10)}`}`)
            .join(', '),
      },
    ],
    users,
  )
  for (const line of lines) printLine(line)
}

async function remove(name: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  await withCluster(options, ({ access }) => access.deleteUser(name))
  if (options.json) printJson({ user: name, removed: true })
  else printLine(`Removed: ${harmless(name)}.`)
}

async function revoke(id: string, options: ClusterOptions): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { harmless } = await import('../output/text.ts')
  await withCluster(options, ({ access }) => access.revokeToken(id))
  if (options.json) printJson({ token: id, revoked: true })
  else printLine(`Revoked: ${harmless(id)}.`)
}
