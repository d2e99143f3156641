// Owns DBOS on workflows of one step: a PostgreSQL of its own, and one process that calls and runs them, as DBOS is used.
// Must not switch anything off that makes it durable.
import { fork } from 'node:child_process'
import { latencyFigures, type Peer, type Rounds } from '../bar.ts'
import { workflowsInFlight } from '../load.ts'
import { installed } from './packages.ts'
import { startPostgres } from './postgres.ts'

const version = '5.3.0'

/** What its process measures. */
export interface DbosOrder extends Rounds {
  folder: string
  url: string
  /** One: one after the other. */
  inFlight: number
}

/** The milliseconds of each round's calls, or the one rate of each round. */
async function measured({ smoke, repeats }: Rounds, inFlight: number): Promise<number[][]> {
  const folder = await installed('dbos', [`@dbos-inc/dbos-sdk@${version}`])
  const { service, url } = await startPostgres()
  await using _database = service
  const child = fork(new URL('./dbos-process.ts', import.meta.url), {
    execArgv: ['--disable-warning=ExperimentalWarning', '--no-deprecation'],
  })
  try {
    return await new Promise((resolve, reject) => {
      child.once('message', message => resolve(message as number[][]))
      child.once('exit', code => reject(new Error(`DBOS ended with ${code}`)))
      child.send({ smoke, repeats, folder, url, inFlight } satisfies DbosOrder)
    })
  } finally {
    child.kill('SIGKILL')
  }
}

export const dbosOne: Peer = {
  name: 'dbos',
  title: 'DBOS on PostgreSQL, a workflow with one step',
  bar: { at: 0.4, side: 'at most' },
  measure: async how => latencyFigures(await measured(how, 1)),
}

export const dbosMany: Peer = {
  name: 'dbos',
  title: `DBOS on PostgreSQL, the same, ${workflowsInFlight} in flight`,
  bar: { at: 14, side: 'at least' },
  measure: async how => [{ what: 'runs', unit: 'runs/s', values: (await measured(how, workflowsInFlight)).flat() }],
}
