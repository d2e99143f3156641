// Owns `cox logout`: forgets what `cox login` keeps. Must not revoke the token: that is for an admin.
import type { Command } from 'commander'

/** Declares the verb. */
export function declare(program: Command): void {
  program
    .command('logout')
    .summary('forget the cluster that was logged in to')
    .description(
      'Removes the address and the token of `cox login` from the state folder. The token itself stays good: `cox user revoke` ends it.',
    )
    .addHelpText('after', '\nExamples:\n  cox logout')
    .action(logout)
}

async function logout({ json }: { json?: boolean }): Promise<void> {
  const { printJson, printLine } = await import('../output/print.ts')
  const { removeLogin } = await import('../state/login.ts')
  const { Home } = await import('../state/home.ts')
  const was = removeLogin(new Home())
  if (json) printJson({ loggedOut: was })
  else printLine(was ? 'Logged out.' : 'Nobody was logged in.')
}
