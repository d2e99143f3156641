// Owns the tests of events on a real cluster: each counts once for each of its receivers while leaders are killed, and what people do from the shell.
// Must not look at how events are kept: test/core does.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Emitted, type TriggerView, trigger } from '../../src/index.ts'
import { audited, booked, onFirst, onPayment, order } from './event-tasks.ts'
import { errorOf, FaultCluster, rejection, until } from './harness.ts'

describe('an event', { timeout: 120_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('events', ['--candidates', '3', '--workers', '1', '--cpus', '2', '--executors', '2'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('starts what its triggers run, with what it brought', async () => {
    const { client } = cluster
    await client.on(onPayment)
    await client.on(onFirst)
    await client.on(onFirst)
    assert.deepEqual(await client.emit('payment', { amount: 3 }, { key: 'o-1', id: 'first' }), { started: 2, woken: 0 })
    const event = { event: 'payment', key: 'o-1', id: 'first', payload: { amount: 3 } }
    assert.deepEqual(await client.job('on-payment@first').result(), event)
    assert.deepEqual(await client.job('on-first@first').result(), { key: 'o-1', id: 'first', doubled: [0, 2, 4] })
    assert.deepEqual(await client.emit('payment', { amount: 9 }, { id: 'second' }), { started: 1, woken: 0 })
    assert.deepEqual(await client.job('on-payment@second').result(), { event: 'payment', id: 'second', payload: { amount: 9 } })
    assert.deepEqual(await client.emit('nobody-listens'), { started: 0, woken: 0 })
  })

  test('counts once for each of its receivers, whoever is killed while it is sent', async () => {
    const { client } = cluster
    const before = (await client.trigger('on-payment').status()).started
    const jobs = await Promise.all(
      Array.from({ length: 5 }, (_, i) => client.submit(order, { key: `k-${i}`, timeout: '300s' }, { id: `order-${i}` })),
    )
    for (const round of [0, 1]) {
      const answers: Promise<Emitted>[] = []
      for (let i = 0; i < 100; i++) answers.push(client.emit('payment', { amount: i }, { key: `k-${i % 5}`, id: `round-${round}-${i}` }))
      // Nobody knows which of them its journal holds: those without an answer are sent again.
      await Promise.all([cluster.killLeader(), ...answers])
      assert.deepEqual(new Set((await Promise.all(answers)).map(one => one.started)), new Set([1]))
    }
    for (const [i, job] of jobs.entries()) assert.equal((await job.result()) as number, i, 'it got the first that was sent')
    // Sent again by a user who does not know either.
    assert.equal((await client.emit('payment', { amount: 1 }, { key: 'k-1', id: 'round-1-1' })).started, 1)
    const runs = await client.jobs({ label: 'trigger:on-payment', limit: 1000 })
    assert.equal(runs.filter(job => job.id.startsWith('on-payment@round-')).length, 200)
    assert.equal((await client.trigger('on-payment').status()).started, before + 200)
    for (const { id } of runs) await client.job(id).result()
  })

  test('comes in time, or its workflow can say that it did not', async () => {
    const job = await cluster.client.submit(order, { key: 'late', timeout: '100ms' })
    const { code, message } = (await job.result()) as { code: string; message: string }
    assert.deepEqual([code, message], ['EVENT_TIMEOUT', 'No event payment#late came within 100 ms.'])
  })

  test('wakes a workflow that is known to wait, from the shell', async () => {
    const job = await cluster.client.submit(order, { key: 'shell', timeout: '300s' })
    const waiting = (): Promise<boolean> =>
      cluster.cox(['why', job.id]).then(({ stdout }) => /the event payment with the key shell/.test(stdout))
    await until('it waits', waiting)
    assert.match((await cluster.cox(['job', job.id])).stdout, /▸ 0 payment#shell \(event\) {2}open/)
    const sent = await cluster.cox(['emit', 'payment', '{"amount": 7}', '--key', 'shell', '--id', 'from-the-shell'])
    assert.equal(sent.stdout.trim(), 'Sent: payment. It started 1, and 1 steps got it.')
    assert.equal((await job.result()) as number, 7)
    const again = await cluster.cox(['emit', 'payment', '{"amount": 8}', '--key', 'shell', '--id', 'from-the-shell', '--json'])
    assert.deepEqual(JSON.parse(again.stdout), { event: 'payment', started: 1, woken: 1 })
    assert.match((await cluster.cox(['story', 'from-the-shell'])).stdout, /event payment, id from-the-shell, with the key shell/)
  })

  test('is refused where it cannot be', async () => {
    const { client } = cluster
    for (const [event, options] of [
      ['', {}],
      ['a b', {}],
      ['payment', { key: '' }],
      ['payment', { id: 'a/b' }],
    ] as const)
      await rejection(client.emit(event, 1, options), 'INVALID_ARGUMENT')
    await rejection(
      client.emit('payment', () => 1),
      'VALUE_CANNOT_TRAVEL',
    )
    const large = await rejection(client.emit('payment', 'x'.repeat(70_000)), 'VALUE_CANNOT_TRAVEL')
    assert.match(large.message, /payload of event payment is larger/)
    assert.equal(errorOf(await cluster.cox(['emit', 'a b', '--json'])).code, 'INVALID_ARGUMENT')
  })

  test('and triggers: made once, refused as another one, replaced, paused and deleted', async () => {
    const { client } = cluster
    const other = trigger({ name: 'on-payment', event: 'refund', task: booked })
    await rejection(client.on(other), 'TRIGGER_CHANGED')
    await rejection(client.on({} as never), 'INVALID_ARGUMENT')
    await rejection(client.trigger('none').pause(), 'NOT_FOUND')
    await rejection(client.trigger('none').status(), 'NOT_FOUND')
    const handle = await client.on(other, { replace: true })
    assert.equal((await handle.status()).event, 'refund')
    assert.match((await cluster.cox(['triggers'])).stdout, /on-first +payment +o-1 +audited +ready/)
    assert.match((await cluster.cox(['trigger', 'pause', 'on-payment'])).stdout, /paused/)
    assert.deepEqual(await client.emit('refund', { amount: 1 }), { started: 0, woken: 0 })
    assert.equal((await cluster.cox(['trigger', 'resume', 'on-payment'])).code, 0)
    assert.equal((await client.emit('refund', { amount: 1 })).started, 1)
    assert.equal((await cluster.cox(['trigger', 'delete', 'on-payment'])).code, 0)
    assert.equal(errorOf(await cluster.cox(['trigger', 'resume', 'on-payment', '--json'])).code, 'NOT_FOUND')
    const left = JSON.parse((await cluster.cox(['triggers', '--json'])).stdout) as TriggerView[]
    assert.deepEqual(
      left.map(one => one.name),
      ['on-first'],
    )
    await client.on(trigger({ name: 'on-first', event: 'payment', key: 'o-2', workflow: audited }), { replace: true })
  })
})
