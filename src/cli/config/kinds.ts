// Owns the kinds of values that settings have: each is read from text in one way, whether a flag, a variable or a file says it.
// Must not know settings.
import { resolve } from 'node:path'
import { InvalidArgumentError } from 'commander'
import { CoxswainError } from '../../protocol/errors.ts'
import { durationArgument, integerArgument, memoryArgument, millisArgument, namedAmountsArgument, textsArgument } from '../arguments.ts'

/** A value of a setting as a config file has it. */
export type Written = string | number | boolean | string[] | number[]

/** One kind of values. */
export interface Kind<T, W extends Written = Written> {
  /** What its values are, for documents and complaints. */
  what: string
  /** The value that a text means. Files are relative to the folder. Throws commander's complaint. */
  parse(text: string, folder: string): T
  /** What a config file has there, as text; undefined where that is of the wrong type. */
  text(written: unknown): string | undefined
  /** The value as a config file has it. */
  write(value: T): W
  /** A flag that is given again adds to what was there. */
  adds?: true
}

const numberText = (written: unknown): string | undefined => (typeof written === 'number' ? String(written) : undefined)
const stringText = (written: unknown): string | undefined => (typeof written === 'string' ? written : undefined)

/** An item of a list, which its text must not take apart. */
function itemText(item: unknown): string | undefined {
  const text = typeof item === 'number' ? String(item) : stringText(item)
  return text === undefined || text.includes(',') || text.trim() === '' ? undefined : text
}

/** A list as one text; undefined if one of its items is none. */
function listText(written: unknown): string | undefined {
  if (!Array.isArray(written)) return stringText(written)
  const items = written.map(itemText)
  return items.includes(undefined) ? undefined : items.join(',')
}

function isRecord(written: unknown): written is Record<string, unknown> {
  return typeof written === 'object' && written !== null && !Array.isArray(written)
}

/** What is larger than JavaScript counts exactly is a mistake. */
function counted(value: number): number {
  if (Number.isSafeInteger(value)) return value
  throw new InvalidArgumentError('It is too large.')
}

/** An amount in the largest unit that it is whole in, with the units from the largest. */
function inUnits(value: number, units: readonly (readonly [string, number])[]): string {
  const [name, factor] = units.find(([, size]) => value !== 0 && value % size === 0) ?? units.at(-1)!
  return `${value / factor}${name}`
}

const sizes = [['tb', 1024 ** 4] as const, ['gb', 1024 ** 3] as const, ['mb', 1024 ** 2] as const, ['kb', 1024] as const, ['b', 1] as const]
const spans = [['d', 86_400_000] as const, ['h', 3_600_000] as const, ['m', 60_000] as const, ['s', 1000] as const, ['ms', 1] as const]

/** Whole numbers within bounds. */
export function whole(least: number, most: number): Kind<number, number> {
  const what = `a whole number from ${least} to ${most}`
  return { what, parse: integerArgument(least, most), text: numberText, write: value => value }
}

/** Lists of whole numbers within bounds. */
export function wholes(least: number, most: number): Kind<number[], number[]> {
  const parse = (text: string): number[] => text.split(',').map(integerArgument(least, most))
  return { what: `whole numbers from ${least} to ${most}, separated by commas or as a list`, parse, text: listText, write: value => value }
}

/** Amounts such as cpus, in thousandths. */
export const amount: Kind<number, number> = {
  what: 'a number that is not negative',
  parse: millisArgument,
  text: numberText,
  write: millis => millis / 1000,
}

/** Bytes. */
export const bytes: Kind<number, string> = {
  what: 'bytes, as a number or like 512mb or 2gb',
  parse: text => counted(memoryArgument(text)),
  text: written => numberText(written) ?? stringText(written),
  write: value => inUnits(value, sizes),
}

/** Milliseconds. */
export const duration: Kind<number, string> = {
  what: 'milliseconds, or a duration like 500ms, 30s, 5m, 1h or 7d',
  parse: text => counted(durationArgument(text)),
  text: written => numberText(written) ?? stringText(written),
  write: value => inUnits(value, spans),
}

/** Names. */
export const names: Kind<string[], string[]> = {
  what: 'names, separated by commas or as a list',
  parse: text => textsArgument(text),
  text: listText,
  write: value => value,
  adds: true,
}

/** Amounts by name, in thousandths. */
export const namedAmounts: Kind<{ name: string; millis: number }[], string> = {
  what: 'name=amount, separated by commas, or an object with an amount for each name',
  parse: text => namedAmountsArgument(text),
  text(written) {
    if (!isRecord(written)) return stringText(written)
    const items = Object.entries(written).map(([name, value]) => [itemText(name), numberText(value)])
    return items.length === 0 || items.flat().includes(undefined) ? undefined : items.map(item => item.join('=')).join(',')
  },
  write: value => value.map(({ name, millis }) => `${name}=${millis / 1000}`).join(','),
  adds: true,
}

/** One of some words. */
export function choice<T extends string>(words: readonly T[]): Kind<T, T> {
  const what = `one of ${words.join(', ')}`
  const parse = (text: string): T => {
    const found = words.find(word => word === text)
    if (found === undefined) throw new InvalidArgumentError(`Allowed choices are ${words.join(', ')}.`)
    return found
  }
  return { what, parse, text: stringText, write: value => value }
}

const switchWords: Readonly<Record<string, boolean>> = {
  true: true,
  1: true,
  yes: true,
  on: true,
  false: false,
  0: false,
  no: false,
  off: false,
}

/** Yes or no. */
export const yesOrNo: Kind<boolean, boolean> = {
  what: 'true or false',
  parse(text) {
    const word = text.trim().toLowerCase()
    if (!Object.hasOwn(switchWords, word)) throw new InvalidArgumentError('It must be true or false.')
    return switchWords[word]!
  },
  text: written => (typeof written === 'boolean' ? String(written) : undefined),
  write: value => value,
}

/** Text for which somebody knows what it must be: they throw commander's complaint. */
export function textOf(what: string, check: (text: string) => void): Kind<string, string> {
  const parse = (text: string): string => {
    check(text)
    return text
  }
  return { what, parse, text: stringText, write: value => value }
}

/** Paths of files: relative ones from the folder of the config file, or from where `cox` runs. */
export const path: Kind<string, string> = {
  what: 'the path of a file',
  parse(text, folder) {
    // What is pasted here instead of its path would be shown as one: keys and certificates have several lines.
    if (text.trim() === '' || /[\r\n\0]/.test(text))
      throw new CoxswainError('INVALID_CONFIG', 'It must be the path of a file, not what is in it.')
    return resolve(folder, text)
  },
  text: stringText,
  write: value => value,
}
