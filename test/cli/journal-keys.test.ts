// Shows `cox journal` on an encrypted journal: which keys are used is counted, verify needs none, dump refuses.
// Must not need a cluster.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openSqliteStore, sealedStore } from '../../src/journal/index.ts'
import { type Keyring, openKeyring } from '../../src/platform/node/index.ts'
import { cox, temporaryHome } from './cox.ts'

const { home, cleanUp } = temporaryHome('keys')
after(cleanUp)
mkdirSync(home, { mode: 0o700 })

const keys = ['11'.repeat(31), '22'.repeat(31)].map(key => `${key}00`)

async function ring(...those: string[]): Promise<Keyring | undefined> {
  return openKeyring({ environment: those.length > 0 ? { COX_ENCRYPTION_KEY: those.join(' ') } : {} })
}

/** One claim with one record: one row. */
async function leadOnce(epoch: number, keyring: Keyring | undefined): Promise<void> {
  const store = sealedStore(await openSqliteStore({ folder: join(home, 'journal') }), keyring)
  const opening = { epoch, firstIndex: epoch, count: 1, records: Buffer.from('a record'), payloads: [], drops: [] }
  const claim = { seenEpoch: epoch - 1, leader: 'one', pid: process.pid, processStart: '', address: '', opening }
  assert.equal(await store.leadership.claim(claim), 'claimed')
  await store.close()
}

test('cox journal keys counts what is in clear and under each key; verify needs no key; dump says that one is missing', async () => {
  await leadOnce(1, undefined)
  const [one, two] = [await ring(keys[0]!), await ring(keys[1]!, keys[0]!)]
  await leadOnce(2, one)
  await leadOnce(3, two)
  await leadOnce(4, two)
  const [oldId, newId] = [one!.keys[0]!, two!.keys[0]!]
  const counted = await cox(['journal', 'keys', '--json'], { home })
  assert.deepEqual(JSON.parse(counted.stdout), { clear: 1, sealed: { [oldId]: 1, [newId]: 2 } })
  assert.match((await cox(['journal', 'keys'], { home })).stdout, new RegExp(`^in clear +1\nkey ${oldId} 1\nkey ${newId} 2\n$`))
  assert.equal((await cox(['journal', 'verify', '--json'], { home })).code, 0)
  const dump = await cox(['journal', 'dump', '--from', '2'], { home })
  assert.equal(dump.code, 4)
  assert.match(dump.stderr, /ENCRYPTION_KEY_MISSING/)
})
