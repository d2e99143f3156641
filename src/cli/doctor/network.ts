// Owns the checks of ports and of the cluster that is up.
// Must not start a cluster.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { CoxswainError } from '../../protocol/index.ts'
import { readEndpoint } from '../state/endpoint.ts'
import type { Home } from '../state/home.ts'
import { liveSupervisor } from '../state/up-file.ts'
import { type Finding, ok } from './checks.ts'

const clusterTimeoutMs = 3_000
const clockDifferenceMsMax = 1_000

async function listens(port: number): Promise<number | string> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' && address ? address.port : port
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message
  } finally {
    server.close()
  }
}

/** Can a process listen on this machine? */
export async function checkLoopback(): Promise<Finding> {
  const got = await listens(0)
  if (typeof got === 'number') return ok('a free port on 127.0.0.1 was there at once')
  return {
    state: 'fail',
    text: `127.0.0.1 cannot be listened on (${got})`,
    advice: 'Bring the loopback interface up, or use another --host.',
  }
}

/** Is this port free? */
export async function checkPort(port: number): Promise<Finding> {
  const got = await listens(port)
  if (typeof got === 'number') return ok(`${port} is free`)
  return {
    state: 'fail',
    text: `${port} cannot be listened on (${got})`,
    advice: 'Choose another port with --port, or stop what listens there.',
  }
}

/** Does the cluster that is said to be up answer, and agree about the time? */
export async function checkCluster(home: Home): Promise<Finding> {
  const endpoint = readEndpoint(home)
  if (!process.env.COX_URL && (!endpoint || !liveSupervisor(home))) return ok('none is up here')
  const { connect } = await import('../../client/index.ts')
  try {
    await using cluster = await connect({ name: 'cox doctor', timeout: clusterTimeoutMs })
    const status = await cluster.status()
    const differenceMs = Math.abs(status.timeMs - Date.now())
    const text = `leader ${status.leader.id}, epoch ${status.leader.epoch}, ${status.workers.length} workers, L = ${status.load.toFixed(2)}`
    if (differenceMs <= clockDifferenceMsMax) return ok(text)
    return {
      state: 'warn',
      text: `${text}; its clock differs from ours by ${Math.round(differenceMs)} ms`,
      advice: 'Run NTP on both machines.',
    }
  } catch (error) {
    const advice = error instanceof CoxswainError ? error.advice : 'See the logs in the state folder.'
    return { state: 'fail', text: `it does not answer: ${(error as Error).message}`, advice }
  }
}
