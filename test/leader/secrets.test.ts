// A secret's way through the leader: sealed on its way into the journal, opened for a worker that has a task for it and for nobody else.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { House } from './house.ts'

const canary = 'correct horse battery staple'

/** Turns each byte around, and notes what it was about: enough to see that nothing is kept in clear. */
const sealer = {
  seal: (bytes: Uint8Array, about: string) => Buffer.concat([Buffer.from(`${about}\n`), Buffer.from(bytes.map(byte => byte ^ 0xff))]),
  open(sealed: Uint8Array, about: string) {
    const text = Buffer.from(sealed)
    const end = text.indexOf(10)
    if (text.subarray(0, end).toString() !== about) return undefined
    return text.subarray(end + 1).map(byte => byte ^ 0xff)
  },
}

describe('a secret', () => {
  it('is sealed in the journal and given to who has a task that may have it', async () => {
    const { house, client, worker } = await House.staffed({ sealer })
    const value = Buffer.from(canary)
    assert.equal((await client.ask({ kind: 'setSecret', secret: 'A', value, jobs: [] }))?.kind, 'done')
    assert.equal((await client.ask({ kind: 'setSecret', secret: 'B', value, jobs: ['elsewhere/'] }))?.kind, 'done')
    const rows = await house.store.journal.read(1, 1000)
    assert(!rows.some(({ records }) => Buffer.from(records).includes(canary)))
    const listed = await client.ask({ kind: 'ask', view: 'secrets', argument: '{}' })
    assert(listed?.kind === 'view')
    assert.deepEqual(
      (JSON.parse(listed.body) as { name: string }[]).map(({ name }) => name),
      ['A', 'B'],
    )
    assert(!listed.body.includes('sealed') && !listed.body.includes(canary))
    await house.submit(client, 'j', 1)
    const [lane] = worker.work.lanes.keys()
    const ask = async (secret: string, job = 'j', number = lane!): Promise<{ value: string | undefined; code: string }> => {
      worker.heard.length = 0
      await worker.say({ kind: 'getSecret', request: 1, lane: number, job, stage: 0, secret })
      const answer = worker.heard.find(one => one.kind === 'secret')
      assert(answer?.kind === 'secret')
      return { value: answer.value && Buffer.from(answer.value).toString(), code: answer.code }
    }
    assert.deepEqual(await ask('A'), { value: canary, code: '' })
    assert.deepEqual(await ask('B'), { value: undefined, code: 'FORBIDDEN' })
    assert.deepEqual(await ask('C'), { value: undefined, code: 'SECRET_UNKNOWN' })
    assert.deepEqual(await ask('A', 'other'), { value: undefined, code: 'FORBIDDEN' })
    assert.deepEqual(await ask('A', 'j', lane! + 1), { value: undefined, code: 'FORBIDDEN' })
    await worker.finish()
    assert.deepEqual(await ask('A'), { value: undefined, code: 'FORBIDDEN' }, 'its task has ended')
    assert(!JSON.stringify(house.world.log).includes(canary))
  })

  it('that does not open is answered with its code, and with nothing else', async () => {
    const { house, client, worker } = await House.staffed({ sealer: { ...sealer, open: () => undefined } })
    await client.ask({ kind: 'setSecret', secret: 'A', value: Buffer.from(canary), jobs: [] })
    await house.submit(client, 'j', 1)
    worker.heard.length = 0
    await worker.say({ kind: 'getSecret', request: 1, lane: [...worker.work.lanes.keys()][0]!, job: 'j', stage: 0, secret: 'A' })
    const answer = worker.heard.find(one => one.kind === 'secret')
    assert(answer?.kind === 'secret')
    assert.deepEqual([answer.value, answer.code], [undefined, 'JOURNAL_CORRUPT'])
  })

  it('cannot be set where the leader has no key', async () => {
    const { client } = await House.ready()
    const answer = await client.ask({ kind: 'setSecret', secret: 'A', value: Buffer.from(canary), jobs: [] })
    assert(answer?.kind === 'failed')
    assert.deepEqual([answer.error.code, answer.error.id], ['SECRETS_UNAVAILABLE', 'A'])
  })
})
