// Owns the process in which DBOS calls and runs its workflows, and measures them.
// Must not send single calls: what each round came to goes out at the end.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { repeated } from '../bar.ts'
import { callsPerSecond, oneByOne } from '../load.ts'
import type { DbosOrder } from './dbos.ts'

type Run = (input: number) => Promise<number>

/** What is used of the package. */
interface Dbos {
  setConfig(config: object): void
  registerWorkflow(run: Run, options: { name: string }): Run
  runStep(step: () => Promise<number>, options: { name: string }): Promise<number>
  launch(): Promise<void>
}

process.once('message', async ({ folder, url, inFlight, smoke, repeats }: DbosOrder) => {
  const { DBOS } = createRequire(join(folder, 'package.json'))('@dbos-inc/dbos-sdk') as { DBOS: Dbos }
  DBOS.setConfig({
    name: 'bench',
    systemDatabaseUrl: url,
    systemDatabasePoolSize: Math.max(20, inFlight),
    logLevel: 'error',
    runAdminServer: false,
  })
  const workflow = DBOS.registerWorkflow(async input => await DBOS.runStep(async () => input, { name: 'step' }), { name: 'bench' })
  await DBOS.launch()
  const call = async (input: number): Promise<void> => {
    const result = await workflow(input)
    if (result !== input) throw new Error(`DBOS gave ${result} for ${input}`)
  }
  const came = await repeated({ smoke, repeats }, async () =>
    inFlight === 1 ? await oneByOne(smoke, call) : [await callsPerSecond(smoke, inFlight, call)],
  )
  process.send!(came)
})
