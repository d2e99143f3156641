// Owns `cox node candidate|worker`: the processes that a supervisor starts. They are not in the help: nobody starts them by hand.
// Must not load the command tree: a node starts fast.

import { setFlagsFromString } from 'node:v8'
import { trustOwnPaths } from './near.ts'

const usageCode = 2
/** Whatever a node writes is for its user only. */
const ownerOnlyMask = 0o077

/** Runs one node process. */
export async function runNode([kind, ...args]: string[]): Promise<void> {
  process.umask(ownerOnlyMask)
  // The heap has its size. V8 uses no code that was compiled under other flags than those of now: with this one left as it is,
  // all of Node's own modules would be compiled anew in each process and thread, half of their start.
  setFlagsFromString('--initial-heap-size=0')
  trustOwnPaths()
  if (kind === 'candidate') return (await import('./candidate.ts')).runCandidate(args)
  if (kind === 'worker') return (await import('./worker.ts')).runWorker(args)
  process.stderr.write('cox: USAGE: `cox node` is for the supervisor of `cox up`.\n')
  process.exitCode = usageCode
}
