// Owns the plan of a workflow: steps and what each waits for, as plain data. Which function a step runs is said by its stage.
// Must not hold anything that changes while the workflow runs.
import { Reader } from './bytes.ts'
import { type Codec, enumeration, type Infer, list, string, struct, varint } from './codec.ts'
import { limits } from './limits.ts'

/**
 * What a step needs of an earlier one:
 * - `value`: its result; `all`: the list of the results of all its tasks; `each`: task i needs the result of its task i, and there are as many of them;
 * - `spread`: its result is a list, and there is a task for each item; `fold`: lists of results, `amount` at a time, until one is left;
 * - `after`: that it succeeded or was passed over, and nothing of it;
 * - `taken`, `untaken`: that its result is true, or false, in the sense of `if`;
 * - `failure`: that it failed; its error is received;
 * - `option`: nothing but its end: of several the first that succeeded is the result of a `choice`;
 * - `undo`: that the workflow failed although this one succeeded.
 */
export const needKinds = ['value', 'all', 'each', 'spread', 'fold', 'after', 'taken', 'untaken', 'failure', 'option', 'undo'] as const
/** A way in which a step needs another one. */
export type NeedKind = (typeof needKinds)[number]

/** A need, of a step with a lower number: so there are no cycles. */
export const need = struct({ kind: enumeration(...needKinds), step: varint })
export type Need = Infer<typeof need>

/**
 * What a step is: tasks of a stage, a pause of `amount` ms, a signal by name (for at most `amount` ms, if that is not 0), one of several others, or an
 * event by name and key (likewise).
 */
export const stepKinds = ['tasks', 'sleep', 'signal', 'choice', 'event'] as const
/** A kind of step. */
export type StepKind = (typeof stepKinds)[number]

/** One step of a workflow. */
export const flowStep = struct({
  kind: enumeration(...stepKinds),
  /** Of `tasks`: whose next `count` tasks it has. 0 where the number follows from its needs; the stage is then its own. */
  stage: varint,
  count: varint,
  /** What people call it, or the name of the signal, or of the event with its key. */
  name: string(limits.nameBytesMax),
  amount: varint,
  /** In the order in which its inputs name them. */
  needs: list(need, limits.needsMax),
})
export type FlowStep = Infer<typeof flowStep>

/** Steps in order. */
export type FlowSteps = Iterable<FlowStep> & { readonly length: number }

/** More steps than this are read one by one, when they are looked at. */
const listedStepsMax = 256

/** Steps as they were written. A list of a hundred thousand objects would be the largest thing that a leader ever holds, and garbage at once. */
class EncodedSteps implements FlowSteps {
  /** Their number, and all of them. */
  readonly bytes: Uint8Array
  readonly length: number
  /** Needs of all of them. */
  readonly needs: number

  constructor(bytes: Uint8Array, length: number, needs: number) {
    this.bytes = bytes
    this.length = length
    this.needs = needs
  }

  *[Symbol.iterator](): Generator<FlowStep> {
    const reader = new Reader(this.bytes)
    reader.varint()
    for (let left = this.length; left > 0; left--) yield flowStep.read(reader)
  }
}

/** How many needs these steps have together. */
export function needsOf(steps: FlowSteps): number {
  if (steps instanceof EncodedSteps) return steps.needs
  let needs = 0
  for (const step of steps) needs += step.needs.length
  return needs
}

const listed = list(flowStep, limits.stepsMax)

const steps: Codec<FlowSteps> = {
  shape: listed.shape,
  write(writer, value) {
    if (value instanceof EncodedSteps) return writer.raw(value.bytes)
    writer.varint(value.length)
    for (const step of value) flowStep.write(writer, step)
  },
  read(reader) {
    const from = reader.position
    const count = reader.varint()
    if (count > listedStepsMax && count <= limits.stepsMax) {
      // All of it is read once, so that what comes later can rely on it.
      let needs = 0
      for (let left = count; left > 0; left--) needs += flowStep.read(reader).needs.length
      return new EncodedSteps(reader.buffer.subarray(from, reader.position), count, needs)
    }
    reader.position = from
    return listed.read(reader)
  },
}

/** The steps of a workflow, or of one that became part of another: numbers are counted from its own first step. */
export const flowPlan = struct({ steps, output: varint })
export type FlowPlan = Infer<typeof flowPlan>
/** One whose steps are all at hand, as who makes it has them. */
export interface ListedPlan extends FlowPlan {
  steps: FlowStep[]
}
