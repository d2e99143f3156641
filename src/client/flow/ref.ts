// Owns what stands for the result of a step while a workflow is built: a Ref, and the types by which it may stand in any value.
// Must not know how steps are kept.
import { CoxswainError } from '../../protocol/index.ts'

declare const refType: unique symbol

/**
 * The result of a step that has not run yet. It can be passed on, inside any input, which makes the step that gets it wait for this one; it cannot be
 * awaited or looked into: what depends on its value belongs into a step.
 */
export interface Ref<out T> {
  readonly [refType]: T
}

/** A value, in which any part may be the result of a step. */
export type Given<T> =
  | T
  | Ref<T>
  | (T extends string | number | boolean | bigint | symbol | null | undefined | Date | ArrayBufferView | ArrayBuffer | Error
      ? never
      : T extends ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>
        ? never
        : { [K in keyof T]: Given<T[K]> })

/** The value that something given will have when it is there. */
export type Resolved<T> =
  T extends Ref<infer V>
    ? V
    : T extends string | number | boolean | bigint | symbol | null | undefined | Date | ArrayBufferView | ArrayBuffer | Error
      ? T
      : { [K in keyof T]: Resolved<T[K]> }

/** What a Ref stands for. */
export type RefTarget =
  /** The result of a step. */
  | { kind: 'value'; step: number }
  /** The results of all tasks of a step. */
  | { kind: 'list'; step: number }
  /** The error of a step that failed. */
  | { kind: 'failure'; step: number }
  /** A value in which there are other Refs. */
  | { kind: 'made'; value: unknown }

/** The build that a Ref belongs to: an object of its own. */
export interface RefOrigin {
  readonly workflow: string
}

/** What a Ref stands for, and in which build. */
interface Known {
  target: RefTarget
  origin: RefOrigin
}

/** By this key, which nobody else has, a Ref tells what it stands for. (A WeakMap of a hundred thousand Refs costs more than all the rest of a build.) */
const known: unique symbol = Symbol('what a Ref stands for')

/** What is done with the Refs of a build, by its origin: all of them refuse the same. */
const refusals = new WeakMap<RefOrigin, ProxyHandler<Known>>()

/** Makes a Ref. Whatever is done with it but passing it on throws INVALID_WORKFLOW, which names the line. */
export function makeRef<T>(target: RefTarget, origin: RefOrigin): Ref<T> {
  let refusal = refusals.get(origin)
  if (!refusal) {
    refusal = refusalOf(origin)
    refusals.set(origin, refusal)
  }
  // A Ref's own field is only a type: nothing of it is ever there to be read.
  return new Proxy<Known>({ target, origin }, refusal) as unknown as Ref<T>
}

function refusalOf(origin: RefOrigin): ProxyHandler<Known> {
  const misuse = (what: string): never => {
    throw new CoxswainError('INVALID_WORKFLOW', `Workflow ${origin.workflow}: ${what}${lineOfUser()}`, { id: origin.workflow })
  }
  const advice = 'it has no value while the workflow is built. Pass it on to a step, and do this there.'
  return {
    get(own, key) {
      if (key === known) return own
      if (key === 'then') return misuse(`the result of a step was awaited or returned from an async function: ${advice}`)
      if (typeof key === 'symbol') return undefined
      return misuse(`the field ${JSON.stringify(key)} of a step's result was read: ${advice}`)
    },
    set: (_, key) => misuse(`the field ${JSON.stringify(String(key))} of a step's result was written: ${advice}`),
    ownKeys: () => misuse(`the result of a step was looked through, or spread with "...": ${advice}`),
    has: (_, key) => (typeof key === 'symbol' ? false : misuse(`the result of a step was looked into: ${advice}`)),
  }
}

/** What a Ref stands for, or undefined for any other value. */
export function refTarget(value: unknown): Known | undefined {
  return typeof value === 'object' && value !== null ? (value as { [known]?: Known })[known] : undefined
}

/** Where in the user's code this happens, as far as the stack tells. */
function lineOfUser(): string {
  const line = (new Error().stack ?? '')
    .split('\n')
    .find(one => /^\s+at /.test(one) && !/client[/\\]flow[/\\]|node:internal|<anonymous>/.test(one))
  const place = line && /\(?((?:file:)?[^()\s]+:\d+:\d+)\)?$/.exec(line)?.[1]
  return place ? ` (${place})` : ''
}
