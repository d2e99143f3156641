// Owns what `cox up` runs on a machine that is a node of a cluster of several: that node and nothing else.
// Must not start anything.
import { networkInterfaces } from 'node:os'
import { priorityDefault } from '../../core/limits.ts'
import { CoxswainError } from '../../protocol/errors.ts'
import type { NodeFile } from '../authority/folder.ts'
import type { CandidateOptions, WorkerOptions } from '../nodes/options.ts'
import type { UpOptions } from '../verbs/up.ts'
import type { UpPlan } from './supervisor.ts'

const anyHost = '0.0.0.0'
const loopbackHost = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/
const portDefault = 4700

/** Host and port in `HOST:PORT`; an IPv6 address stands in brackets. */
function hostAndPort(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}

/** The first address of this machine that others may reach it at; its loopback where it has none. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap(list => list ?? [])
  const found = all.find(one => !one.internal && one.family === 'IPv4') ?? all.find(one => !one.internal)
  return found?.address ?? '127.0.0.1'
}

/** Throws USAGE for a cluster of its own that listens for other machines: without certificates anybody could listen in, and a token is all that keeps others out. */
export function refuseOpenListening({ host, listen, advertise }: UpOptions): void {
  const asked = listen === undefined ? host : hostAndPort(listen).host
  if (loopbackHost.test(asked) && advertise === undefined) return
  const message = `This state folder is of no cluster of several machines, so ${asked} is not listened on for others: found one with \`cox cluster init\`, or join one with \`cox join\`.`
  throw new CoxswainError('USAGE', message, { id: asked })
}

/** What this node runs. `shared`: what candidates of all kinds are given; `worker`: what workers are. */
export function machinePlan(
  node: NodeFile,
  options: UpOptions,
  shared: Omit<CandidateOptions, 'name' | 'host' | 'port' | 'priority' | 'firstDelayMs'>,
  worker: Omit<WorkerOptions, 'name' | 'host'>,
): UpPlan {
  const { listen, advertise } = options
  const bound = listen === undefined ? undefined : hostAndPort(listen)
  const common = { options: { ...options }, drainMs: options.drain }
  if (node.role === 'worker') {
    const host = bound?.host ?? ownAddress()
    const at = advertise === undefined ? {} : { blockAdvertise: advertise }
    return { ...common, candidates: [], workers: [{ ...worker, name: node.name, host, ...(bound && { blockPort: bound.port }), ...at }] }
  }
  const told = advertise ?? node.address
  const port = bound?.port ?? (hostAndPort(told).port || portDefault)
  const priority = options.priorities?.[0] ?? priorityDefault
  const candidate = { ...shared, name: node.name, host: bound?.host ?? anyHost, port, priority, firstDelayMs: 0, advertise: told }
  return { ...common, candidates: [candidate], workers: [] }
}
