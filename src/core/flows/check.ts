// Owns the invariants of workflows: no step begins before what it needs, each ends once, and what is counted adds up. For tests.
// Must not repair anything.
import type { Job } from '../jobs/state.ts'
import type { StepTable } from './state.ts'

function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`invariant broken: ${what}`)
}

/** Throws if an invariant of this workflow is broken. */
export function checkFlow(job: Job, flow: StepTable): void {
  const name = job.plan.job
  if (job.state === 'cancelled') return
  assert(!job.cancelling || flow.frames[0]!.broken, `${name} is being cancelled, and is not broken`)
  const held = job.stages.map(() => 0)
  const open = flow.frames.map(() => 0)
  for (let step = 0; step < flow.count; step++) {
    const status = flow.status(step)
    assert(flow.settled(step) === (flow.times.ended(step) !== undefined), `step ${step} of ${name} is ${status}: when it ended is not so`)
    const text = `step ${step} of ${name}, which is ${status}`
    if (!flow.settled(step) && !flow.isUndo(step)) open[flow.frameNumber(step)]!++
    if (status === 'waiting' && flow.widthNeed(step) === undefined && flow.kind(step) === 'tasks' && flow.damage(step) === undefined)
      held[flow.stage(step)]! += flow.width(step)
    if (status === 'succeeded' || status === 'failed') assert(flow.left(step) === 0, `${text}, has tasks left`)
    if (status === 'waiting' || status === 'skipped' || status === 'cancelled') continue
    // What it needed may wait again, for others.
    if (flow.reruns > 0 && flow.settled(step)) continue
    for (const { kind, step: before } of flow.needs(step)) {
      assert(before < step, `${text}, needs a later one`)
      const producer = flow.status(before)
      if (kind === 'value' || kind === 'all' || kind === 'spread' || kind === 'taken' || kind === 'untaken' || kind === 'undo')
        assert(producer === 'succeeded', `${text}, began before step ${before} succeeded`)
      else if (kind === 'after') assert(producer === 'succeeded' || producer === 'skipped', `${text}, began before step ${before} ended`)
      else if (kind === 'failure')
        assert(producer === 'failed' || producer === 'cancelled', `${text}, began though step ${before} did not fail`)
      else if (kind === 'option') assert(flow.settled(before), `${text}, chose before step ${before} ended`)
      else assert(producer !== 'waiting', `${text}, began before step ${before} did`)
    }
  }
  for (const [number, frame] of flow.frames.entries())
    assert(open[number] === frame.open, `frame ${number} of ${name} miscounts its open steps`)
  for (const stage of job.stages) {
    // Its steps are still to come.
    if (!stage.sealed) continue
    if (stage.wide < 0) assert(stage.heldCount === held[stage.number], `stage ${stage.number} of ${name} miscounts the tasks that wait`)
    else {
      const kept = stage.held.ranges.reduce((sum, range) => sum + range.count, 0)
      assert(stage.heldCount === kept, `stage ${stage.number} of ${name} miscounts the tasks of its step that wait`)
    }
  }
  assert(!flow.ended || flow.frames.every(frame => frame.open === 0), `${name} has ended and has open steps`)
}
