// Owns reading numbers, amounts and durations off the command line, and refusing them in one clear way.
// Must not have defaults.
import { InvalidArgumentError } from 'commander'

const memoryUnits: Record<string, number> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }
const durationUnits: Record<string, number> = { '': 1, ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 }

function amount(text: string, factorOf: (unit: string) => number | undefined, what: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const factor = match ? factorOf(match[2]!.toLowerCase()) : undefined
  if (!match || factor === undefined) throw new InvalidArgumentError(`It must be ${what}.`)
  return Math.round(Number(match[1]) * factor)
}

/** Bytes: `1073741824`, `512mb`, `2gb`. */
export function memoryArgument(text: string): number {
  return amount(text, unit => memoryUnits[unit.replace(/(?<=[kmgt])i?b$/, '')], 'an amount of bytes like 512mb or 2gb')
}

/** Milliseconds: `1500`, `500ms`, `30s`, `5m`, `1h`, `7d`. */
export function durationArgument(text: string): number {
  return amount(text, unit => durationUnits[unit], 'a duration like 500ms, 30s, 5m, 1h or 7d')
}

/** A time, in milliseconds since 1970: a duration back from now (`90s`, `2d`), or a date such as `2026-11-01` or `2026-11-01T08:00`. */
export function momentArgument(text: string): number {
  const date = /^\d{4}-/.test(text.trim()) ? Date.parse(text.trim()) : Number.NaN
  if (!Number.isNaN(date)) return date
  const back = amount(text, unit => (unit === '' ? undefined : durationUnits[unit]), 'a duration back like 2d, or a date like 2026-11-01')
  return Date.now() - back
}

/** A parser for whole numbers within bounds. */
export function integerArgument(least: number, most: number): (text: string) => number {
  return text => {
    const value = Number(text)
    if (!/^-?\d+$/.test(text.trim()) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
    return value
  }
}

/** Thousandths of an amount such as cpus: `1.5` is 1500. */
export function millisArgument(text: string): number {
  const value = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text.trim()) || value > 1e9) throw new InvalidArgumentError('It must be a number that is not negative.')
  return Math.round(value * 1000)
}

/** Collects `name=amount`, given once or several times, separated by commas or not. */
export function namedAmountsArgument(text: string, before: { name: string; millis: number }[] = []): { name: string; millis: number }[] {
  const more = text.split(',').map(part => {
    const [name = '', value = ''] = part.split('=', 2)
    if (!/^[\p{L}\p{N}._-]+$/u.test(name.trim())) throw new InvalidArgumentError('It must be name=amount, such as licence=2.')
    return { name: name.trim(), millis: millisArgument(value) }
  })
  return [...before, ...more]
}

/** Collects texts, given several times or separated by commas. */
export function textsArgument(text: string, before: string[] = []): string[] {
  return [
    ...before,
    ...text
      .split(',')
      .map(part => part.trim())
      .filter(part => part !== ''),
  ]
}
