// Owns random graphs of steps: which step needs which, the same for the same seed, and what each of them must come to.
// Must not know how a step is run.

/** The needs of each step: numbers of steps before it. The last step needs all others, directly or through others. */
export type Graph = number[][]

const needsMax = 3
/** How many results one collecting step gets. */
const fanIn = 50
const modulus = 1_000_003

/** Numbers below `limit`, the same for the same seed (xorshift). */
function numbers(seed: number): (limit: number) => number {
  let state = Math.imul(seed, 0x9e3779b1) | 1
  return limit => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

/** So many steps with up to three needs each, at random of all before them, and the steps that collect what nobody needs, until one is left. */
export function randomGraph(steps: number, seed: number): Graph {
  const random = numbers(seed)
  const graph: Graph = []
  const wanted = new Set<number>()
  for (let step = 0; step < steps; step++) {
    const needs = new Set<number>()
    if (step > 0) for (let count = random(needsMax + 1); count > 0; count--) needs.add(random(step))
    for (const need of needs) wanted.delete(need)
    graph.push([...needs])
    wanted.add(step)
  }
  let open = [...wanted]
  while (open.length > 1) {
    const collected: number[] = []
    for (let first = 0; first < open.length; first += fanIn) collected.push(graph.push(open.slice(first, first + fanIn)) - 1)
    open = collected
  }
  return graph
}

/** What a step comes to that has this number and gets these results. */
export function stepValue(step: number, parts: readonly number[]): number {
  return parts.reduce((sum, part) => (sum + part) % modulus, step % modulus)
}

/** What the last step must come to. */
export function graphValue(graph: Graph): number {
  const values: number[] = []
  for (const [step, needs] of graph.entries())
    values.push(
      stepValue(
        step,
        needs.map(need => values[need]!),
      ),
    )
  return values.at(-1)!
}
