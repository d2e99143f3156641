// How long a client waits for a candidate that is dialled and does not answer, as one whose packets are dropped.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Link } from '../../src/client/link.ts'
import type { CoxswainError } from '../../src/protocol/index.ts'
import { World } from '../fakes/world.ts'

it('a dial that nobody answers is given up after a second, and a little later each time', async () => {
  const world = new World()
  const dialledMs: number[] = []
  const ended: string[] = []
  const platform = world.platform
  const transport = {
    ...platform.transport,
    connect: () => {
      dialledMs.push(world.nowMs)
      return { send() {}, close() {}, bufferedBytes: 0, pause() {}, resume() {}, remote: '' } as never
    },
  }
  const endpoint = async () => ({ address: 'wss://away:1', token: 't' })
  const times = { connectTimeoutMs: 5000, reconnectTimeoutMs: 5000 }
  const options = { endpoint, name: 'client', ...times, keepAlive: () => () => {} }
  const handlers = { opened() {}, message() {}, ended: (error: CoxswainError) => void ended.push(error.code) }
  new Link('session', options, { ...platform, transport }, handlers).start()
  await world.calm()
  await world.advance(20_000)
  const [first, second, third] = dialledMs as [number, number, number]
  assert.ok(second - first >= 1000 && second - first < 1200, `${second - first}`)
  assert.ok(third - second >= 1500 && third - second < 1700, `${third - second}`)
  assert.deepEqual(ended, ['UNAVAILABLE'], 'the time for connecting is over all dials')
})
