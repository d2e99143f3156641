// Owns how text looks on a terminal: width in columns, harmless control characters, colours, amounts, durations.
// Must not print.
import { styleText } from 'node:util'

/** Code points that take two columns: East Asian wide and fullwidth ones, and emoji. */
const widePattern =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{16fe0}-\u{1b2ff}\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u
const zeroPattern = /^[\p{Mn}\p{Me}\p{Cf}]$/u
const plainPattern = /^[\x20-\x7e]*$/

/** Columns that a text takes on a terminal. It must hold no control characters: see `harmless`. */
export function displayWidth(text: string): number {
  if (plainPattern.test(text)) return text.length
  let columns = 0
  for (const character of text) {
    if (zeroPattern.test(character)) continue
    columns += widePattern.test(character) ? 2 : 1
  }
  return columns
}

/** Control characters, line separators and marks that turn the direction of text: all that could fool a reader or drive a terminal. */
const harmfulPattern = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g
const harmfulButLinesPattern = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

function written(character: string): string {
  if (character === '\n') return '\\n'
  if (character === '\t') return '\\t'
  if (character === '\r') return '\\r'
  const code = character.charCodeAt(0)
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
}

/** One line's text with control characters written out, so that a name cannot drive the terminal. */
export function harmless(text: string): string {
  return text.replace(harmfulPattern, written)
}

/** The same for text of several lines: line ends and tabs stay. */
export function harmlessLines(text: string): string {
  return text.replace(harmfulButLinesPattern, written)
}

/** Cuts a text so that it takes at most that many columns, with an ellipsis where something is missing. */
export function fit(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text
  let kept = ''
  let used = 1
  for (const character of text) {
    used += displayWidth(character)
    if (used > columns) break
    kept += character
  }
  return `${kept}…`
}

/** Styles that the CLI uses. */
export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan'

/** The text in a style, if that stream is a terminal that wants colours (NO_COLOR and FORCE_COLOR are heeded). */
export function styled(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream })
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** An amount of bytes for people. */
export function bytesText(bytes: number): string {
  let amount = bytes
  let unit = 0
  while (amount >= 1024 && unit < byteUnits.length - 1) {
    amount /= 1024
    unit++
  }
  return `${unit === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${byteUnits[unit]}`
}

/** Thousandths for people: 1500 is 1.5. */
export function millisText(millis: number): string {
  return String(millis / 1000)
}

/** How long something took or takes, for people. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = ms / 1000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** A moment for people, in UTC. */
export function momentText(atMs: number): string {
  return new Date(atMs).toISOString().replace('T', ' ').replace('Z', '')
}

/** A whole number with thousands marked. */
export function countText(count: number): string {
  // toLocaleString would load the data of a language first, a fifth of the time of a verb such as status.
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',')
}
