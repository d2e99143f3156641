// `cox login` at a cluster with an authority of its own, from a machine that is no node of it; and commands on its candidate when the authority has changed.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import type { NodesView } from '../../src/protocol/index.ts'
import { until } from '../faults/harness.ts'
import { type CoxResult, cox, temporaryHome } from './cox.ts'

const { folder, home, cleanUp } = temporaryHome('login-machines')
const elsewhere = join(folder, 'elsewhere')
const caFile = join(folder, 'authority.pem')
let address = ''

function good({ code, stdout, stderr }: CoxResult): string {
  assert.equal(code, 0, stdout + stderr)
  return stdout
}

/** What the candidate tells those on its machine to believe. */
function authorities(): string {
  return (JSON.parse(readFileSync(join(home, 'cluster.json'), 'utf8')) as { authorities: string[] }).authorities.join('\n')
}

before(async () => {
  mkdirSync(elsewhere, { mode: 0o700 })
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  address = `127.0.0.1:${(server.address() as { port: number }).port}`
  server.close()
  await once(server, 'close')
  good(await cox(['cluster', 'init', '--advertise', address, '--name', 'c1'], { home }))
  good(await cox(['up', '--detach', '--listen', address], { home }))
})
after(async () => {
  await cox(['down', '--force'], { home })
  cleanUp()
})

it('the authority that is given is believed, and kept for the commands that follow', async () => {
  const login = ['login', `wss://${address}`, '--token-file', join(home, 'tokens', 'user')]
  const without = await cox(login, { home: elsewhere })
  assert.notEqual(without.code, 0)
  assert.match(without.stderr, /does not believe/)
  writeFileSync(caFile, authorities())
  assert.match(good(await cox([...login, '--ca-file', caFile], { home: elsewhere })), /Logged in .* as admin/)
  assert.match(good(await cox(['whoami'], { home: elsewhere })), /^admin/)
})

it('when the authority has changed, commands on the candidate’s machine believe the new one', async () => {
  const view = async (): Promise<NodesView> => JSON.parse(good(await cox(['cluster', 'status', '--json'], { home }))) as NodesView
  const before = authorities()
  const old = (await view()).authorities[0]!.authority
  good(await cox(['cluster', 'rotate-ca'], { home }))
  await until('the old authority is gone', async () => {
    const { authorities: now, rotation } = await view()
    return !rotation && now.length === 1 && now[0]!.authority !== old
  })
  assert.notEqual(authorities(), before)
  good(await cox(['status'], { home }))
})
