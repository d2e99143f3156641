// Owns how a story names runs of tasks.
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
