// Owns what simulated tasks of workflows get and give: inputs that were put together on their way, lists, steps of their own.
// Must not know the leader's way of putting them together: it says what must have come.
import {
  decodeTemplate,
  decodeValue,
  type FlowStep,
  type Inputs,
  type ItemPlace,
  itemComposed,
  type Outcome,
  readComposed,
  readItem,
  readTemplate,
  type StagePlan,
} from '../../src/protocol/index.ts'
import { chunkOf } from '../../test/fakes/values.ts'
import { type Fate, resultOf } from './fates.ts'
import { program } from './program.ts'

function valueIn(item: Uint8Array): unknown {
  const read = readItem(item)
  return 'inline' in read ? decodeValue(read.inline) : undefined
}

function valueAt({ buffer, start, end }: ItemPlace): unknown {
  return valueIn(buffer.subarray(start, end))
}

/** What a task was given: its fate, what is wrong with what came with that, and all that came where it has no fate of its own. */
interface Given {
  fate: Fate
  wrong: string | undefined
  got?: string[]
}

/** What a task says that it got: texts, and of what an event said to others the result that it leads to. */
function textIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  const { key } = (typeof value === 'object' && value !== null ? value : {}) as { key?: unknown }
  return typeof key === 'string' ? [resultOf(key)] : []
}

/** Reads an input. A task without a fate of its own has its name as its key. */
export function readFate(item: Uint8Array, task: string): Given {
  if (item[0] !== itemComposed) return plainFate(valueIn(item), task)
  const { own, parts } = readComposed(item)
  const values = parts.flatMap(part =>
    part.kind === 'nothing'
      ? []
      : part.kind === 'item'
        ? [valueAt(part.item)]
        : part.chunks.flatMap(({ chunk }) => chunk.items(0, chunk.count).map(valueIn)),
  )
  if (!own) {
    const strange = values.find(value => typeof value !== 'string' || !value.startsWith('result of '))
    return {
      fate: { key: task, ms: 1 },
      wrong: values.length > 0 && strange === undefined ? undefined : `it got ${JSON.stringify(values)}`,
      got: values.map(String),
    }
  }
  // What an event started does what the event says.
  const template = readTemplate(own.buffer.subarray(own.start, own.end))
  if (template) return { fate: (decodeTemplate(template.value, hole => values[hole]) as { payload: Fate }).payload, wrong: undefined }
  const fate = valueAt(own) as Fate
  const got = JSON.stringify(values.flatMap(textIn))
  const wanted = JSON.stringify(fate.expects ?? [])
  return { fate, wrong: got === wanted ? undefined : `it got ${got} and should have got ${wanted}` }
}

/** The fate that was sent, or the result of another step that is the input as it is. */
function plainFate(value: unknown, task: string): Given {
  if (typeof value === 'string') {
    const wrong = value.startsWith('result of ') ? undefined : `it got ${JSON.stringify(value)}`
    return { fate: { key: task, ms: 1 }, wrong, got: [value] }
  }
  const fate = (value ?? { key: 'block', ms: 1 }) as Fate
  return {
    fate,
    wrong: (fate.expects ?? []).length === 0 ? undefined : `it got nothing and should have got ${JSON.stringify(fate.expects)}`,
  }
}

/** A stage as clients ask for it. */
export function simStage(task: string): StagePlan {
  const resources = { cpuMillis: 1000, memoryBytes: 0, gpuMillis: 0, named: [] }
  return { task, program: program.id, resources, retry: { retriesMax: 3, backoffBaseMs: 20, backoffMsMax: 100 }, timeoutMs: 0, edges: [] }
}

/** The outcome of a task that has another one than a value. */
export function flowOutcome(fate: Fate, elapsedMicros: number): Outcome | undefined {
  if (fate.spread !== undefined) {
    const items = Array.from({ length: fate.spread }, (_, i) => resultOf(`${fate.key}[${i}]`))
    return { kind: 'spread', items: chunkOf(items), blocks: [], elapsedMicros }
  }
  if (fate.expands === undefined) return undefined
  const inner: Fate[] = Array.from({ length: fate.expands }, (_, i) => {
    const key = `${fate.key}/inner-${i}`
    const fails = fate.breaks && i === fate.expands! - 1 ? 99 : 0
    return { key, ms: 1, fails, ...(i > 0 && { expects: [resultOf(`${fate.key}/inner-${i - 1}`)] }) }
  })
  const steps: FlowStep[] = inner.map((_, i) => ({
    kind: 'tasks',
    stage: 0,
    count: 1,
    name: '',
    amount: 0,
    needs: i === 0 ? [] : [{ kind: 'value', step: i - 1 }],
  }))
  const inputs: Inputs[] = [{ stage: 0, first: 0, items: chunkOf(inner), blocks: [], seal: false }]
  return { kind: 'expanded', stages: [simStage('inner')], inputs, flow: { steps, output: steps.length - 1 }, policies: [], elapsedMicros }
}

/** The space in which tasks write with their results. */
export const committedSpace = 'committed'

/** The result of a task that writes an entry with it. */
export function committedOutcome(fate: Fate, item: unknown, elapsedMicros: number): Outcome {
  return {
    kind: 'committed',
    outcome: { kind: 'finished', count: 1, items: chunkOf([item]), blocks: [], elapsedMicros },
    exchange: { checks: [], grants: [], signals: [], writes: [{ space: committedSpace, key: fate.key, item: chunkOf([item]) }] },
    jobs: [],
  }
}
