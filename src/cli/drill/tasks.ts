// Owns the tasks of the drill: each run leaves a line, so that it can be counted how often a call took effect.
// Must not do anything when it is loaded.
import { appendFileSync, existsSync } from 'node:fs'
import { task } from '../../client/index.ts'

const lookEveryMs = 20

/** What a call of the drill is. */
export interface Effect {
  /** File to which each run appends a line. */
  trace: string
  /** Name of the call; no two are alike. */
  key: string
  value: number
}

function leaveLine({ trace, key }: Effect, attempt: number): void {
  appendFileSync(trace, `${key} ${attempt} ${Date.now()}\n`)
}

/** A short call: it gives twice its value. */
export const drillCall = task({
  name: 'drill-call',
  memory: '32mb',
  run(effect: Effect, ctx): number {
    leaveLine(effect, ctx.attempt)
    return effect.value * 2
  },
})

/** A call that runs across all faults, until the drill opens the gate. */
export const drillWitness = task({
  name: 'drill-witness',
  memory: '32mb',
  async run({ gate, ...effect }: Effect & { gate: string }, ctx): Promise<number> {
    leaveLine(effect, ctx.attempt)
    while (!existsSync(gate)) {
      ctx.signal.throwIfAborted()
      await new Promise<void>(resolve => setTimeout(resolve, lookEveryMs))
    }
    return effect.value * 2
  },
})
