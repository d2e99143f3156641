// Owns taking a port that may still be the predecessor's for a moment. Must not accept anyone.
import type { Listener, ListenOptions, Platform } from '../platform/index.ts'
import { CoxswainError } from '../protocol/index.ts'

/** So long a new leader waits for its port, and this is how often it tries. */
const portFreeMsMax = 2000
const portRetryMs = 20

/** Listens; a port of one's own that is taken is tried for a while if `takesOver`. Throws ADDRESS_IN_USE. */
export async function listenAt<P>({ clock, transport }: Platform, options: ListenOptions<P>, takesOver: boolean): Promise<Listener> {
  const untilMs = clock.monotonicMs() + (takesOver && options.port !== 0 ? portFreeMsMax : 0)
  for (;;) {
    try {
      return await transport.listen(options)
    } catch (error) {
      if (!(error instanceof CoxswainError) || error.code !== 'ADDRESS_IN_USE' || clock.monotonicMs() >= untilMs) throw error
      await new Promise<void>(resolve => clock.timer(portRetryMs, resolve))
    }
  }
}
