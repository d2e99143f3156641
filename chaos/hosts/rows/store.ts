// Owns the rows in which members of etcd are killed, stopped or compacted.
// Must not leave a member stopped or dead.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pauseMs } from '../../run.ts'
import { candidateHosts } from '../cluster.ts'
import { etcdHosts } from '../etcd.ts'
import type { HostRow } from '../row.ts'
import { type HostRun, onlyTheLost, underHosts } from '../run.ts'

const barMs = 5000
const minorityLeftMs = 20_000
const pausedMs = 9000
const backBarMs = 20_000
const nextWrite = 'next acknowledged write'

async function memberKilled(run: HostRun, rounds: number): Promise<void> {
  const { etcd } = run.cluster
  for (let round = 0; round < rounds; round++) {
    const leader = await etcd.leader()
    // One that leads and one that follows, in turn.
    const host = round % 2 === 0 ? leader : etcdHosts.find(one => one !== leader)!
    await run.kill(etcd.pid(host), `etcd member ${host}`)
    run.took(host === leader ? `${nextWrite}, leader of etcd killed` : `${nextWrite}, follower killed`, await run.load.writeMs(), barMs)
    await run.load.more(3)
    etcd.start(host)
    await etcd.ready()
  }
}

/** Starts of the witness: it runs across all faults, and must not have to run again. */
function witnessStarts(run: HostRun): number {
  const lines = readFileSync(join(run.folder, 'tasks.jsonl'), 'utf8').split('\n')
  return lines.filter(line => line.includes('"t.start"') && line.includes('"load-witness-0"')).length
}

async function majorityDown(run: HostRun, rounds: number): Promise<void> {
  const { etcd } = run.cluster
  for (let round = 0; round < rounds; round++) {
    const down = [etcdHosts[round % etcdHosts.length]!, etcdHosts[(round + 1) % etcdHosts.length]!]
    for (const host of down) await run.kill(etcd.pid(host), `etcd member ${host}`)
    let acknowledged = false
    const write = run.load.writeMs().then(ms => {
      acknowledged = true
      return ms
    })
    await pauseMs(minorityLeftMs)
    if (acknowledged) run.problem('a write was acknowledged without a majority of etcd')
    for (const host of down) etcd.start(host)
    const startedMs = performance.now()
    await etcd.ready()
    const readyMs = performance.now()
    await write
    run.took('etcd ready again', readyMs - startedMs)
    run.took('from then to the next acknowledged write', performance.now() - readyMs, backBarMs)
    await run.load.more(3)
  }
  if (witnessStarts(run) !== 1) run.problem(`the task that ran meanwhile was started ${witnessStarts(run)} times`)
}

async function leaderPaused(run: HostRun, rounds: number): Promise<void> {
  const { etcd } = run.cluster
  for (let round = 0; round < rounds; round++) {
    const host = await etcd.leader()
    const pid = etcd.pid(host)
    const startedMs = performance.now()
    await run.stop(pid, `etcd member ${host}, which leads`)
    try {
      run.took(nextWrite, await run.load.writeMs(), barMs)
      await pauseMs(Math.max(0, pausedMs - (performance.now() - startedMs)))
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await etcd.ready()
    await run.load.more(3)
  }
}

async function compactedUnderStandby(run: HostRun, rounds: number): Promise<void> {
  const { cluster } = run
  for (let round = 0; round < rounds; round++) {
    await run.standbys(2)
    const { host: leaderHost, epoch } = await cluster.leader()
    const [late, other] = candidateHosts.filter(host => host !== leaderHost) as [number, number]
    const pid = cluster.pid(late)
    await run.stop(pid, `${cluster.nameOf(late)}, which stands by`)
    try {
      await run.load.more(20)
      run.fault('compaction', 'etcd', `revisions before ${await cluster.etcd.compact()} are gone`)
      await run.load.more(5)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await run.standbys(2)
    // Nobody but the one that was late is left to lead.
    await run.kill(cluster.pid(other), cluster.nameOf(other))
    await run.kill(cluster.pid(leaderHost), cluster.nameOf(leaderHost))
    run.took(nextWrite, await run.load.writeMs())
    await run.next(epoch)
    await run.load.more(3)
  }
}

/** Rows 12 to 15. */
export const storeRows: readonly HostRow[] = [
  {
    name: 'store-member-killed',
    numbers: [12],
    fault: 'SIGKILL of one of three members of etcd: the one that leads, and one that follows',
    holds: `the next write is acknowledged within ${barMs} ms, no call fails, nothing is lost`,
    rounds: 4,
    run: (hosts, rounds) => underHosts('store-member-killed', hosts, onlyTheLost, run => memberKilled(run, rounds)),
  },
  {
    name: 'store-majority-down',
    numbers: [13],
    fault: `SIGKILL of two of three members of etcd, which stay down for ${minorityLeftMs} ms`,
    holds: 'no write is acknowledged meanwhile, running tasks go on, nothing is lost, and all goes on when they are back',
    rounds: 1,
    run: (hosts, rounds) => underHosts('store-majority-down', hosts, onlyTheLost, run => majorityDown(run, rounds)),
  },
  {
    name: 'store-leader-paused',
    numbers: [14],
    fault: `SIGSTOP of the member of etcd that leads, for ${pausedMs} ms`,
    holds: `the next write is acknowledged within ${barMs} ms; at most one leads, nothing is lost`,
    rounds: 2,
    run: (hosts, rounds) => underHosts('store-leader-paused', hosts, onlyTheLost, run => leaderPaused(run, rounds)),
  },
  {
    name: 'store-compacted',
    numbers: [15],
    fault: 'a standby is stopped, etcd forgets all revisions that it has not seen; then it is resumed, and it alone is left',
    holds: 'it catches up and leads: nothing is lost, nothing runs again',
    rounds: 1,
    run: (hosts, rounds) => underHosts('store-compacted', hosts, onlyTheLost, run => compactedUnderStandby(run, rounds)),
  },
]
