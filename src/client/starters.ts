// Owns what schedules and triggers are alike in, once a cluster is to know them: checked, described, looked at, paused, resumed, deleted.
// Must not know what starts a run.
import { createHash } from 'node:crypto'
import { CoxswainError, type JobPlan, type ScheduleView, type TriggerView } from '../protocol/index.ts'
import type { Parts } from './parts.ts'

interface StarterViews {
  schedule: ScheduleView
  trigger: TriggerView
}

type StarterKind = keyof StarterViews

/** Throws INVALID_ARGUMENT for what is no definition of this kind. */
export function checkStarter(definition: unknown, kind: StarterKind): void {
  if ((definition as { kind?: unknown } | undefined)?.kind !== kind)
    throw new CoxswainError('INVALID_ARGUMENT', `The first argument is not a ${kind}: pass what ${kind}() returned.`)
}

/** What the cluster is told of what is run, and the hash of all that was asked. */
export function starterSpec(asked: readonly unknown[], plan: JobPlan): { contentHash: string; name: string; programs: string[] } {
  return {
    contentHash: createHash('sha256')
      .update(JSON.stringify([...asked, plan.contentHash]))
      .digest('hex'),
    name: plan.name,
    programs: [...new Set(plan.stages.map(stage => stage.program))],
  }
}

/** How the one of this name stands. Rejects with NOT_FOUND. */
export async function starterView<K extends StarterKind>(parts: Parts, kind: K, name: string): Promise<StarterViews[K]> {
  const reply = await parts.session.request({ kind: 'ask', view: `${kind}s`, argument: JSON.stringify({ name }) })
  const [view] = JSON.parse(reply.kind === 'view' ? reply.body : '[]') as StarterViews[K][]
  if (!view) throw new CoxswainError('NOT_FOUND', `There is no ${kind} ${name}.`, { id: name })
  return view
}

/** Resolves when the change is durable. */
export async function changeStarter(parts: Parts, kind: StarterKind, name: string, change: 'pause' | 'resume' | 'delete'): Promise<void> {
  const named =
    kind === 'schedule' ? ({ kind: 'changeSchedule', schedule: name } as const) : ({ kind: 'changeTrigger', trigger: name } as const)
  await parts.session.request({ ...named, change })
}
