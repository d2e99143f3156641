// Owns Ctrl-C: the first one asks what is under way to stop, the second one forces.
// Must not know what is under way.
import { CoxswainError } from '../protocol/errors.ts'
import { exitCodes } from './exit.ts'

const abort = new AbortController()
let force: () => void = () => process.exit(exitCodes.interrupted)
let installed = false

function interrupted(): void {
  if (abort.signal.aborted) return force()
  abort.abort(new CoxswainError('INTERRUPTED', 'Interrupted.'))
}

/** The signal that SIGINT, SIGTERM and SIGHUP abort. The second of them ends the process, or calls what was given last. */
export function interruption(onForce?: () => void): AbortSignal {
  if (onForce) force = onForce
  if (!installed) for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupted)
  installed = true
  return abort.signal
}
