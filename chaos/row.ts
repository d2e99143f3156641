// Owns what a row of the chaos table is, and what came of running it.
// Must not run one.

/** What came of a row. */
export interface RowOutcome {
  /** Faults that are proved to have happened. 0: the run is void. */
  fired: number
  /** Calls of clients, and those that succeeded; a run in which fewer than half did is void. Undefined: the row has no clients. */
  calls?: number
  callsOk?: number
  /** What did not hold, in words. */
  problems: string[]
  /** What was counted, in one line. */
  told: string
  /** Why nothing could be done here. */
  skipped?: string
}

/** How much of it is wanted. */
export interface RowOptions {
  /** How often the fault is made, where that can be said. */
  rounds: number
  /** A part of it, so that it ends soon. */
  short: boolean
}

/** One row. */
export interface Row {
  name: string
  /** Of the fault matrix. */
  numbers: readonly number[]
  /** How the fault is made. */
  fault: string
  /** What must hold. */
  holds: string
  /** In `--ci`, with so many rounds. */
  ci?: number
  /** Rounds where nothing else is said. */
  rounds: number
  run(options: RowOptions): Promise<RowOutcome>
}

const okPartMin = 0.5

/** Why an outcome is no good, or undefined. */
export function verdict({ fired, calls, callsOk = 0, problems, skipped }: RowOutcome): 'held' | 'broke' | 'void' | 'skipped' {
  if (skipped !== undefined) return 'skipped'
  if (problems.length > 0) return 'broke'
  if (fired === 0 || (calls !== undefined && callsOk < calls * okPartMin)) return 'void'
  return 'held'
}
