// Owns the rows about proof: a node that is revoked, strangers' certificates, the change of the authority under load, and bad tokens of users.
// Must not look into the product: what is refused is asked for over the network.
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { CoxswainError, connect } from '../../../src/index.ts'
import { until } from '../../../test/faults/harness.ts'
import { pauseMs } from '../../run.ts'
import { candidateHosts, clientHost, type HostCluster, workerHosts } from '../cluster.ts'
import type { HostRow } from '../row.ts'
import { type HostRun, onlyTheLost, underHosts } from '../run.ts'

const refusedBarMs = 2000
const answerWithinMs = 5000
const expiresMs = 1000
/** Nothing was shown; what was shown is no capability. */
const refusedStatuses: readonly number[] = [401, 403]
const refusedCodes: readonly string[] = ['UNAUTHENTICATED', 'FORBIDDEN']

async function revoked(run: HostRun): Promise<void> {
  const { cluster } = run
  const host = workerHosts.at(-1)!
  const name = cluster.nameOf(host)
  const startedMs = performance.now()
  await cluster.json(candidateHosts[0]!, ['node', 'revoke', name])
  run.fault('revoked', name, `cox node revoke ${name} answered`)
  const revokedMs = performance.now()
  run.took('cox node revoke', revokedMs - startedMs)
  const gone = async (): Promise<boolean> => !(await cluster.client.workers()).some(one => one.id === name && one.state === 'ready')
  await until(`${name} is gone`, gone)
  run.took('from its answer to its worker gone', performance.now() - revokedMs, refusedBarMs)
  await run.load.more(20)
  if (!(await gone())) run.problem(`${name} came back although it is revoked`)
  // A process that starts anew with what lies on its disk is refused as well.
  await cluster.cox(host, ['down', '--force'])
  await cluster.cox(host, ['up', '--detach', '--listen', cluster.address(host), '--executors', '1', '--json'])
  await run.load.more(20)
  if (!(await gone())) run.problem(`${name} came back in a new process although it is revoked`)
}

/** What comes of a TLS connection with this identity: true if anything but a refusal was read from the other side. */
function accepted(host: string, port: number, identity: { cert: string; key: string }): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connectTls({ host, port, ...identity, minVersion: 'TLSv1.3', rejectUnauthorized: false })
    const end = (is: boolean): void => {
      socket.destroy()
      resolve(is)
    }
    socket.setTimeout(answerWithinMs, () => end(false))
    socket.on('secureConnect', () => socket.write(`GET /blocks/${'0'.repeat(64)} HTTP/1.1\r\nhost: ${host}\r\n\r\n`))
    socket.on('data', data => end(!/^HTTP\/1\.1 40[13] /.test(data.toString('latin1'))))
    socket.on('error', () => end(false))
    socket.on('close', () => end(false))
  })
}

async function strangers(run: HostRun): Promise<void> {
  const { cluster } = run
  const home = join(cluster.folder, 'stranger')
  const init = ['cluster', 'init', '--advertise', cluster.address(candidateHosts[0]!), '--name', 'c1', '--json']
  const made = await cluster.cox(clientHost, init, home)
  if (made.code !== 0) throw new Error(made.stdout + made.stderr)
  const stranger = readFileSync(join(home, 'node', 'identity.pem'), 'utf8')
  const own = readFileSync(join(cluster.home(workerHosts[0]!), 'node', 'identity.pem'), 'utf8')
  for (const host of [...candidateHosts, ...workerHosts]) {
    const [address, port] = cluster.address(host).split(':') as [string, string]
    if (await accepted(address, Number(port), { cert: stranger, key: stranger }))
      run.problem(`${cluster.nameOf(host)} speaks to a certificate of another authority`)
    else run.fault('stranger', cluster.nameOf(host), 'a certificate of another authority was shown, and refused')
  }
  // The same question with a right certificate is answered: it was the certificate that was refused.
  const [address, port] = cluster.address(candidateHosts[0]!).split(':') as [string, string]
  if (!(await accepted(address, Number(port), { cert: own, key: own }))) run.problem('a candidate refuses the certificate of a worker')
}

async function authorityChanged(run: HostRun, rounds: number): Promise<void> {
  const { cluster } = run
  for (let round = 0; round < rounds; round++) {
    await run.standbys(2)
    const before = (await cluster.client.nodes.view()).authorities.map(one => one.authority)
    const startedMs = performance.now()
    await cluster.json(candidateHosts[0]!, ['cluster', 'rotate-ca'])
    for (;;) {
      const { authorities, rotation } = await cluster.client.nodes.view()
      if (!rotation && authorities.length === 1 && !before.includes(authorities[0]!.authority)) break
      if (performance.now() - startedMs > 120_000) throw new Error(`the authority is not changed: ${JSON.stringify(rotation)}`)
      await pauseMs(100)
    }
    run.took('until the old authority was dropped', performance.now() - startedMs)
    run.fault('authority', 'cluster', `${before.join()} is not believed any more`)
    await run.load.more(10)
    await cluster.login()
  }
}

/** The status with which a port answers a bearer token. */
function statusFor(cluster: HostCluster, host: number, path: string, token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(`https://${cluster.address(host)}${path}`, {
      headers: token === '' ? {} : { authorization: `Bearer ${token}` },
      ca: cluster.authorities(),
      checkServerIdentity: () => undefined,
      agent: false,
      timeout: answerWithinMs,
    })
    asked.on('response', response => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    asked.on('timeout', () => asked.destroy(new Error('no answer')))
    asked.on('error', reject)
    asked.end()
  })
}

/** What comes of connecting to one candidate with this token. */
async function codeFor(cluster: HostCluster, host: number, token: string): Promise<string> {
  try {
    const client = await connect({ url: `wss://${cluster.address(host)}`, ca: cluster.authorities(), token, local: false, timeout: '2s' })
    await client.close()
    return 'accepted'
  } catch (error) {
    return error instanceof CoxswainError ? error.code : String(error)
  }
}

async function tokensOf(run: HostRun): Promise<ReadonlyMap<string, string>> {
  const { access } = run.cluster.client
  await access.setUser('mallory', { role: 'admin' })
  const soon = await access.issueToken('mallory', { expires: expiresMs })
  const withdrawn = await access.issueToken('mallory')
  await access.revokeToken(withdrawn.id)
  const good = await access.issueToken('mallory')
  await pauseMs(2 * expiresMs)
  const last = good.token.at(-1)!
  return new Map([
    ['none', ''],
    ['no token of ours', 'x'.repeat(64)],
    ['one character is wrong', `${good.token.slice(0, -1)}${last === 'A' ? 'Q' : 'A'}`],
    ['expired', soon.token],
    ['revoked', withdrawn.token],
    ['good', good.token],
  ])
}

async function badTokens(run: HostRun): Promise<void> {
  const { cluster } = run
  await run.standbys(2)
  const leader = await cluster.leader()
  for (const [what, token] of await tokensOf(run)) {
    for (const host of candidateHosts) {
      if (what === 'none') continue
      const code = await codeFor(cluster, host, token)
      // A standby knows no users: it says who leads, or nothing, and lets nobody in.
      const right = what === 'good' ? host !== leader.host || code === 'accepted' : code !== 'accepted'
      if (!right || (what !== 'good' && host === leader.host && !refusedCodes.includes(code)))
        run.problem(`${cluster.nameOf(host)}, token ${what}: ${code}`)
      else run.fault('token', cluster.nameOf(host), `token ${what}: ${code}`)
    }
    for (const host of workerHosts) {
      // Blocks are for those who have a capability of the leader: no token of a user opens them, the good one neither.
      const status = await statusFor(cluster, host, `/blocks/${'0'.repeat(64)}`, token)
      if (!refusedStatuses.includes(status)) run.problem(`the blocks of ${cluster.nameOf(host)}, token ${what}: ${status}`)
      else run.fault('token', `blocks of ${cluster.nameOf(host)}`, `token ${what}: ${status}`)
    }
  }
}

/** Rows 51 and 50. */
export const trustRows: readonly HostRow[] = [
  {
    name: 'node-revoked',
    numbers: [51],
    fault: 'the certificate of a worker is revoked while it works',
    holds: `it is gone within ${refusedBarMs} ms, does not come back, nor in a new process; its tasks run elsewhere`,
    rounds: 1,
    run: hosts => underHosts('node-revoked', hosts, {}, revoked),
  },
  {
    name: 'strangers',
    numbers: [51],
    fault:
      'a certificate of another authority, with the name of a candidate, is shown to every candidate and to the blocks of every worker',
    holds: 'nobody speaks to it; to a certificate of this authority the same question is answered',
    rounds: 1,
    run: hosts => underHosts('strangers', hosts, onlyTheLost, strangers),
  },
  {
    name: 'authority-changed',
    numbers: [51],
    fault: 'the authority is replaced under load (cox cluster rotate-ca)',
    holds: 'no call fails, no task is dropped or runs again, and the old authority is gone at the end',
    rounds: 2,
    run: (hosts, rounds) => underHosts('authority-changed', hosts, onlyTheLost, run => authorityChanged(run, rounds)),
  },
  {
    name: 'bad-tokens',
    numbers: [50],
    fault: 'no, foreign, altered, expired and revoked tokens are shown to every candidate and to the blocks of every worker',
    holds: 'all are refused everywhere, and the load goes on; a good one is accepted by the leader',
    rounds: 1,
    run: hosts => underHosts('bad-tokens', hosts, onlyTheLost, badTokens),
  },
]
