// Owns how the place of a value within a larger one is written for people, such as `input.users[3].name`.
// Must not look into the values themselves.

/** The value under a key of a Map. */
export class EntryStep {
  readonly key: unknown
  constructor(key: unknown) {
    this.key = key
  }
}

/** A key of a Map, by its position. */
export class KeyStep {
  readonly position: number
  constructor(position: number) {
    this.position = position
  }
}

/** A member of a Set, by its position. */
export class MemberStep {
  readonly position: number
  constructor(position: number) {
    this.position = position
  }
}

/** One step into a value: a field, an index, or a step into a Map or Set. */
export type Step = string | number | EntryStep | KeyStep | MemberStep

const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u
const keyLengthMax = 60

function short(text: string): string {
  return JSON.stringify(text.length > keyLengthMax ? `${text.slice(0, keyLengthMax)}…` : text)
}

function stepText(step: Step): string {
  if (typeof step === 'number') return `[${step}]`
  if (typeof step === 'string') return identifier.test(step) && step.length <= keyLengthMax ? `.${step}` : `[${short(step)}]`
  if (step instanceof KeyStep) return `.keys()[${step.position}]`
  if (step instanceof MemberStep) return `.values()[${step.position}]`
  const key = step.key
  if (typeof key === 'string') return `.get(${short(key)})`
  return `.get(${typeof key === 'object' && key !== null ? '{…}' : String(key)})`
}

/** The first `depth` steps from `root` on. */
export function pathText(root: string, steps: readonly Step[], depth: number): string {
  let text = root
  for (let i = 0; i < depth; i++) text += stepText(steps[i]!)
  return text
}
