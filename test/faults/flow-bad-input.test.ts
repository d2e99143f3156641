// Owns the tests of bad input to workflows, schedules, locks and transactions on a real cluster: each is a typed error with advice, at the earliest
// moment at which it can be known, and nothing of it is done. Must not repeat what is refused before a plan is made: test/client/flow.test.ts does.
//
// | bad input | also in |
// | --- | --- |
// | a Ref that is awaited, read, or of another workflow | test/client/flow.test.ts |
// | a plan that no SDK sends | test/core/flows.test.ts |
// | a step whose definition is missing from the program | test/worker/programs.test.ts |
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { type Cluster, schedule } from '../../src/index.ts'
import { bottomless, overNumber, overText, stale, tooMany, tooManyMaps, wrongType } from './flow-bad-input-tasks.ts'
import { approved } from './flow-tasks.ts'
import { FaultCluster, rejection, until } from './harness.ts'
import { echo } from './tasks.ts'

let cluster: FaultCluster
before(async () => {
  cluster = await FaultCluster.start('flow-input', ['--workers', '1', '--executors', '1', '--cpus', '1'])
  await cluster.client.state('kept').set('entry', 'as it was')
  await cluster.client.schedule(schedule({ name: 'kept', cron: '0 2 1 1 *', task: echo, input: 1 }))
  await cluster.client.run(echo, 'first', { labels: ['kept'] })
})
after(() => cluster[Symbol.asyncDispose]())

/** All that somebody could have done a half of. */
async function everything(client: Cluster): Promise<unknown> {
  const jobs = await client.jobs({ limit: 1000 })
  return {
    jobs: jobs.map(({ id, state }) => `${id} ${state}`).sort(),
    // Without versions: what was written again as it was is no change.
    entries: (await Array.fromAsync(client.state('kept').entries())).map(([key, value]) => [key, value]),
    schedules: (await client.schedules()).map(({ name, cron, ran }) => ({ name, cron, ran })),
    locks: await client.locks(),
  }
}

interface Bad {
  what: string
  ask: (client: Cluster) => Promise<unknown>
  code: string
  says: RegExp
}

/** Refused before anything of it is a fact. */
const refused: Bad[] = [
  {
    what: 'a cron expression that is none',
    ask: async client => client.schedule(schedule({ name: 'bad', cron: '61 * * * *', task: echo })),
    ...{ code: 'INVALID_SCHEDULE', says: /Schedule bad: / },
  },
  {
    what: 'a timezone that is none',
    ask: async client => client.schedule(schedule({ name: 'bad', cron: '0 2 * * *', timezone: 'Mars/Olympus', task: echo })),
    ...{ code: 'INVALID_SCHEDULE', says: /Mars\/Olympus/ },
  },
  {
    what: 'a cron expression that never comes',
    ask: async client => client.schedule(schedule({ name: 'bad', cron: '0 0 30 2 *', task: echo })),
    ...{ code: 'INVALID_SCHEDULE', says: /never comes/ },
  },
  {
    what: 'a schedule of the same name with another content',
    ask: client => client.schedule(schedule({ name: 'kept', cron: '0 3 1 1 *', task: echo, input: 1 })),
    ...{ code: 'SCHEDULE_CHANGED', says: /a schedule kept already/ },
  },
  {
    what: 'a schedule of the same name with another input',
    ask: client => client.schedule(schedule({ name: 'kept', cron: '0 2 1 1 *', task: echo, input: 2 })),
    ...{ code: 'SCHEDULE_CHANGED', says: /a schedule kept already/ },
  },
  {
    what: 'a trigger of a schedule that nobody made',
    ask: client => client.scheduled('nobody').trigger(),
    ...{ code: 'NOT_FOUND', says: /no schedule nobody/ },
  },
  {
    what: 'a signal to a job that nobody submitted',
    ask: client => client.signal('nobody', 'go'),
    ...{ code: 'NOT_FOUND', says: /no job nobody/ },
  },
  {
    what: 'a signal to a job that is no workflow',
    ask: async client => client.signal((await client.jobs({ label: 'kept' }))[0]!.id, 'go'),
    ...{ code: 'INVALID_ARGUMENT', says: /is no workflow/ },
  },
  {
    what: 'a map over what is no array',
    ask: client => client.submit(overText, undefined),
    ...{ code: 'INVALID_WORKFLOW', says: /flow\.map\(count\) got string and no array/ },
  },
  {
    what: 'a step that needs too many others',
    ask: client => client.submit(tooMany, undefined),
    ...{ code: 'INVALID_WORKFLOW', says: /10,?000/ },
  },
  {
    what: 'too many different maps in one build',
    ask: client => client.submit(tooManyMaps, undefined),
    ...{ code: 'INVALID_WORKFLOW', says: /1,?000/ },
  },
  {
    what: 'a transaction on a stale version, with another entry and a job',
    ask: client =>
      client.transact(
        async tx => {
          const kept = tx.state('kept')
          await kept.get('entry')
          await client.state('kept').set('entry', 'as it was')
          kept.set('other', 'half')
          kept.set('entry', 'late')
          return tx.submit(echo, 1, { id: 'of-the-stale' })
        },
        { retries: 0 },
      ),
    ...{ code: 'TRANSACTION_CONFLICT', says: /kept\/entry was read as of version \d+, and is of version \d+ now/ },
  },
  {
    what: 'a transaction that submits another job of a name that is taken',
    ask: client =>
      client.transact(async tx => {
        tx.state('kept').set('other', 'half')
        tx.submit(echo, 2, { id: (await client.jobs({ label: 'kept' }))[0]!.id })
      }),
    ...{ code: 'JOB_ID_REUSED', says: /./ },
  },
  {
    what: 'a semaphore of another size, and a lock that is a semaphore',
    async ask(client) {
      await using held = await client.semaphore('pool', { permits: 2 })
      const flaw = await rejection(client.lock(held.name), 'LIMIT_CONFLICT')
      assert.match(flaw.message, /pool is a semaphore of 2, and was asked for as a lock/)
      return await client.semaphore('pool', { permits: 3 })
    },
    ...{ code: 'LIMIT_CONFLICT', says: /pool is a semaphore of 2, and was asked for as a semaphore of 3/ },
  },
]

/** Known only when it runs: the job fails, and says why; nothing else changes. */
const failing: Bad[] = [
  {
    what: 'a map over a result that is no array',
    ask: client => client.run(overNumber, undefined),
    ...{ code: 'TASK_RESULT_INVALID', says: /array/ },
  },
  {
    what: 'a result that its schema does not allow',
    ask: client => client.run(wrongType, undefined),
    ...{ code: 'TASK_RESULT_INVALID', says: /total/ },
  },
  {
    what: 'a recursion without an end',
    ask: client => client.run(bottomless, 0),
    ...{ code: 'WORKFLOW_TOO_DEEP', says: /1000 deep here: does this one ever end/ },
  },
  {
    what: 'an entry of a stale version with the result of a task',
    ask: client => client.run(stale, undefined),
    ...{ code: 'TRANSACTION_CONFLICT', says: /kept\/entry was read as not there/ },
  },
]

describe('bad input to workflows and what belongs to them', { timeout: 120_000 }, () => {
  for (const { what, ask, code, says } of refused) {
    test(`is refused: ${what}`, async () => {
      const { client } = cluster
      const before = await everything(client)
      const error = await rejection(ask(client), code)
      assert.match(error.message, says)
      assert.ok(error.advice.length > 10, `no advice for ${code}`)
      assert.deepEqual(await everything(client), before)
    })
  }

  for (const { what, ask, code, says } of failing) {
    test(`fails its job and nothing else: ${what}`, async () => {
      const { client } = cluster
      const before = (await everything(client)) as { jobs: string[] }
      const error = await rejection(ask(client), code)
      assert.match(error.message, says)
      assert.ok(error.advice.length > 10, `no advice for ${code}`)
      const now = (await everything(client)) as { jobs: string[] }
      const added = now.jobs.filter(job => !before.jobs.includes(job))
      assert.deepEqual([added.length, added[0]?.split(' ')[1]], [1, 'failed'])
      assert.deepEqual({ ...now, jobs: before.jobs }, before)
    })
  }

  test('is refused: a signal to a workflow that has ended', async () => {
    const { client } = cluster
    const job = await client.submit(approved, 1)
    await client.signal(job.id, 'go', 2)
    assert.equal(await job.result(), 3)
    const error = await rejection(client.signal(job.id, 'go', 4), 'JOB_ENDED')
    assert.match(error.message, /has ended/)
    assert.equal(await job.result(), 3)
  })

  test('is refused: giving back a lock that was lost', async () => {
    const { client } = cluster
    const grant = await client.lock('lost', { ttl: '1s' })
    const lost = once(grant.signal, 'abort')
    await cluster.signal('candidate-1', 'SIGSTOP')
    await lost
    const release = rejection(grant.release(), 'LOCK_LOST')
    await cluster.signal('candidate-1', 'SIGCONT')
    assert.match((await release).message, /lost may be another's by now/)
    await until('the grant has ended', async () => (await client.locks()).length === 0)
    await (await client.lock('lost')).release()
  })
})
