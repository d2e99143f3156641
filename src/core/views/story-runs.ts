// Owns how a story names runs of tasks, and how it takes them off a lane.
// Must not know records.

/** Runs that one line names; the others are counted. */
const partsToldMax = 10

/** Tasks of one run, as a story follows them. */
export interface Told {
  job: string
  stage: number
  first: number
  count: number
  attempt: number
}

/** Tasks of a run in words. */
export function tasksText(run: { first: number; count: number }): string {
  return run.count === 1 ? `task ${run.first}` : `tasks ${run.first} to ${run.first + run.count - 1}`
}

/** The same, with the stage where it is not the first. */
export function inStage(run: { stage: number; first: number; count: number }): string {
  return run.stage === 0 ? tasksText(run) : `${tasksText(run)} of stage ${run.stage}`
}

/** Texts of one line: of many only the first ones are told. */
export function listed(texts: readonly string[]): string {
  const more = texts.length - partsToldMax
  return more > 0 ? `${texts.slice(0, partsToldMax).join(', ')} and ${more} more` : texts.join(', ')
}

/** Takes the next `count` tasks off a lane's runs, and says which they were. */
export function taken(runs: Told[], count: number): Told[] {
  const parts: Told[] = []
  for (let left = count; left > 0 && runs.length > 0; ) {
    const head = runs[0]!
    const part = { ...head, count: Math.min(left, head.count) }
    parts.push(part)
    left -= part.count
    head.first += part.count
    head.count -= part.count
    if (head.count === 0) runs.shift()
  }
  return parts
}
