// Owns the tests of the history on a real cluster whose leaders are killed while finished jobs move there: none is lost, none is there twice.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FaultCluster, rejection } from './harness.ts'
import { echo } from './tasks.ts'

const recent = 4
const jobs = 60

let cluster: FaultCluster
before(async () => {
  cluster = await FaultCluster.start('history', ['--candidates', '2', '--workers', '1', '--executors', '1', '--recent', String(recent)])
})
after(() => cluster[Symbol.asyncDispose]())

const idOf = (number: number): string => `job-${String(number).padStart(3, '0')}`

describe('the history', { timeout: 120_000 }, () => {
  test('has each job once with its result, whoever leads and whoever was killed', async () => {
    const { client } = cluster
    let done = 0
    const work = (async () => {
      for (let number = 0; number < jobs; number++) {
        const job = await client.submit(echo, number, { id: idOf(number), labels: [number % 2 === 0 ? 'even' : 'odd'] })
        assert.equal(await job.result(), number)
        done++
      }
    })()
    work.catch(() => undefined)
    for (let kill = 1; kill <= 3; kill++) {
      while (done < (kill * jobs) / 4) await Promise.race([work, new Promise(resolve => setImmediate(resolve))])
      await cluster.killLeader()
    }
    await work
    const newestFirst = Array.from({ length: jobs }, (_, at) => idOf(jobs - 1 - at))
    const listed: string[] = []
    for (let before: string | undefined; ; before = listed.at(-1)) {
      const page = await client.jobs({ prefix: 'job-', limit: 7, ...(before !== undefined && { before }) })
      listed.push(...page.map(job => job.id))
      if (page.length < 7) break
    }
    assert.deepEqual(listed, newestFirst)
    const even = await client.jobs({ label: 'even', limit: 1000 })
    assert.deepEqual(
      even.map(job => job.id),
      newestFirst.filter((_, at) => at % 2 === 1),
    )
    assert(even.filter(job => job.archived).length >= even.length - recent)
    for (const number of [0, 1, 17, jobs - 1]) assert.equal(await client.job(idOf(number)).result(), number)
    // The same again is the same job; another is refused.
    const again = await client.submit(echo, 17, { id: idOf(17), labels: ['odd'] })
    assert.equal(await again.result(), 17)
    await rejection(client.submit(echo, 18, { id: idOf(17), labels: ['odd'] }), 'JOB_ID_REUSED')
    assert.equal((await client.jobs({ prefix: 'job-', limit: 1000 })).length, jobs)
  })

  test('is listed and told by the command line', async () => {
    const list = await cluster.cox(['jobs', '--prefix', 'job-00', '--since', '1d', '--json'])
    assert.deepEqual(
      (JSON.parse(list.stdout) as { id: string }[]).map(job => job.id),
      Array.from({ length: 10 }, (_, at) => idOf(9 - at)),
    )
    assert.match((await cluster.cox(['job', idOf(3)])).stdout, /in the history/)
    assert.equal((await cluster.cox(['result', idOf(3), '--json'])).stdout.trim(), '3')
    assert.equal((await cluster.cox(['jobs', '--since', 'once'])).code, 2)
    const verified = await cluster.cox(['journal', 'verify', '--json'])
    assert.equal(verified.code, 0, verified.stdout)
  })
})
