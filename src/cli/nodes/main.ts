// Owns `cox node candidate|worker`: the processes that a supervisor starts. They are not in the help: nobody starts them by hand.
// Must not load the command tree: a node starts fast.

import { setFlagsFromString } from 'node:v8'

const usageCode = 2
/** Whatever a node writes is for its user only. */
const ownerOnlyMask = 0o077

/** Runs one node process. */
export async function runNode([kind, ...args]: string[]): Promise<void> {
  process.umask(ownerOnlyMask)
  // Messages live outside V8's heap. By default each 32 MiB of them cost a full collection, a third of all processor time with 64 KiB tasks;
  // so they count as memory like any other. docs/performance.md has the figures.
  setFlagsFromString('--external-memory-accounted-in-global-limit')
  if (kind === 'candidate') return (await import('./candidate.ts')).runCandidate(args)
  if (kind === 'worker') return (await import('./worker.ts')).runWorker(args)
  process.stderr.write('cox: USAGE: `cox node` is for the supervisor of `cox up`.\n')
  process.exitCode = usageCode
}
