// Owns counting the ticks of schedules: cron expressions in a timezone, and intervals. Pure: it is told the time.
// Must not keep time or wait.
import { Cron } from 'croner'
import type { TickSpec } from '../platform.ts'

/** Expressions that were parsed. Few: each of them holds 80 KB, as the library has a flag for each of 10,000 years. */
const parsed = new Map<string, Cron>()
const parsedMax = 50
const minuteMs = 60_000

function checkTimezone(timezone: string): void {
  try {
    if (timezone !== '') new Intl.DateTimeFormat('en', { timeZone: timezone })
  } catch {
    throw new Error(`${JSON.stringify(timezone)} is no timezone: names are such as "Europe/Berlin"`)
  }
}

/** Five fields, six with seconds, or a nickname such as @daily: the library would also take years. */
function checkFields(cron: string): void {
  const { length } = cron.trim().split(/\s+/)
  if (!cron.startsWith('@') && length !== 5 && length !== 6)
    throw new Error(`cron is ${JSON.stringify(cron)}: it has five fields, or six with seconds first, and not ${length}`)
}

/** The expression, parsed. Throws what is wrong with it, as an Error. */
function cronOf({ cron, timezone }: TickSpec): Cron {
  const key = `${timezone} ${cron}`
  let found = parsed.get(key)
  if (!found) {
    checkTimezone(timezone)
    checkFields(cron)
    try {
      found = new Cron(cron, { paused: true, timezone: timezone === '' ? 'UTC' : timezone })
    } catch (error) {
      throw new Error(`cron is ${JSON.stringify(cron)}: ${(error as Error).message.replace(/^\w+: |\.$/g, '')}`)
    }
    if (parsed.size >= parsedMax) parsed.clear()
    parsed.set(key, found)
  }
  return found
}

/**
 * The first tick after a wall time, in milliseconds since 1970; undefined if there is none any more. Where clocks are set forward, a tick in the hour that
 * is missing comes at the end of it; where they are set back, one in the hour that comes twice comes once. Throws an Error for a spec that cannot be.
 */
export function nextTick(spec: TickSpec, afterMs: number): number | undefined {
  if (spec.cron === '') return (Math.floor(afterMs / spec.everyMs) + 1) * spec.everyMs
  const cron = cronOf(spec)
  // Around changes of the clock a library may give the same time again: what is not later is none.
  for (let fromMs = afterMs; fromMs <= afterMs + 120 * minuteMs; fromMs += minuteMs) {
    const next = cron.nextRun(new Date(fromMs))?.getTime()
    if (next === undefined || next > afterMs) return next
  }
  return undefined
}
