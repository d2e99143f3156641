// Owns the begin of watching a job: from which fact on a client is told, and what it is told of those before.
// Must not know what a client asked for.
import { catchUp, pastOf } from './catchup.ts'
import type { LeaderContext } from './context.ts'
import { isArchived, tellArchived } from './history.ts'
import type { ClientLink } from './links.ts'

/** From now on it is sent what is recorded about the job. What was recorded before is sent by the call that is returned. */
export function beginWatch(context: LeaderContext, link: ClientLink, job: string): () => void {
  if (link.closed) return () => {}
  const past = pastOf(context, job)
  context.links.watch(link, job, context.state.index)
  if (!past) return isArchived(context, job) ? () => void tellArchived(context, link, job) : () => {}
  link.catchingUp.set(job, past)
  return () => {
    catchUp(context, link, past).catch((error: unknown) => {
      context.platform.log('error', 'catch-up-failed', { job, error: String(error) })
      link.connection.close('its results cannot be read')
    })
  }
}
