// Owns what workloads do to workflows that run: they are paused, cancelled, taken back, and go on.
// Must not know what a workflow is made of.
import { Gone, type Tools } from './workload.ts'

/** The job is paused, or goes on. */
export async function pause(tools: Tools, job: string, known: Set<string>, paused: boolean): Promise<void> {
  const handle = tools.cluster.job(job)
  if (paused) known.add(job)
  // It may have ended meanwhile.
  const answer = await tools.excused(() => (paused ? handle.pause() : handle.resume()), ['JOB_ENDED', 'NOT_FOUND'])
  if (!paused && !(answer instanceof Gone && answer.code === 'CONNECTION_LOST')) known.delete(job)
}

/** It is paused for some time. */
export async function pauseAWhile(tools: Tools, job: string, paused: Set<string>): Promise<void> {
  await pause(tools, job, paused, true)
  await tools.pause(tools.random.exponential(80))
  await pause(tools, job, paused, false)
}

/** It is cancelled, and goes on from where it stood: each step gets what it must get all the same. */
export async function interrupt(tools: Tools, job: string): Promise<void> {
  tools.mayBeCancelled(job)
  await tools.call('cancel', job, '', async () => {
    await tools.cluster.job(job).cancel()
    return true
  })
  for (let tries = 0; tries < 20; tries++) {
    await tools.pause(tools.random.exponential(60))
    // Something of it may still be stopping; or it had succeeded before.
    const done = await tools.call('rerun', job, '', async () => {
      await tools.cluster.job(job).rerun()
      return true
    })
    if (done) return
  }
}

/** It is cancelled, and takes back first what it did; seldom that takes too long for somebody. */
export async function takeBack(tools: Tools, job: string): Promise<void> {
  const cancel = (compensate: boolean): Promise<boolean | undefined> =>
    tools.call(compensate ? 'compensate' : 'cancel', job, '', async () => {
      await tools.cluster.job(job).cancel(undefined, { compensate })
      return true
    })
  tools.mayBeCancelled(job)
  await tools.pause(tools.random.exponential(60))
  await cancel(true)
  if (!tools.random.chance(0.2)) return
  await tools.pause(tools.random.exponential(40))
  await cancel(false)
}
