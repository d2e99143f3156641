// Owns triggers as a client holds them: making them known to the cluster, and what can be done with one.
// Must not start a run: the leader does, with the event.
import { createHash } from 'node:crypto'
import { CoxswainError, encodeStored, eventStepName, limits, type TriggerSpec, type TriggerView } from '../protocol/index.ts'
import { prepareFlow } from './flow/flow-jobs.ts'
import { type WorkflowOf, workflow } from './flow/workflow.ts'
import type { Parts } from './parts.ts'
import { messageOf, type Submitter } from './submitter.ts'
import type { Trigger } from './trigger.ts'

/** A trigger that the cluster knows. */
export class TriggerHandle {
  readonly name: string
  readonly #parts: Parts

  /** @internal Made by `cluster.on`. */
  constructor(parts: Parts, name: string) {
    this.#parts = parts
    this.name = name
  }

  /** How it stands. Rejects with NOT_FOUND. */
  async status(): Promise<TriggerView> {
    const reply = await this.#parts.session.request({ kind: 'ask', view: 'triggers', argument: JSON.stringify({ name: this.name }) })
    const [view] = JSON.parse(reply.kind === 'view' ? reply.body : '[]') as TriggerView[]
    if (!view) throw new CoxswainError('NOT_FOUND', `There is no trigger ${this.name}.`, { id: this.name })
    return view
  }

  /** Events start nothing until `resume`; what runs goes on. Resolves when that is durable. */
  async pause(): Promise<void> {
    await this.#change('pause')
  }

  /** Events start it again; those that came meanwhile do not. */
  async resume(): Promise<void> {
    await this.#change('resume')
  }

  /** Forgets the trigger; what runs goes on. */
  async delete(): Promise<void> {
    await this.#change('delete')
  }

  async #change(change: 'pause' | 'resume' | 'delete'): Promise<void> {
    await this.#parts.session.request({ kind: 'changeTrigger', trigger: this.name, change })
  }
}

/** A workflow that waits for the event and hands it on: its first step is woken by the event that starts it, and brings the payload. */
function runOf({ event, key, workflow: flow, task }: Trigger<never>): WorkflowOf<undefined, unknown> {
  const what = (flow ?? task)! as WorkflowOf<unknown, unknown>
  const { name, module, external } = what
  return workflow({
    ...{ name, module, external: [...external] },
    build: steps => steps.run(what, steps.waitForEvent(event, key === undefined ? {} : { key })),
  })
}

/** Makes a trigger known. Rejects with TRIGGER_CHANGED where there is another one of its name and `replace` is not set. */
export async function setTrigger(parts: Parts, submitter: Submitter, definition: Trigger<never>, replace: boolean): Promise<TriggerHandle> {
  if ((definition as { kind?: unknown } | undefined)?.kind !== 'trigger')
    throw new CoxswainError('INVALID_ARGUMENT', 'The first argument is not a trigger: pass what trigger() returned.')
  const { name, event, key = '', labels = [], priority = 0 } = definition
  const options = { id: `${name}@event`, labels: [...labels, `trigger:${name}`], priority }
  const job = { ...(await prepareFlow(parts, runOf(definition) as WorkflowOf<unknown, unknown>, undefined, options, true)), patienceMs: 0 }
  const { plan } = job
  // The input of a run comes with its event.
  const bytes = encodeStored(messageOf({ ...job, inputs: [] }))
  if (bytes.length > limits.triggerBytesMax)
    throw new CoxswainError(
      'INVALID_TRIGGER',
      `Trigger ${name}: its labels and resources take more than ${limits.triggerBytesMax} bytes.`,
      {
        id: name,
      },
    )
  const spec: TriggerSpec = {
    trigger: name,
    contentHash: createHash('sha256')
      .update(JSON.stringify([eventStepName(event, key), labels, priority, plan.contentHash]))
      .digest('hex'),
    ...{ event, key },
    name: plan.name,
    programs: [...new Set(plan.stages.map(stage => stage.program))],
  }
  await submitter.withPrograms([job], () => parts.session.request({ kind: 'setTrigger', spec, submission: bytes, replace }))
  return new TriggerHandle(parts, name)
}
