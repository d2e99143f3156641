// Owns asking for a workflow to go on from where it failed, also by a corrected program.
// Must not choose what runs again: the leader does.
import { CoxswainError, type StepView } from '../protocol/index.ts'
import { isDefined } from './define.ts'
import { isWorkflow, type WorkflowOf } from './flow/workflow.ts'
import { jobView } from './job-waiting.ts'
import type { Parts } from './parts.ts'

/** Options of `rerun`. */
export interface RerunOptions {
  /** Go on by the definitions of this workflow's program, which are corrected ones. */
  workflow?: WorkflowOf<unknown, unknown>
}

/** Resolves when it is durable that the job goes on. */
export async function rerun(parts: Parts, job: string, { workflow }: RerunOptions): Promise<void> {
  const message = { kind: 'rerunJob' as const, job, rerun: parts.platform.random.uuid() }
  if (workflow === undefined) {
    await parts.session.request({ ...message, program: undefined })
    return
  }
  if (!isWorkflow(workflow))
    throw new CoxswainError('INVALID_TASK', 'workflow is not one: pass what workflow() returned.', { id: 'workflow' })
  await checkSteps(parts, job, workflow)
  const { id: program, bytes } = await parts.programs.get(workflow.module, workflow.external)
  await parts.session.request({ kind: 'putProgram', program, bytes })
  await parts.session.request({ ...message, program })
}

/** Throws STEP_VANISHED if what a step is to run is defined no longer. */
async function checkSteps(parts: Parts, job: string, workflow: WorkflowOf<unknown, unknown>): Promise<void> {
  const { flow, stages } = await jobView(parts, job)
  // The leader says what is wrong with it.
  if (!flow) return
  const vanished = stages.findIndex(stage => !isDefined(stage.task))
  if (vanished < 0) return
  const step = await stepOf(parts, job, vanished)
  const where = step ? `step ${step.step} (${step.name})` : `stage ${vanished}`
  throw new CoxswainError(
    'STEP_VANISHED',
    `The program of ${workflow.name} defines no ${stages[vanished]!.task}, which ${where} of job ${job} runs. Nothing was changed.`,
    { id: stages[vanished]!.task },
  )
}

/** The first step of a stage. */
async function stepOf(parts: Parts, job: string, stage: number): Promise<StepView | undefined> {
  for (let first: number | undefined = 0; first !== undefined; ) {
    const reply = await parts.session.request({ kind: 'ask', view: 'steps', argument: JSON.stringify({ job, first }) })
    const page = JSON.parse(reply.kind === 'view' ? reply.body : 'null') as { steps: StepView[]; next?: number }
    const found = page.steps.find(step => step.stage === stage)
    if (found) return found
    first = page.next
  }
  return undefined
}
