// Owns the rows in which the leader is killed or cut: from all, from its store, from the workers; and a link that flaps.
// Must not leave anything cut.
import { pauseMs } from '../../run.ts'
import { workerHosts } from '../cluster.ts'
import { etcdHosts } from '../etcd.ts'
import type { HostRow } from '../row.ts'
import { percentile } from '../row.ts'
import { type HostRun, onlyTheLost, underHosts } from '../run.ts'

/** Bars of issue "Many machines": to the next acknowledged write. */
const cutBarMs = 5000
const killBarMs = 3000
const nextWrite = 'next acknowledged write'
const workersCutMs = 8000
const flaps = 12
const flapMs = 350

async function killed(run: HostRun, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await run.standbys(2)
    const { id, host, epoch } = await run.cluster.leader()
    await run.kill(run.cluster.pid(host), id)
    run.took(nextWrite, await run.load.writeMs())
    await run.next(epoch)
    await run.load.more(2)
  }
  const most = percentile(run.timesOf(nextWrite), 0.99)
  run.notes.push(`p99 ${Math.round(most)} ms`)
  if (most > killBarMs) run.problem(`p99 of the next acknowledged write is ${Math.round(most)} ms, more than ${killBarMs} ms`)
}

/** What was cut gave up by itself, and nothing that it wrote behind its successor's claim is in the journal (the trace check sees to that). */
async function gaveUp(run: HostRun, host: number, pid: number): Promise<void> {
  await run.standbys(2)
  const ended = run.cluster.log(host).match(/"event":"(leadership-lost|leader-ended)"/g)?.length ?? 0
  if (ended === 0) run.problem(`${run.cluster.nameOf(host)} does not say that it lost the leadership`)
  if (run.cluster.pid(host) === pid) run.problem(`${run.cluster.nameOf(host)} stands by again in the process that led`)
}

/** The leader is cut in some way until another one leads. */
async function deposed(run: HostRun, what: string, cut: (host: number) => void): Promise<void> {
  await run.standbys(2)
  const { id, host, epoch } = await run.cluster.leader()
  const pid = run.cluster.pid(host)
  await run.whileCut(
    host,
    `${id} ${what}`,
    () => cut(host),
    async () => {
      run.took(`${nextWrite}, leader cut ${what}`, await run.load.writeMs(), cutBarMs)
      const next = await run.next(epoch)
      if (next.id === id) run.problem(`${id} leads again although it is cut ${what}`)
      await run.load.more(3)
    },
  )
  await gaveUp(run, host, pid)
}

async function cutFromStore(run: HostRun, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await deposed(run, 'from the store', host => run.hosts.cut(host, etcdHosts))
    await deposed(run, 'one way, to the store', host => run.hosts.cutOneWay(host, etcdHosts))
    await deposed(run, 'one way, from the store', host => run.hosts.cutFrom(etcdHosts, host))
  }
}

async function cutFromWorkers(run: HostRun, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await run.standbys(2)
    const { id, host, epoch } = await run.cluster.leader()
    await run.whileCut(
      host,
      `${id} from all workers`,
      () => run.hosts.cut(host, workerHosts),
      async () => {
        const untilMs = performance.now() + workersCutMs
        while (performance.now() < untilMs) {
          run.took('write meanwhile', await run.load.writeMs(), cutBarMs)
          await pauseMs(flapMs)
        }
      },
    )
    run.took('healed to the next task done', await run.load.taskMs())
    const now = await run.cluster.leader()
    run.notes.push(now.epoch === epoch ? 'the leader led on' : `epoch ${epoch} became ${now.epoch}`)
  }
}

async function flapping(run: HostRun, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await run.standbys(2)
    const { id, host } = await run.cluster.leader()
    for (let flap = 0; flap < flaps; flap++) {
      await run.whileCut(
        host,
        `${id} from all`,
        () => run.hosts.isolate(host),
        () => pauseMs(flapMs),
      )
      await pauseMs(flapMs)
    }
    run.took('write behind it', await run.load.writeMs(), cutBarMs)
  }
}

/** Rows 7, 8, 1, 9 and 11. */
export const leaderRows: readonly HostRow[] = [
  {
    name: 'leader-cut-off',
    numbers: [7],
    fault: `the host of the leader is cut from all others, both ways, until another leads`,
    holds: `the next write is acknowledged within ${cutBarMs} ms; the old leader gives up and none of its appends is in the journal`,
    rounds: 3,
    run: (hosts, rounds) =>
      underHosts('leader-cut-off', hosts, onlyTheLost, async run => {
        for (let round = 0; round < rounds; round++) await deposed(run, 'from all', host => run.hosts.isolate(host))
      }),
  },
  {
    name: 'leader-cut-from-store',
    numbers: [8],
    fault: 'the leader is cut from etcd alone: both ways, one way to it, one way from it',
    holds: 'as when it is cut from all, although clients and workers still reach it',
    rounds: 1,
    run: (hosts, rounds) => underHosts('leader-cut-from-store', hosts, onlyTheLost, run => cutFromStore(run, rounds)),
  },
  {
    name: 'leader-killed',
    numbers: [1],
    fault: 'SIGKILL of the leader, two standbys on other hosts',
    holds: `the next write is acknowledged within ${killBarMs} ms (p99); no call fails, nothing is lost, nothing runs again`,
    rounds: 10,
    run: (hosts, rounds) => underHosts('leader-killed', hosts, onlyTheLost, run => killed(run, rounds)),
  },
  {
    name: 'leader-cut-from-workers',
    numbers: [9],
    fault: `the leader is cut from all workers for ${workersCutMs} ms, and from nobody else`,
    holds: 'writes are acknowledged meanwhile; when it is healed tasks are done again, each with one result',
    rounds: 1,
    run: (hosts, rounds) => underHosts('leader-cut-from-workers', hosts, {}, run => cutFromWorkers(run, rounds)),
  },
  {
    name: 'link-flaps',
    numbers: [11],
    fault: `the host of the leader is cut from all others for ${flapMs} ms, ${flaps} times`,
    holds: 'no call fails, nothing is lost, writes are acknowledged behind it',
    rounds: 1,
    run: (hosts, rounds) => underHosts('link-flaps', hosts, {}, run => flapping(run, rounds)),
  },
]
