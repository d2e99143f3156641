// Owns `cox down`: it stops what `cox up` started in this state folder, also in the background, and waits for its end.
// Must not signal a process that is not the one written down (a pid alone is not enough).
import type { Command } from 'commander'
import { durationArgument } from '../arguments.ts'

interface DownOptions {
  force?: boolean
  timeout: number
  json?: boolean
}

const livesPollMs = 20
/** When --force asks a second time, and when it kills. */
const askAgainAfterMs = 100
const killAfterMs = 2_000

/** Declares the verb. */
export function declare(program: Command): void {
  program
    .command('down')
    .summary('stop the cluster of this machine')
    .description(
      'Stops the cluster that `cox up` runs in this state folder, and waits until it is gone. What was acknowledged is there again at the next `cox up`.',
    )
    .option('--force', 'do not wait for running tasks; kill what does not end')
    .option('--timeout <duration>', 'how long to wait', durationArgument, 60_000)
    .addHelpText('after', '\nExamples:\n  cox down\n  cox down --force')
    .action(down)
}

async function down(options: DownOptions): Promise<void> {
  const { rmSync } = await import('node:fs')
  const { CoxswainError } = await import('../../protocol/errors.ts')
  const { printJson, printLine } = await import('../output/print.ts')
  const { Home } = await import('../state/home.ts')
  const { lives, signalProcess } = await import('../state/processes.ts')
  const { readUpFile } = await import('../state/up-file.ts')
  const home = new Home()
  const found = readUpFile(home)
  const all = found ? [found.supervisor, ...found.nodes] : []
  const living = (): number[] => all.filter(lives).map(({ pid }) => pid)
  if (!found || living().length === 0) {
    if (options.json) printJson({ stopped: false, home: home.path })
    else printLine(`Nothing is up in ${home.path}.`)
    return
  }
  // Node processes that lost their supervisor are told directly.
  if (!signalProcess(found.supervisor, 'SIGTERM')) for (const node of found.nodes) signalProcess(node, 'SIGTERM')
  let forced = false
  for (const startedMs = performance.now(); living().length > 0; ) {
    const waitedMs = performance.now() - startedMs
    // The supervisor takes a second request as: at once. Two in the same moment would be one for the system.
    if (options.force && !forced && waitedMs > askAgainAfterMs) forced = signalProcess(found.supervisor, 'SIGTERM')
    if (options.force && waitedMs > killAfterMs) for (const one of all) signalProcess(one, 'SIGKILL')
    if (waitedMs > options.timeout) {
      const message = `It has not ended within ${options.timeout} ms (pids ${living().join(', ')}); force it with: cox down --force`
      throw new CoxswainError('UNAVAILABLE', message, { id: home.path })
    }
    await new Promise<void>(resolve => setTimeout(resolve, livesPollMs))
  }
  // A supervisor that was killed could not put these away.
  for (const path of [home.up, home.endpoint]) rmSync(path, { force: true })
  if (options.json) printJson({ stopped: true, home: home.path, supervisor: found.supervisor.pid })
  else printLine(`Stopped: supervisor with pid ${found.supervisor.pid} in ${home.path}.`)
}
