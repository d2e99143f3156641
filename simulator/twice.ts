// Owns M4: a run that is made again has to be the same, to the last event.
// Must not be asked about runs that broke a rule: their story is told first.
import { type RunResult, run, type Trace, trace } from './run.ts'
import type { Scenario } from './scenario.ts'
import type { LogLine } from './world/nodes.ts'

const tellingOf = ({ atMs, node, event, fields }: LogLine): string => `${atMs.toFixed(3)} ${node} ${event} ${JSON.stringify(fields)}`

/** Where two runs of a scenario part, as far as what their nodes logged shows it. */
function parting(one: Trace, other: Trace): string {
  const at = one.story.findIndex((line, index) => {
    const again = other.story[index]
    return !again || tellingOf(line) !== tellingOf(again)
  })
  if (at < 0) return 'their nodes logged the same'
  const again = other.story[at]
  return `first at "${tellingOf(one.story[at]!)}" and "${again ? tellingOf(again) : 'nothing'}"`
}

/** Breaks M4 if the two runs of one scenario differ. */
export function checkSame(result: RunResult, again: Trace): void {
  if (again.hash === result.hash && again.events === result.events) return
  const text = `two runs differ: ${result.hash.toString(16)} and ${again.hash.toString(16)}; ${parting(result, again)}`
  result.violations.push({ rule: 'M4', text, atMs: 0 })
}

/** Runs a scenario, and plays it once more if it broke no rule. Nobody looks on then, which must make no difference either. */
export async function runTwice(scenario: Scenario): Promise<RunResult> {
  const result = await run(scenario)
  if (result.violations.length === 0) checkSame(result, await trace(scenario))
  return result
}
