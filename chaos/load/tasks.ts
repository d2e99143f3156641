// Owns the task of the chaos load: it leaves a line of the trace when it starts and when it ends, and gives what the oracle expects.
// Must not do anything when it is loaded.
import { appendFileSync, existsSync } from 'node:fs'
import { type Fate, resultOf } from '../../simulator/world/fates.ts'
import { task } from '../../src/index.ts'

const gateLookMs = 10

/** What a task does, where it leaves its trace, and the file it waits for. */
export type ChaosFate = Fate & { trace: string; gate?: string }

/** Gives `result of KEY`. */
export const chaosTask = task({
  name: 'chaos',
  memory: '32mb',
  retries: 2,
  backoff: { base: 10, max: 100 },
  async run({ key, ms, fails = 0, trace, gate }: ChaosFate, ctx): Promise<string> {
    const tell = (ev: 't.start' | 't.end'): void => {
      const t = Number(process.hrtime.bigint()) / 1e6
      const { task: name, attempt: att, fencingToken: token, worker: node } = ctx
      appendFileSync(trace, `${JSON.stringify({ t, node, ev, task: name, att, token, key, pid: process.pid })}\n`)
    }
    tell('t.start')
    while (gate !== undefined && !existsSync(gate)) {
      ctx.signal.throwIfAborted()
      await new Promise<void>(resolve => setTimeout(resolve, gateLookMs))
    }
    if (ms > 0) await new Promise<void>(resolve => setTimeout(resolve, ms))
    if (ctx.attempt <= fails) throw new Error(`${key} fails at attempt ${ctx.attempt}`)
    tell('t.end')
    return resultOf(key)
  },
})
