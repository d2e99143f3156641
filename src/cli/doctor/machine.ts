// Owns the checks of Node, memory, limits and clock.
// Must not touch the disk.
import { freemem } from 'node:os'
import { cores, memoryBytes } from '../machine.ts'
import { bytesText, momentText } from '../output/text.ts'
import { type Finding, ok } from './checks.ts'

const nodeMajorMin = 24
const memoryBytesMin = 1 << 30
const openFilesMin = 1024
const openFilesGood = 4096
/** Nothing of Coxswain is older: a clock before this is wrong. */
const earliestClockMs = Date.UTC(2026, 0, 1)
const latestClockMs = Date.UTC(2100, 0, 1)
const clockProbeMs = 50
const clockDriftMsMax = 20

/** Is this Node new enough? */
export function checkNode(): Finding {
  const { node } = process.versions
  if (Number(node.split('.')[0]) >= nodeMajorMin) return ok(`Node ${node}`)
  return { state: 'fail', text: `Node ${node} is older than ${nodeMajorMin}`, advice: `Install Node ${nodeMajorMin} or newer.` }
}

/** Is there memory for a leader and a worker? */
export function checkMemory(): Finding {
  const total = memoryBytes()
  const text = `${bytesText(total)} for this process, ${bytesText(freemem())} free on the machine, ${cores()} cores`
  return total >= memoryBytesMin
    ? ok(text)
    : { state: 'warn', text, advice: 'Leader and one worker need about 300 MiB besides your tasks; start fewer workers.' }
}

/** May enough files and sockets be open? */
export function checkOpenFiles(): Finding {
  if (!process.report) return ok('not known on this system')
  // Without it the report asks the name service about every connection, which can take long.
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: number | string; hard?: number | string } } }
  const soft = report.userLimits?.open_files?.soft
  const most = typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY
  const text = `${soft ?? 'unlimited'} may be open at once (ulimit -n)`
  if (most >= openFilesGood) return ok(text)
  const advice = 'Raise it with `ulimit -n 65536`: each client and worker takes one.'
  return { state: most >= openFilesMin ? 'warn' : 'fail', text, advice }
}

/** Does the wall clock make sense, and go on at the pace of the monotonic one? */
export async function checkClock(): Promise<Finding> {
  const wallMs = Date.now()
  const monotonicMs = performance.now()
  await new Promise<void>(resolve => setTimeout(resolve, clockProbeMs))
  const driftMs = Math.abs(Date.now() - wallMs - (performance.now() - monotonicMs))
  const text = `${momentText(wallMs)} UTC`
  if (wallMs < earliestClockMs || wallMs > latestClockMs)
    return {
      state: 'warn',
      text: `${text} cannot be right`,
      advice: 'Set the clock (NTP). Nothing is lost by a wrong clock, but times in jobs and logs are wrong.',
    }
  if (driftMs > clockDriftMsMax)
    return {
      state: 'warn',
      text: `${text}; it jumped by ${Math.round(driftMs)} ms while we looked`,
      advice: 'Let NTP slew the clock instead of stepping it.',
    }
  return ok(text)
}
