// Owns what the steps of a workflow look like to people: a tree of what needs what, or a diagram for Mermaid.
// Must not ask the cluster anything.
import type { StepView } from '../../protocol/index.ts'
import { countText, durationText, harmless, momentText, type Style, styled } from './text.ts'

const styles: Record<StepView['status'], Style> = {
  waiting: 'dim',
  open: 'cyan',
  succeeded: 'green',
  failed: 'red',
  cancelled: 'yellow',
  skipped: 'dim',
}
const signs: Record<StepView['status'], string> = { waiting: '·', open: '▸', succeeded: '✔', failed: '✖', cancelled: '⊘', skipped: '–' }
/** Steps alike in a row are told as one beyond this. */
const alikeMax = 4

/** What a step gets from others, without what only decides whether it runs. */
const givers = new Set(['value', 'all', 'each', 'spread', 'fold'])

function stepLine(step: StepView): string {
  const tasks = step.tasks && step.tasks.total !== 1 ? ` ×${countText(step.tasks.total)}` : ''
  const done = step.tasks && step.tasks.total > 1 && step.status === 'open' ? `, ${countText(step.tasks.succeeded)} done` : ''
  const took = step.beganAtMs === undefined || step.endedAtMs === undefined ? '' : ` in ${durationText(step.endedAtMs - step.beganAtMs)}`
  const since = step.beganAtMs === undefined || step.endedAtMs !== undefined ? '' : ` since ${momentText(step.beganAtMs).slice(11, 19)}`
  const until = step.untilMs === undefined ? '' : `, until ${momentText(step.untilMs).slice(0, 19)}`
  const kind = step.kind === 'tasks' ? '' : ` (${step.kind})`
  const from = step.needs.filter(need => givers.has(need.kind)).map(need => need.step)
  const order = step.needs.filter(need => !givers.has(need.kind)).map(need => `${need.kind} ${need.step}`)
  const needs = [from.length > 0 ? `← ${from.slice(0, 6).join(', ')}${from.length > 6 ? ', …' : ''}` : '', ...order.slice(0, 4)]
    .filter(Boolean)
    .join(', ')
  return `${styled(styles[step.status], `${signs[step.status]} ${step.step} ${harmless(step.name)}${kind}${tasks}`)}  ${step.status}${took}${since}${done}${until}${needs === '' ? '' : `  ${styled('dim', needs)}`}`
}

/** From the first beginning of these steps to the last end, if all of them have both. */
function spanText(steps: readonly StepView[]): string {
  const began = Math.min(...steps.map(step => step.beganAtMs ?? Number.NaN))
  const ended = Math.max(...steps.map(step => step.endedAtMs ?? Number.NaN))
  return Number.isNaN(ended - began) ? '' : ` in ${durationText(ended - began)}`
}

function alike(one: StepView, other: StepView): boolean {
  return one.name === other.name && one.status === other.status && one.kind === other.kind && one.tasks?.total === other.tasks?.total
}

/** The steps as a tree: those that a step became stand under it, many alike in a row as one line. */
export function stepLines(steps: readonly StepView[]): string[] {
  const children = new Map<number | undefined, StepView[]>()
  for (const step of steps) children.set(step.parent, [...(children.get(step.parent) ?? []), step])
  const lines: string[] = []
  const walk = (parent: number | undefined, indent: string): void => {
    const own = children.get(parent) ?? []
    for (let i = 0; i < own.length; ) {
      const step = own[i]!
      let end = i + 1
      while (end < own.length && alike(own[end]!, step) && !children.has(own[end]!.step) && !children.has(step.step)) end++
      if (end - i > alikeMax) {
        lines.push(
          `${indent}${styled(styles[step.status], `${signs[step.status]} ${step.step} to ${own[end - 1]!.step} ${harmless(step.name)}`)}  ${countText(end - i)} steps, all ${step.status}${spanText(own.slice(i, end))}`,
        )
        i = end
        continue
      }
      lines.push(indent + stepLine(step))
      walk(step.step, `${indent}  `)
      i++
    }
  }
  walk(undefined, '  ')
  return lines
}

/** The steps as a diagram for Mermaid. */
export function mermaidLines(steps: readonly StepView[]): string[] {
  const label = (step: StepView): string =>
    `${step.name}${step.tasks && step.tasks.total !== 1 ? ` ×${step.tasks.total}` : ''}`.replaceAll('"', "'")
  return [
    'flowchart TD',
    ...steps.map(step => `  s${step.step}["${harmless(label(step))}"]:::${step.status}`),
    ...steps.flatMap(step =>
      step.needs.map(need => `  s${need.step} ${givers.has(need.kind) ? '-->' : `-. ${need.kind} .->`} s${step.step}`),
    ),
    ...steps.flatMap(step => (step.parent === undefined ? [] : [`  s${step.parent} ==> s${step.step}`])),
    '  classDef waiting fill:#eee',
    '  classDef open fill:#cff',
    '  classDef succeeded fill:#cfc',
    '  classDef failed fill:#fcc',
    '  classDef cancelled fill:#ffc',
    '  classDef skipped fill:#eee,stroke-dasharray:3',
  ]
}
