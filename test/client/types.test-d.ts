// Holds the types of the client to what users are told. Checked by tsc alone: nothing here runs.
import { z } from 'zod'
import { type Cluster, type CoxswainError, type JobHandle, type TaskInput, type TaskOutput, task } from '../../src/client/index.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type Expect<T extends true> = T

declare const cluster: Cluster

export const resize = task({
  name: 'resize',
  async run({ path, width }: { path: string; width: number }, ctx) {
    ctx.log.info(path)
    ctx.signal.throwIfAborted()
    ctx.progress(0.5, 'half')
    const token: number = ctx.fencingToken
    return { bytes: width + token }
  },
})
export type ResizeTypes = [
  Expect<Equal<TaskInput<typeof resize>, { path: string; width: number }>>,
  Expect<Equal<TaskOutput<typeof resize>, { bytes: number }>>,
]

export const plain = task({ name: 'plain', run: (text: string) => text.length })
export type PlainTypes = [Expect<Equal<TaskInput<typeof plain>, string>>, Expect<Equal<TaskOutput<typeof plain>, number>>]

export const nothing = task({ name: 'nothing', run() {} })
export const withContext = task({ name: 'with-context', run: (_input: undefined, ctx) => ctx.attempt })
export type NothingTypes = [Expect<Equal<TaskOutput<typeof nothing>, void>>, Expect<Equal<TaskOutput<typeof withContext>, number>>]

/** What callers give and what `run` takes differ where a schema transforms. */
export const both = task({
  name: 'both',
  input: z.object({ day: z.string().transform(text => new Date(text)) }),
  output: z.number().transform(String),
  run: ({ day }, ctx) => {
    const date: Date = day
    return date.getTime() + ctx.attempt
  },
})
export type BothTypes = [Expect<Equal<TaskInput<typeof both>, { day: string }>>, Expect<Equal<TaskOutput<typeof both>, string>>]

export const inputOnly = task({ name: 'input-only', input: z.tuple([z.number(), z.string()]), run: async ([n, text]) => text.repeat(n) })
export type InputOnlyTypes = [
  Expect<Equal<TaskInput<typeof inputOnly>, [number, string]>>,
  Expect<Equal<TaskOutput<typeof inputOnly>, string>>,
]

export const outputOnly = task({ name: 'output-only', output: z.object({ n: z.number() }), run: (n: number) => ({ n }) })
export type OutputOnlyTypes = [
  Expect<Equal<TaskInput<typeof outputOnly>, number>>,
  Expect<Equal<TaskOutput<typeof outputOnly>, { n: number }>>,
]

// @ts-expect-error the result does not satisfy the output schema
export const wrongOutput = task({ name: 'wrong', output: z.object({ n: z.number() }), run: (n: number) => ({ n: String(n) }) })

export async function calls(): Promise<void> {
  const resized = await cluster.run(resize, { path: 'a', width: 1 })
  const handle = await cluster.submit(both, { day: '2026-11-23' }, { id: 'x', priority: 3 })
  await cluster.run(nothing)
  await cluster.run(nothing, undefined, { priority: 1 })
  const results = cluster.map(plain, ['a', 'b'])
  const entries = cluster.map(plain, new Set(['a']), { entries: true, ordered: false })
  const yielded = cluster.map(plain, asynchronous(), { errors: 'yield' })
  const yieldedEntries = cluster.map(plain, ['a'], { errors: 'yield', entries: true })
  const job = cluster.job<number>('x')
  for await (const result of results) result.toFixed()
  type Calls = [
    Expect<Equal<typeof resized, { bytes: number }>>,
    Expect<Equal<typeof handle, JobHandle<string>>>,
    Expect<Equal<Item<typeof results>, number>>,
    Expect<Equal<Item<typeof entries>, [index: number, result: number]>>,
    Expect<Equal<Item<typeof yielded>, number | CoxswainError>>,
    Expect<Equal<Item<typeof yieldedEntries>, [index: number, result: number | CoxswainError]>>,
    Expect<Equal<Awaited<ReturnType<typeof job.result>>, number>>,
  ]
  const checked: Calls = [true, true, true, true, true, true, true]
  void checked
  // @ts-expect-error a field is missing
  await cluster.run(resize, { path: 'a' })
  // @ts-expect-error an input is missing
  await cluster.run(resize)
  // @ts-expect-error the input is of another type
  cluster.map(plain, [1, 2])
  // @ts-expect-error no such option
  cluster.map(plain, ['a'], { order: true })
  // @ts-expect-error tasks are referred to by reference, not by name
  await cluster.run('resize', { path: 'a', width: 1 })
}

type Item<I> = I extends AsyncIterable<infer T> ? T : never

async function* asynchronous(): AsyncGenerator<string> {
  yield 'a'
}
