// Owns starting a cluster for the life of one verb (demo, bench), apart from any other one of this machine.
// Must not leave it running: its supervisor ends when our end of its stdin is closed, however we end.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { CoxswainError } from '../protocol/index.ts'
import { mainModule } from './supervisor/node-process.ts'

/** A cluster of our own. */
export interface OwnCluster {
  /** For `connect`. */
  url: string
  tokenFile: string
  home: string
  /** Ends it and waits until nothing of it is left. */
  stop(): Promise<void>
}

const lastWordsCharacters = 2000

/** Starts one, in a temporary state folder unless one is given. */
export async function startOwnCluster(
  options: { home?: string | undefined; workers?: number | undefined },
  signal: AbortSignal,
): Promise<OwnCluster> {
  const args = ['up', options.home === undefined ? '--ephemeral' : '--attached', '--log-level', 'warn']
  if (options.workers !== undefined) args.push('--workers', String(options.workers))
  // Ctrl-C is for us; the supervisor is told by the end of its stdin.
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', mainModule, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, COX_HOME: options.home ?? '' },
  })
  const ended = once(child, 'exit')
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said = (said + text).slice(-lastWordsCharacters)
  })
  child.stdin.on('error', () => undefined)
  const stop = async (): Promise<void> => {
    child.stdin.end()
    if (child.exitCode === null && child.signalCode === null) await ended
  }
  signal.addEventListener('abort', () => child.stdin.end(), { once: true })
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = JSON.parse(line) as { address: string; home: string }
    return { url: ready.address, tokenFile: join(ready.home, 'tokens', 'user'), home: ready.home, stop }
  }
  await ended
  signal.throwIfAborted()
  throw new CoxswainError('UNAVAILABLE', `The cluster did not start: ${said.trim() || 'it said nothing'}`)
}
