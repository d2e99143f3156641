// Owns the bar of many `run` calls at the same time, which the SDK sends together.
// Must not wait for waves: a call that ended is followed by the next at once.
import { type Bar, repeated, seconds, sized } from '../bar.ts'
import { figureText, median } from '../statistics.ts'
import { noop } from '../tasks.ts'

const callers = 1000
const callsFull = 150_000
const callsSmoke = 2000

export const concurrentRuns: Bar = {
  name: 'concurrent-runs',
  title: 'the same through 1,000 concurrent `run` calls',
  async measure(bench) {
    const { client } = await bench.cluster()
    const count = sized(bench, callsFull, callsSmoke)
    const values = await repeated(bench, async () => {
      let next = 0
      const caller = async (): Promise<void> => {
        while (next < count) {
          const input = next++
          if ((await client.run(noop, input)) !== input) throw new Error(`call ${input} gave another's result`)
        }
      }
      return count / (await seconds(() => Promise.all(Array.from({ length: callers }, caller))))
    })
    const share = median(values) / bench.machine.echoPerSecond
    return [
      { what: 'calls', unit: 'calls/s', values, bar: { at: 60_000, side: 'at least' }, ratio: `${figureText(share)} × WebSocket echoes/s` },
    ]
  },
}
