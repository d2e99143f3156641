// Owns triggers as a client holds them: making them known to the cluster, and what can be done with one.
// Must not start a run: the leader does, with the event.
import { CoxswainError, encodeStored, eventStepName, limits, type TriggerSpec, type TriggerView } from '../protocol/index.ts'
import { prepareFlow } from './flow/flow-jobs.ts'
import { type WorkflowOf, workflow } from './flow/workflow.ts'
import type { Parts } from './parts.ts'
import { changeStarter, checkStarter, starterSpec, starterView } from './starters.ts'
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
  status(): Promise<TriggerView> {
    return starterView(this.#parts, 'trigger', this.name)
  }

  /** Events start nothing until `resume`; what runs goes on. Resolves when that is durable. */
  pause(): Promise<void> {
    return changeStarter(this.#parts, 'trigger', this.name, 'pause')
  }

  /** Events start it again; those that came meanwhile do not. */
  resume(): Promise<void> {
    return changeStarter(this.#parts, 'trigger', this.name, 'resume')
  }

  /** Forgets the trigger; what runs goes on. */
  delete(): Promise<void> {
    return changeStarter(this.#parts, 'trigger', this.name, 'delete')
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
  checkStarter(definition, 'trigger')
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
  const spec: TriggerSpec = { trigger: name, event, key, ...starterSpec([eventStepName(event, key), labels, priority], plan) }
  await submitter.withPrograms([job], () => parts.session.request({ kind: 'setTrigger', spec, submission: bytes, replace }))
  return new TriggerHandle(parts, name)
}
