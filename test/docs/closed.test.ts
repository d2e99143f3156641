// Shows that a cluster is closed from its first start: without a token only /healthz answers, on the leader and on every worker.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Cluster, connect } from '../../src/index.ts'

const home = mkdtempSync(join(tmpdir(), 'coxswain-closed-'))
const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const paths = ['/', '/metrics', '/healthz/', `/blocks/${'a'.repeat(64)}`, '/blocks/..%2f..%2ftokens%2fuser']
const guesses: Record<string, string>[] = [
  {},
  { authorization: 'Bearer ' },
  { authorization: 'Bearer guessed' },
  { authorization: 'Basic eDp5' },
]

let cluster: Cluster

function cox(...args: string[]): Promise<void> {
  const options = { env: { ...process.env, COX_HOME: home } }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [main, ...args], options, (error, _output, complaints) => {
      if (error) reject(new Error(`cox ${args.join(' ')}: ${complaints}`))
      else resolve()
    })
  })
}

before(async () => {
  await cox('up', '--detach', '--workers', '1')
  const { address } = JSON.parse(readFileSync(join(home, 'cluster.json'), 'utf8')) as { address: string }
  cluster = await connect({ url: address, tokenFile: join(home, 'tokens', 'user') })
})

after(async () => {
  await cluster?.close()
  await cox('down', '--force')
  rmSync(home, { recursive: true, force: true })
})

describe('without a token', () => {
  it('/healthz says that the leader leads', async () => {
    const { leader } = await cluster.status()
    const response = await fetch(`${leader.address.replace(/^ws/, 'http')}/healthz`)
    assert.deepEqual([response.status, await response.text()], [200, 'ok\n'])
  })

  it('everything else is refused, whatever the path, the method and the guess', async () => {
    const { leader, workers } = await cluster.status()
    const leaderBase = leader.address.replace(/^ws/, 'http')
    for (const base of [leaderBase, ...workers.map(({ blocks }) => blocks)]) {
      for (const path of paths) {
        for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']) {
          for (const headers of guesses) {
            const { status } = await fetch(base + path, { method, headers })
            // A worker knows no tokens: what is brought to it is no right to anything.
            const brought = base !== leaderBase && 'authorization' in headers && status === 403
            assert.ok(status === 401 || brought, `${status} ${method} ${base}${path} with ${JSON.stringify(headers)}`)
          }
        }
      }
    }
  })

  it('no connection is made, and the token of a node makes no client', async () => {
    const { leader } = await cluster.status()
    const options = { url: leader.address, timeout: '5s' } as const
    await assert.rejects(connect({ ...options, token: 'guessed' }), { code: 'UNAUTHENTICATED' })
    await assert.rejects(connect({ ...options, tokenFile: join(home, 'tokens', 'node') }), { code: 'FORBIDDEN' })
  })
})
