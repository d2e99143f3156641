// Secrets with real processes: who gets one, who does not, and that it is in no log, error or file of the cluster.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { FaultCluster, rejection } from './harness.ts'
import { blabber, lengthOf, undeclared } from './secret-tasks.ts'

const canary = 'correct-horse-battery-staple-7391'

/** All files below a folder that hold this text. */
function filesWith(folder: string, text: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map(name => join(folder, name))
    .filter(path => statSync(path, { throwIfNoEntry: false })?.isFile() && readFileSync(path).includes(text))
}

describe('secrets', { timeout: 120_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('secrets', ['--candidates', '2', '--workers', '1', '--executors', '1'])
    const file = cluster.path('secret.txt')
    writeFileSync(file, `${canary}\n`)
    assert.equal((await cluster.cox(['secret', 'set', 'PLAIN', '--file', file])).code, 0)
    writeFileSync(file, '')
    await cluster.client.setSecret('LENGTHS', 'twelve bytes', { jobs: ['lengths/'] })
    await cluster.client.setSecret('OTHERS', 'nobody has it', { jobs: ['elsewhere/'] })
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('are given to tasks that name them and may have them', async () => {
    assert.equal(await cluster.client.run(lengthOf, 'PLAIN'), canary.length)
    assert.equal(await cluster.client.run(lengthOf, 'LENGTHS'), 12)
    await rejection(cluster.client.run(lengthOf, 'OTHERS'), 'TASK_FAILED').then(error =>
      assert.match(error.message, /is not for jobs named lengths\/one/),
    )
    await rejection(cluster.client.run(lengthOf, 'MISSING'), 'TASK_FAILED').then(error =>
      assert.match(error.message, /no secret "MISSING"/),
    )
    await rejection(cluster.client.run(undeclared, undefined), 'TASK_FAILED').then(error =>
      assert.match(error.message, /its definition does not name/),
    )
  })

  test('outlive their leader, and change at once', async () => {
    await cluster.killLeader()
    assert.equal(await cluster.client.run(lengthOf, 'PLAIN'), canary.length)
    await cluster.client.setSecret('LENGTHS', 'four')
    assert.equal(await cluster.client.run(lengthOf, 'LENGTHS'), 4)
    assert.equal((await cluster.cox(['secret', 'delete', 'LENGTHS'])).code, 0)
    await rejection(cluster.client.run(lengthOf, 'LENGTHS'), 'TASK_FAILED')
    await rejection(cluster.client.deleteSecret('LENGTHS'), 'SECRET_UNKNOWN')
    const listed = JSON.parse((await cluster.cox(['secret', 'list', '--json'])).stdout) as { name: string; version: number }[]
    assert.deepEqual(
      listed.map(({ name, version }) => [name, version]),
      [
        ['OTHERS', 1],
        ['PLAIN', 1],
      ],
    )
  })

  test('are in no log, error or file', async () => {
    const job = await cluster.client.submit(blabber, undefined)
    const error = await rejection(job.result(), 'TASK_FAILED')
    assert.match(error.message, /cannot log in with \[secret PLAIN\]/)
    assert(!JSON.stringify(error, Object.getOwnPropertyNames(error)).includes(canary))
    const { stdout } = await cluster.cox(['logs', job.id])
    assert.match(stdout, /it is \[secret PLAIN\]/)
    for (const verb of ['logs', 'story', 'job', 'why']) assert(!(await cluster.cox([verb, job.id])).stdout.includes(canary), verb)
    assert.deepEqual(filesWith(cluster.home, canary), [])
  })

  test('that cannot be are refused', async () => {
    await rejection(cluster.client.setSecret('not a name', 'x'), 'INVALID_ARGUMENT')
    await rejection(cluster.client.setSecret('EMPTY', ''), 'INVALID_ARGUMENT')
    await rejection(cluster.client.setSecret('LARGE', 'x'.repeat((64 << 10) + 1)), 'INVALID_ARGUMENT')
    assert.equal((await cluster.cox(['secret', 'set', 'A', '--file', '/no/such/file'])).code, 2)
  })
})
