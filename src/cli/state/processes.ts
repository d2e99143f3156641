// Owns telling processes apart: a pid is only the same process while its start time is the same.
// Must not kill anything by itself.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** One life of a process. */
export interface ProcessIdentity {
  pid: number
  /** As its operating system tells it; empty if unknown. */
  startedAt: string
}

/** Field 22 of /proc/PID/stat, counted from behind the name, which may hold anything. */
const startFieldAfterName = 19

/** When the process with this pid started, in its system's own words; undefined if there is none. A zombie is none. */
export function processStart(pid: number): string | undefined {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[startFieldAfterName]
    } catch {
      return undefined
    }
  }
  try {
    return (
      execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() ||
      undefined
    )
  } catch {
    return undefined
  }
}

/** This process, or the one with the given pid. */
export function identify(pid: number = process.pid): ProcessIdentity {
  return { pid, startedAt: processStart(pid) ?? '' }
}

/** True while exactly this process lives. */
export function lives(identity: ProcessIdentity): boolean {
  const startedAt = processStart(identity.pid)
  return startedAt !== undefined && (identity.startedAt === '' || identity.startedAt === startedAt)
}

/** Sends a signal to exactly this process; false if it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!lives(identity)) return false
  try {
    process.kill(identity.pid, signal)
    return true
  } catch {
    return false
  }
}
