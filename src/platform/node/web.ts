// Owns HTTP between nodes for rooms that speak it themselves: servers behind the guard, and sockets that believe only workers of the cluster.
// Must not know what is asked for.
import type { Agent, AgentOptions, IncomingMessage, ServerResponse } from 'node:http'
import type { Listener, ServeOptions, Sockets, Web } from '../platform.ts'
import { isPacked, packed, refuse } from './answers.ts'
import { Callers } from './callers.ts'
import { Guard } from './guard.ts'
import { type ListenLimits, listenLimits } from './limits.ts'
import type { Security } from './security.ts'
import { createPort, type Log } from './server.ts'
import { dialOptions } from './tls.ts'

async function serve<P>(
  security: Security | undefined,
  log: Log,
  given: Partial<ListenLimits>,
  options: ServeOptions<P>,
): Promise<Listener> {
  const { host, names = [], connectionsMax, idleTimeoutMs, authenticate } = options
  // How long a body may take is for its reader to say: large ones take long.
  const limits = { ...listenLimits, requestTimeoutMs: 0, keepAliveMs: idleTimeoutMs, ...given, connectionsMax }
  const callers = new Callers(limits, () => performance.now())
  const guard = new Guard<P>({ host, names, authenticate: credentials => authenticate(credentials), callers, log })
  const port = createPort({ security, limits, callers, log })
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const misdirected = guard.misdirected(request)
    if (misdirected) return refuse(request, response, misdirected)
    const verdict = await guard.judge(request)
    if (verdict.kind !== 'known') {
      if (verdict.kind === 'open') guard.failed(request)
      return refuse(request, response, verdict.refusal)
    }
    port.proved(request)
    if (isPacked(request)) return refuse(request, response, packed)
    return options.answer(request, response, verdict.principal)
  }
  const asked = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response).catch(error => {
      log('error', 'request-failed', { message: (error as Error).message })
      response.destroy()
    })
  }
  port.server.setTimeout(idleTimeoutMs)
  port.server.on('request', asked)
  // Who asks before it sends is answered before it sends, if the answer is no.
  port.server.on('checkContinue', asked)
  const address = await port.listen(host, options.port)
  return { address: `${security ? 'https' : 'http'}://${address}`, close: () => port.close() }
}

/** Keeps sockets; those over TLS are made with the identity of the moment, and not kept over its changes. */
function keptSockets(security: Security | undefined, socketsMax: number): Sockets {
  // Their import would load Node's own WebSocket as well, which nothing here uses: a fifth of the start of a process.
  const http = process.getBuiltinModule('node:http')
  const options: AgentOptions = { keepAlive: true, maxSockets: socketsMax }
  let plain: Agent | undefined
  let secure: Agent | undefined
  const secured = (): Agent => {
    const https = process.getBuiltinModule('node:https')
    const agent = new https.Agent({ ...options, maxCachedSessions: 0, minVersion: 'TLSv1.3' })
    if (!security) return agent
    const create = agent.createConnection.bind(agent)
    agent.createConnection = (target, ready) => create({ ...target, ...dialOptions(security, 'worker') }, ready)
    return agent
  }
  const unfollow = security?.onChange(() => {
    for (const idle of Object.values(secure?.freeSockets ?? {})) for (const socket of idle ?? []) socket.destroy()
  })
  return {
    request(url, asked) {
      const agent = url.startsWith('https:') ? (secure ??= secured()) : (plain ??= new http.Agent(options))
      return http.request(url, { ...asked, agent })
    },
    close() {
      unfollow?.()
      plain?.destroy()
      secure?.destroy()
    },
  }
}

/** HTTP between nodes; with an identity, over TLS 1.3. */
export function makeNodeWeb(security?: Security, log: Log = () => undefined, limits: Partial<ListenLimits> = {}): Web {
  return {
    serve: options => serve(security, log, limits, options),
    sockets: socketsMax => keptSockets(security, socketsMax),
  }
}

/** For a cluster on one machine, which keeps to its loopback. */
export const nodeWeb: Web = makeNodeWeb()
