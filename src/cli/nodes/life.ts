// Owns how a node process ends: when its supervisor asks (SIGTERM), when its supervisor is gone (stdin ends), or by its own fault.
// Must not outlive its supervisor, and must not end on Ctrl-C: that is for the supervisor to decide.
import { flushCompileCache } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { announce, failure } from './announce.ts'

/** A node's work, as this file starts and stops it. */
export interface NodeLife {
  /** Resolves when it is ready, with what the supervisor should know. */
  start(): Promise<Record<string, unknown>>
  /** Ends in good order; `hurry` when nobody is there any more to wait for it. */
  stop(reason: string, hurry: boolean): Promise<void>
}

const failedToStartCode = 1
/** How long a node whose supervisor died may take to end. */
const orphanStopMsMax = 5_000

/** Lives one node's life to its end; resolves never, the process exits. */
export async function live(node: NodeLife): Promise<void> {
  let stopping = false
  const stop = (reason: string, hurry: boolean): void => {
    // A second request, or one whose answer takes too long, ends it at once.
    if (stopping) process.exit(failedToStartCode)
    stopping = true
    if (hurry) setTimeout(() => process.exit(failedToStartCode), orphanStopMsMax).unref()
    node.stop(reason, hurry).then(
      () => process.exit(0),
      error => {
        process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
        process.exit(failedToStartCode)
      },
    )
  }
  process.on('SIGINT', () => undefined)
  process.on('SIGHUP', () => undefined)
  process.on('SIGTERM', () => stop('the supervisor stops it', false))
  process.stdin.on('error', () => undefined)
  process.stdin.on('close', () => {
    if (!stopping) stop('its supervisor is gone', true)
  })
  process.stdin.resume()
  // The supervisor may be gone while we still have something to say.
  process.stdout.on('error', () => undefined)
  process.stderr.on('error', () => undefined)
  try {
    const ready = await node.start()
    if (stopping) return
    announce({ ready })
    flushCompileCache()
    // Messages live outside V8's heap. By default each 32 MiB of them cost a full collection, a third of all processor time with 64 KiB tasks;
    // so they count as memory like any other. docs/performance.md has the figures. Not before all is loaded: see main.ts on flags.
    setFlagsFromString('--external-memory-accounted-in-global-limit')
  } catch (error) {
    if (stopping) return
    process.stdout.write(`${JSON.stringify(failure(error))}\n`, () => process.exit(failedToStartCode))
  }
}
