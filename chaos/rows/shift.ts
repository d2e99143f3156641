// Owns the rows in which nodes are asked to end, workers are killed, and two want to lead on one folder or on copies of it.
// Must not leave a cluster behind, and must not name a port that somebody else may have.
import { cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { cox } from '../../test/cli/cox.ts'
import { alive, errorOf, FaultCluster, until } from '../../test/faults/harness.ts'
import { HandNode } from '../hand-node.ts'
import type { Row, RowOutcome } from '../row.ts'
import { type ChaosRun, underFaults } from '../run.ts'

const executorsPerWorker = 2

async function askedToEnd(run: ChaosRun, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await run.standbys(2)
    const { id, pid, epoch } = await run.leader()
    process.kill(pid, 'SIGTERM')
    const next = await run.next(epoch)
    run.fault('SIGTERM', id, `pid ${pid} was asked to end, and ${next.id} leads epoch ${next.epoch}`)
    const story = await run.cluster.client.story(next.id)
    if (!story.lines.some(line => line.text.includes(`handed the leadership of epoch ${epoch}`)))
      run.problem(`${next.id} was not handed epoch ${epoch}: it had to find out`)
    await run.load.more(3)
  }
}

/** A drained worker ends when it has nothing more to do; the witness stays where it runs. */
async function drained(run: ChaosRun): Promise<void> {
  const pid = run.cluster.pid('worker-2')
  const drain = await run.cluster.cox(['drain', 'worker-2', '--json'])
  if (drain.code !== 0) return run.problem(`cox drain: ${drain.stdout}`)
  await until('worker-2 ends', () => !alive(pid))
  run.fault('drain', 'worker-2', `pid ${pid} ended by itself`)
}

async function workersKilled(run: ChaosRun, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const name = `worker-${(round % 2) + 1}`
    const pid = run.cluster.pid(name)
    await run.kill(pid, name)
    await run.cluster.workerAgain(name, pid)
    await run.load.more(3)
  }
}

/** A second supervisor, and a candidate of another folder's supervisor, on a folder that is in use. */
async function twoOnOneFolder(run: ChaosRun, rounds: number): Promise<void> {
  const { pid, epoch } = await run.leader()
  for (let round = 0; round < rounds; round++) {
    const up = await run.cluster.cox(['up', '--detach', '--json', '--workers', '1'])
    if (up.code === 0) run.problem(`a second cox up was let in: ${up.stdout}`)
    else run.fault('second cox up', 'supervisor', `${errorOf(up).code}: ${errorOf(up).message}`)
    await using stranger = await HandNode.candidate(run.cluster.home, `stranger-${round}`)
    await until('the stranger stands by', () => /"standing-by"|standsBy/.test(stranger.said))
    run.fault('second candidate on the journal', `stranger-${round}`, `pid ${stranger.pid} stands by`)
    await run.load.more(3)
  }
  const now = await run.leader()
  if (now.pid !== pid || now.epoch !== epoch) run.problem(`the leader was deposed: epoch ${now.epoch}, pid ${now.pid}`)
}

/** A worker that knows the original's epoch dials the copy, whose leader leads an older one. */
async function refusesCopy(original: FaultCluster, copy: FaultCluster): Promise<string | undefined> {
  await using worker = await HandNode.worker(original.home, 'wanderer', executorsPerWorker)
  const epoch = join(worker.home, 'workers', 'wanderer', 'epoch.json')
  await until('the wanderer has seen the original', () => existsSync(epoch))
  await until('it is a worker there', async () =>
    (await original.client.workers()).some(one => one.id === 'wanderer' && one.state === 'ready'),
  )
  const seen = await epochOf(original)
  worker.follow(copy.home)
  process.kill((await original.client.status()).leader.pid, 'SIGKILL')
  await until('the copy refuses it', () => /wanderer has seen epoch \d+; this leader's is \d+/.test(worker.said))
  const now = await epochOf(copy)
  const joined = (await copy.client.workers()).some(one => one.id === 'wanderer')
  return joined && now < seen ? `a worker that has seen epoch ${seen} joined a leader of epoch ${now}` : undefined
}

async function epochOf(cluster: FaultCluster): Promise<number> {
  return (await cluster.client.status()).leader.epoch
}

async function copies(): Promise<RowOutcome> {
  const problems: string[] = []
  await using original = await FaultCluster.start('chaos-original', ['--candidates', '2', '--workers', '1'])
  await original.cox(['down', '--json'])
  const copyHome = original.path('copy')
  cpSync(original.home, copyHome, { recursive: true })
  await original.up()
  await using copy = await FaultCluster.start('chaos-copy', ['--candidates', '1', '--workers', '1'], copyHome)
  const status = async (cluster: FaultCluster) => cluster.client.status()
  while ((await status(original)).leader.epoch <= (await status(copy)).leader.epoch + 1) await original.killLeader()
  const [one, other] = [await status(original), await status(copy)]
  if (one.cluster !== other.cluster) problems.push('the copy is another cluster: nothing was tested')
  const problem = await refusesCopy(original, copy)
  if (problem !== undefined) problems.push(problem)
  for (const cluster of [original, copy]) {
    const verified = await cox(['journal', 'verify', '--json'], { home: cluster.home })
    if (verified.code !== 0) problems.push(`${cluster.home}: ${verified.stdout}`)
  }
  return {
    fired: 1,
    problems,
    told: `original led epoch ${one.leader.epoch}, its copy ${other.leader.epoch}; the original's worker refused the copy`,
  }
}

/** Rows 29, 54 and 57. */
export const shiftRows: readonly Row[] = [
  {
    name: 'worker-killed',
    numbers: [29],
    fault: 'SIGKILL of a worker under load',
    holds: 'what it ran runs again, one result of each task is committed, no call fails',
    ci: 2,
    rounds: 4,
    run: ({ rounds }) => underFaults('worker-killed', { witnesses: 3 }, run => workersKilled(run, rounds)),
  },
  {
    name: 'asked-to-end',
    numbers: [54],
    fault: 'SIGTERM of the leader under load; then `cox drain` of a worker',
    holds: 'the leadership is handed over, no call fails, nothing runs twice; the worker ends by itself',
    ci: 2,
    rounds: 5,
    run: ({ rounds }) =>
      underFaults('asked-to-end', { againMax: 0, witnesses: 0 }, async run => {
        await askedToEnd(run, rounds)
        await drained(run)
      }),
  },
  {
    name: 'two-on-one-folder',
    numbers: [57],
    fault: 'a second `cox up` on a state folder that is in use, and a candidate started by hand on the same journal',
    holds: 'the first is refused, the second stands by; the leader leads on',
    ci: 1,
    rounds: 3,
    run: ({ rounds }) => underFaults('two-on-one-folder', { againMax: 0, candidates: 2 }, run => twoOnOneFolder(run, rounds)),
  },
  {
    name: 'two-copies',
    numbers: [57],
    fault: 'a copy of a state folder leads beside the original, which has gone on; a worker of the original is shown the copy',
    holds: 'worker and copy refuse each other while the copy leads an older epoch; both journals stay sound',
    rounds: 1,
    run: copies,
  },
]
