// Owns the tests of `cox drill`: on real clusters with real signals, and of how a history is judged.
// Must not measure time: what a drill measures is only looked at for being there.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { judge } from '../../src/cli/drill/judge.ts'
import { limited } from '../../src/cli/drill/limited.ts'
import { startCox } from '../cli/cox.ts'
import { errorOf, FaultCluster, rejection, until } from './harness.ts'
import { square } from './tasks.ts'

const kill = { kind: 'kill' as const, leader: 'candidate-1', pid: 1, next: 'candidate-2', epoch: 2, gapMs: 100, atMs: 10_000 }
const fine = { calls: 3, failed: 0, wrong: 0, acknowledged: 2, lost: 0 }

describe('the judge of a drill', () => {
  test('keeps a promise only where nothing failed, nothing is wrong and nothing is lost', () => {
    assert.equal(judge(fine, 'call-1 1 5000\n', [kill]).kept, true)
    for (const broken of ['failed', 'wrong', 'lost'] as const) assert.equal(judge({ ...fine, [broken]: 1 }, '', [kill]).kept, false, broken)
  })

  test('forgives a second run only to what began around a fault', () => {
    const judged = (startedMs: number) => judge(fine, `call-1 1 ${startedMs}\ncall-2 1 ${startedMs}\ncall-1 2 10500\n`, [kill])
    assert.deepEqual(
      [5000, 9900, 10_200, 10_400].map(at => [judged(at).rerun, judged(at).survivorsRerun, judged(at).kept]),
      [
        [1, 1, false],
        [1, 0, true],
        [1, 0, true],
        [1, 1, false],
      ],
    )
  })

  test('gives a row for each kind that there was', () => {
    const faults = Array.from({ length: 100 }, (_, at) => ({ ...kill, gapMs: 100 - at }))
    assert.deepEqual(judge(fine, '', [...faults, { ...kill, kind: 'promote' as const, gapMs: 7 }]).rows, [
      { kind: 'kill', times: 100, p50Ms: 51, p99Ms: 100, maxMs: 100 },
      { kind: 'promote', times: 1, p50Ms: 7, p99Ms: 7, maxMs: 7 },
    ])
  })
})

test('a wait of a drill ends: by its limit with a typed error, by an interruption with its reason', async () => {
  const never = new Promise<void>(() => {})
  const error = await rejection(limited(never, 1, new AbortController().signal, 'nothing came'), 'UNAVAILABLE')
  assert.match(error.message, /nothing came/)
  const interruption = new AbortController()
  const waiting = limited(never, 60_000, interruption.signal, 'nothing came')
  interruption.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/)
})

/** No folder of a drill is left in the state folder. */
function drillFolders(cluster: FaultCluster): string[] {
  return readdirSync(cluster.home).filter(name => name.startsWith('drill-'))
}

async function runningJobs(cluster: FaultCluster): Promise<string[]> {
  return (await cluster.client.jobs({ state: 'running' })).map(job => job.name)
}

describe('cox drill on two candidates', { timeout: 90_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('drill', ['--candidates', '2', '--workers', '2', '--cpus', '2', '--executors', '2'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('kills and promotes, checks, and prints a table', async () => {
    const result = await cluster.cox(['drill', '--kills', '1', '--promotes', '1'])
    assert.equal(result.code, 0, JSON.stringify(result))
    assert.match(result.stderr, /1\/2 candidate-1 \(pid \d+\) was killed; candidate-2 leads, epoch 2; next acknowledged write after/)
    assert.match(result.stderr, /2\/2 candidate-2 \(pid \d+\) was relieved; candidate-1 leads, epoch 3;/)
    assert.match(result.stdout, /LEADER +TIMES +NEXT WRITE P50 +P99 +MAX\nkill +1 .*\npromote +1 /)
    assert.match(result.stdout, /calls: 0 failed, 0 with a wrong result\n.* acknowledged jobs: 0 lost\n/)
    assert.match(result.stdout, /Every promise was kept\./)
    assert.deepEqual(drillFolders(cluster), [])
  })

  test('says the same as JSON', async () => {
    const { epoch } = (await cluster.client.status()).leader
    const result = await cluster.cox(['drill', '--kills', '2', '--json'])
    assert.deepEqual([result.code, result.stderr], [0, ''], JSON.stringify(result))
    const report = JSON.parse(result.stdout) as {
      kept: boolean
      standbys: number
      epochs: unknown
      rows: { kind: string; times: number; p50Ms: number }[]
      acknowledged: number
      lost: number
    }
    assert.deepEqual([report.kept, report.standbys, report.lost], [true, 1, 0])
    assert.deepEqual(report.epochs, { first: epoch, last: epoch + 2 })
    assert.deepEqual([report.rows.length, report.rows[0]!.kind, report.rows[0]!.times], [1, 'kill', 2])
    assert.ok(report.rows[0]!.p50Ms > 0 && report.acknowledged > 0)
  })

  test('ends with 1 when what survived the leader ran again all the same', async () => {
    const running = startCox(['drill', '--kills', '2'], { home: cluster.home })
    await running.wrote(/1\/2 /)
    // The witness ran on one of them since before the first kill: no death of a leader explains its second run.
    for (const worker of ['worker-1', 'worker-2']) process.kill(cluster.pid(worker), 'SIGKILL')
    const ended = await running.ended
    assert.equal(ended.code, 1, JSON.stringify(ended))
    assert.match(ended.stdout, /attempts ran again, [1-9]\d* of them that must not/)
    assert.match(ended.stdout, /A PROMISE WAS BROKEN/)
  })

  test('Ctrl-C ends it, takes its calls back, and leaves the cluster up', async () => {
    const running = startCox(['drill', '--kills', '1000'], { home: cluster.home })
    await running.wrote(/1\/1000 /)
    running.child.kill('SIGINT')
    const ended = await running.ended
    assert.equal(ended.code, 130, JSON.stringify(ended))
    assert.deepEqual(drillFolders(cluster), [])
    await until('nothing of it runs', async () => (await runningJobs(cluster)).length === 0)
    assert.equal(await cluster.client.run(square, { trace: cluster.path('after'), value: 3 }), 9)
  })
})

describe('cox drill on one candidate', { timeout: 60_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('drill-one', ['--workers', '1'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('explains that nobody could take over, offers --restart, and touches nothing', async () => {
    const result = await cluster.cox(['drill', '--json'])
    assert.equal(result.code, 2, JSON.stringify(result))
    assert.equal(errorOf(result).code, 'USAGE')
    assert.match(errorOf(result).message, /Nobody stands by .*`cox up --candidates 2`.* add --restart/)
    const freeze = await cluster.cox(['drill', '--restart', '--freezes', '1', '--json'])
    assert.deepEqual([freeze.code, errorOf(freeze).code], [2, 'USAGE'])
    assert.equal((await cluster.client.status()).leader.epoch, 1)
  })

  test('with --restart measures how long the supervisor takes to start it again', async () => {
    const result = await cluster.cox(['drill', '--restart', '--kills', '1', '--json'])
    assert.equal(result.code, 0, JSON.stringify(result))
    const { kept, standbys, faults } = JSON.parse(result.stdout) as {
      kept: boolean
      standbys: number
      faults: { leader: string; next: string; epoch: number }[]
    }
    assert.deepEqual([kept, standbys, faults.length], [true, 0, 1])
    assert.deepEqual([faults[0]!.leader, faults[0]!.next, faults[0]!.epoch], ['candidate-1', 'candidate-1', 2])
  })

  test('without a worker says that nothing could be measured', async () => {
    await cluster.cox(['drain', 'worker-1'])
    await until('it is gone', async () => (await cluster.client.workers()).every(worker => worker.state !== 'ready'))
    const result = await cluster.cox(['drill', '--restart', '--kills', '1', '--json'])
    assert.deepEqual([result.code, errorOf(result).code], [3, 'UNAVAILABLE'])
    assert.match(errorOf(result).message, /No worker/)
  })
})
