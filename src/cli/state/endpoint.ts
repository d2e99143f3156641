// Owns the file in which the leader says how to reach it. Written by the leader's process, read by everyone on this machine.
// Must not decide who leads: the journal does.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type Home, onHome } from './home.ts'

/** How to reach the leader of the cluster in a state folder. */
export interface Endpoint {
  address: string
  cluster: string
  pid: number
  epoch: number
  startedAtMs: number
  /** Certificates of the authorities that the cluster's own are signed by, PEM: in a cluster of several machines. */
  authorities?: readonly string[]
}

/** Writes it so that a reader sees the old one or the new one, whole. */
export function writeEndpoint(home: Home, endpoint: Endpoint): void {
  onHome(home.path, () => {
    const temporary = `${home.endpoint}.${process.pid}.tmp`
    writeFileSync(temporary, `${JSON.stringify(endpoint)}\n`, { mode: 0o600 })
    renameSync(temporary, home.endpoint)
  })
}

/** What the file says, or undefined if it is not there (or not ours to read). */
export function readEndpoint(home: Home): Endpoint | undefined {
  try {
    const parsed = JSON.parse(readFileSync(home.endpoint, 'utf8')) as Partial<Endpoint>
    const { address, cluster = '', pid = 0, epoch = 0, startedAtMs = 0, authorities } = parsed
    return typeof address === 'string' ? { address, cluster, pid, epoch, startedAtMs, ...(authorities && { authorities }) } : undefined
  } catch {
    return undefined
  }
}

/** Removes it; harmless if it is not there. */
export function removeEndpoint(home: Home): void {
  rmSync(home.endpoint, { force: true })
}
