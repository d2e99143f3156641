// Owns what the operating system tells about a process: memory and processor time, from /proc.
// Must not guess where there is no /proc: the figures are NaN there.
import { readFileSync } from 'node:fs'

/** Linux counts processor time in hundredths of a second for every program. */
const ticksPerSecond = 100

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Resident memory in bytes; NaN if it is not known. */
export function rssBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1]
  return kilobytes === undefined ? Number.NaN : Number(kilobytes) * 1024
}

/** Fields of /proc/PID/stat behind the name, which may hold spaces and brackets. */
function statFields(pid: number): string[] {
  const text = read(`/proc/${pid}/stat`)
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** Seconds of processor time used so far, in user and kernel mode; NaN if it is not known. */
export function cpuSeconds(pid: number): number {
  const fields = statFields(pid)
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}
