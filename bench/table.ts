// Owns how figures are shown: one line per figure, with its bar and whether it is met.
// Must not change a figure.
import type { Figure } from './bar.ts'
import type { MachineLimits } from './machine.ts'
import { figureText, median } from './statistics.ts'

/** True or false for a figure with a bar, undefined for one without. */
export function met(figure: Figure): boolean | undefined {
  if (!figure.bar) return undefined
  const value = median(figure.values)
  // Where the machine cannot tell (no /proc), nothing is claimed.
  if (Number.isNaN(value)) return undefined
  return figure.bar.side === 'at least' ? value >= figure.bar.at : value <= figure.bar.at
}

/** The lines of one bar's figures, with a verdict on each that has a bar unless the sizes were too small for one. */
export function figureLines(figures: readonly Figure[], judged = true): string[] {
  return figures.map(figure => {
    const least = figureText(Math.min(...figure.values))
    const most = figureText(Math.max(...figure.values))
    const middle = `${figureText(median(figure.values))} ${figure.unit}`
    const range = figure.values.length > 1 ? ` (${least} to ${most}, ${figure.values.length} ×)` : ''
    const verdict = judged ? met(figure) : undefined
    const mark = verdict === undefined ? ' ' : verdict ? '✔' : '✖'
    const bar = figure.bar ? `${figure.bar.side === 'at least' ? '≥' : '≤'} ${figureText(figure.bar.at)}` : ''
    return `  ${mark} ${figure.what.padEnd(24)} ${middle.padEnd(26)} ${bar.padEnd(12)}${range}${figure.ratio ? `  = ${figure.ratio}` : ''}`.trimEnd()
  })
}

/** What the machine can do, in one line. */
export function machineLine(machine: MachineLimits): string {
  return [
    `  machine: fdatasync ${figureText(machine.fdatasyncP50Ms)} ms`,
    `SQLite FULL ${figureText(machine.sqliteRecordsPerSecond)} records/s of ${machine.bytesPerRecord} B`,
    `WebSocket ${figureText(machine.echoPerSecond)} echoes/s, one alone ${figureText(machine.echoP50Ms)} ms`,
  ].join(', ')
}
