// Owns a campaign: many seeds over a few processes, until all are run or one broke a rule.
// Must not judge runs.
import { fork } from 'node:child_process'
import type { RunResult } from './run.ts'

/** What a process of a campaign is sent. */
export interface SeedMessage {
  seed: number
  zombies: boolean
}

/** What a campaign is asked for. */
export interface CampaignOptions {
  from: number
  count: number
  processes: number
  mutant?: string
  /** Runs with many zombies are drawn from the seeds. */
  zombies?: boolean
  /** End at the first seed that broke a rule. */
  untilFound: boolean
  /** A seed that takes longer than this counts as one that broke a rule: it does not come to its end. */
  seedMsMax: number
  each(result: RunResult): void
}

const ended = (seed: number, text: string): RunResult => ({
  ...{ seed, hash: 0, events: 0, virtualMs: 0, probes: {}, story: [] },
  violations: [{ rule: 'crash', text, atMs: 0 }],
})

/** Runs the seeds; resolves when all processes are over. */
export async function campaign(options: CampaignOptions): Promise<void> {
  let next = options.from
  const end = options.from + options.count
  let found = false
  const one = (): Promise<void> =>
    new Promise(resolve => {
      const child = fork(new URL('./child.ts', import.meta.url), options.mutant ? [options.mutant] : [], {
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      })
      let seed = -1
      let words = ''
      let limit: NodeJS.Timeout | undefined
      const tell = (result: RunResult): void => {
        clearTimeout(limit)
        seed = -1
        if (result.violations.length > 0) found = true
        options.each(result)
      }
      const more = (): void => {
        if (next >= end || (found && options.untilFound)) {
          child.kill('SIGKILL')
          return
        }
        seed = next++
        limit = setTimeout(() => child.kill('SIGKILL'), options.seedMsMax)
        child.send({ seed, zombies: options.zombies === true } satisfies SeedMessage)
      }
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        words = (words + text).slice(-2000)
      })
      child.on('message', (message: RunResult | { ready: true }) => {
        if (!('ready' in message)) tell(message)
        more()
      })
      child.on('exit', () => {
        const unfinished = seed
        if (unfinished >= 0) tell(ended(unfinished, `the run of seed ${unfinished} did not come to its end. ${words}`))
        else if (words.includes('Error')) tell(ended(-1, words))
        if (unfinished >= 0 && next < end && !(found && options.untilFound)) resolve(one())
        else resolve()
      })
    })
  await Promise.all(Array.from({ length: Math.min(options.processes, options.count) }, one))
}
