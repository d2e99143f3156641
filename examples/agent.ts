// Shows an agent loop: plan, act, observe, until a model says that it is done. The workflow is its own step, so each round is durable.
// Run it with: node examples/agent.ts (it starts a cluster for itself where none is up). In your own project import from 'coxswain'.
import { connect, task, type Workflow, workflow } from '../src/index.ts'

/** What a model is asked and answers. Put a real one behind it. */
interface Model {
  next(goal: number, seen: readonly number[]): { act: number } | { answer: string }
}

/** Looks for a number by halves: a stand-in that needs several rounds. */
const model: Model = {
  next(goal, seen) {
    const last = seen.at(-1)
    if (last === goal) return { answer: `found ${goal} after ${seen.length} looks` }
    const low = Math.max(0, ...seen.filter(one => one < goal))
    const high = Math.min(1024, ...seen.filter(one => one > goal))
    return { act: Math.floor((low + high) / 2) }
  },
}

const think = task({
  name: 'think',
  retries: 2,
  run: ({ goal, seen }: { goal: number; seen: number[] }) => model.next(goal, seen),
})

const act = task({ name: 'act', retries: 2, run: ({ seen, look }: { seen: number[]; look: number }) => [...seen, look] })

interface Round {
  goal: number
  seen: number[]
  /** What the model said about them. */
  said: { act: number } | { answer: string }
}

const round: Workflow<Round, string> = workflow({
  name: 'round',
  build(flow, { goal, seen, said }: Round) {
    if ('answer' in said) return said.answer
    const observed = flow.run(act, { seen, look: said.act })
    return flow.run(round, { goal, seen: observed, said: flow.run(think, { goal, seen: observed }) })
  },
}) as Workflow<Round, string>

/** Goes on until the model has an answer. */
export const agent = workflow({
  name: 'agent',
  build: (flow, goal: number) => flow.run(round, { goal, seen: [], said: flow.run(think, { goal, seen: [] }) }),
})

if (import.meta.main) {
  await using cluster = await connect()
  console.log(await cluster.run(agent, 700))
}
