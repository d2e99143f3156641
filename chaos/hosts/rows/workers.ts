// Owns the row in which workers do not reach each other, and everybody else does.
// Must not leave anything cut.
import { passedOn } from '../../load/blocks.ts'
import { pauseMs } from '../../run.ts'
import { workerHosts } from '../cluster.ts'
import type { HostRow } from '../row.ts'
import { type HostRun, onlyTheLost, underHosts } from '../run.ts'

const cutMs = 8000
const runs = 24
const bytes = 1 << 20
/** What the ids of its own jobs begin with. */
const own = 'blocks-'

async function sumOf({ cluster }: HostRun, id: string, fill: number): Promise<unknown> {
  const job = await cluster.client.submit(passedOn, { bytes, fill }, { id })
  return job.result()
}

async function workersApart(run: HostRun, rounds: number): Promise<void> {
  const { client } = run.cluster
  for (let round = 0; round < rounds; round++) {
    let sums: Promise<unknown[]> | undefined
    await run.whileCut(
      workerHosts,
      'workers from each other',
      () => {
        for (const [at, host] of workerHosts.entries()) run.hosts.cut(host, workerHosts.toSpliced(at, 1))
      },
      async () => {
        sums = Promise.all(Array.from({ length: runs }, (_, fill) => sumOf(run, `${own}${round}-${fill}`, fill)))
        sums.catch(() => undefined)
        await pauseMs(cutMs)
        run.took('write meanwhile', await run.load.writeMs())
        const ready = (await client.workers()).filter(one => one.state === 'ready').length
        if (ready !== workerHosts.length) run.problem(`${ready} workers are ready, and all reach the leader`)
      },
    )
    const healedMs = performance.now()
    const found = await sums
    run.took('healed to all blocks passed on', performance.now() - healedMs)
    const wrong = found!.findIndex((sum, fill) => sum !== bytes * fill)
    if (wrong >= 0) run.problem(`run ${wrong} gave ${String(found![wrong])}`)
  }
}

/** Row 10. */
export const workerRows: readonly HostRow[] = [
  {
    name: 'workers-apart',
    numbers: [10],
    fault: `each worker is cut from all other workers for ${cutMs} ms while blocks are to pass between them; all reach the leader`,
    holds: 'no worker is given up, the load goes on; what needs a block that is out of reach waits for it, and all results are right',
    rounds: 1,
    run: (hosts, rounds) => underHosts('workers-apart', hosts, { ...onlyTheLost, valuesElsewhere: own }, run => workersApart(run, rounds)),
  },
]
