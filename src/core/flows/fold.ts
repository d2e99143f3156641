// Owns the shape of a fold: which tasks it has, on which level, and whose results each of them gets.
// Must not know what has finished.
import type { Range } from '../../protocol/index.ts'

/** How far a `fold` is: task t of it waits for `waits[t]` results. Level l holds the tasks from `levels[l]` up to `levels[l + 1]`. */
export interface Fold {
  fanIn: number
  levels: number[]
  waits: Int32Array
}

/** A fold of `width` results, `fanIn` at a time, until one is left. Nothing to fold has no tasks; a single result is folded alone. */
export function foldOf(width: number, fanIn: number): Fold {
  const levels = [0]
  const waits: number[] = []
  for (let below = width; below > 0; ) {
    const tasks = Math.ceil(below / fanIn)
    for (let i = 0; i < tasks; i++) waits.push(Math.min(fanIn, below - i * fanIn))
    levels.push(waits.length)
    if (tasks === 1) break
    below = tasks
  }
  return { fanIn, levels, waits: Int32Array.from(waits) }
}

/** The level on which a task is. */
function levelOf(fold: Fold, task: number): number {
  let level = 0
  while (task >= fold.levels[level + 1]!) level++
  return level
}

/** Whose results a task gets: of what is folded (`own` false), or of tasks of the fold itself. */
export function foldedBy(fold: Fold, width: number, task: number): { own: boolean; range: Range } {
  const level = levelOf(fold, task)
  const position = task - fold.levels[level]!
  if (level === 0) return { own: false, range: cut(position * fold.fanIn, fold.fanIn, 0, width) }
  const below = fold.levels[level - 1]!
  return { own: true, range: cut(below + position * fold.fanIn, fold.fanIn, below, fold.levels[level]!) }
}

function cut(first: number, count: number, from: number, end: number): Range {
  const start = Math.max(first, from)
  return { first: start, count: Math.min(first + count, end) - start }
}

/** The task that gets the result of this task of the fold; undefined for the last one. */
export function foldParent(fold: Fold, task: number): number | undefined {
  const level = levelOf(fold, task)
  if (level === fold.levels.length - 2) return undefined
  return fold.levels[level + 1]! + Math.floor((task - fold.levels[level]!) / fold.fanIn)
}
