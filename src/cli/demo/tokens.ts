// Owns what counts as a word or an identifier in a text: letters and digits of any script, identifiers kept whole.
// Must not read files.

/** Longer ones are hashes and encoded data, not words. */
const termCharactersMax = 80

const letter = 1
const digit = 2
const mark = 4
/** Scripts that put no spaces between words. */
const unspaced = 8

const classes = new Uint8Array(0x10000).fill(0xff)
const letterPattern = /^\p{L}$/u
const digitPattern = /^\p{N}$/u
const combiningPattern = /^\p{M}$/u
const unspacedPattern =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Khmer}\p{Script=Lao}\p{Script=Myanmar}]$/u

function classify(code: number): number {
  const character = String.fromCodePoint(code)
  if (unspacedPattern.test(character) && letterPattern.test(character)) return letter | unspaced
  if (letterPattern.test(character)) return letter
  if (digitPattern.test(character)) return digit
  if (character === '_' || character === '$') return letter | mark
  return combiningPattern.test(character) ? digit : 0
}

function classOf(code: number): number {
  if (code > 0xffff) return classify(code)
  const known = classes[code]!
  return known === 0xff ? (classes[code] = classify(code)) : known
}

const identifierPattern = /[_$\p{N}]|\p{Ll}\p{Lu}/u
let segmenter: Intl.Segmenter | undefined

/** True for what programmers write: camelCase, snake_case, with digits. The rest are words. */
export function isIdentifier(term: string): boolean {
  return identifierPattern.test(term)
}

/** A text's terms, in order: words in lower case, identifiers as they are. */
export function eachTerm(text: string, take: (term: string) => void): void {
  const length = text.length
  let at = 0
  while (at < length) {
    const code = text.charCodeAt(at)
    const wide = code >= 0xd800 && code < 0xdc00
    let kind = classOf(wide ? text.codePointAt(at)! : code)
    if ((kind & letter) === 0) {
      at += wide ? 2 : 1
      continue
    }
    const start = at
    let kinds = kind
    at += wide ? 2 : 1
    while (at < length) {
      const next = text.charCodeAt(at)
      const nextWide = next >= 0xd800 && next < 0xdc00
      kind = classOf(nextWide ? text.codePointAt(at)! : next)
      if (kind === 0) break
      kinds |= kind
      at += nextWide ? 2 : 1
    }
    if ((kinds & unspaced) !== 0) eachSegment(text.slice(start, at), take)
    else if (at - start > 1 && at - start <= termCharactersMax) take(normal(text.slice(start, at), kinds))
  }
}

function normal(term: string, kinds: number): string {
  if ((kinds & (digit | mark)) !== 0) return term
  const lower = term.toLowerCase()
  if (lower === term || lower.slice(1) === term.slice(1) || term === term.toUpperCase()) return lower
  return isIdentifier(term) ? term : lower
}

function eachSegment(text: string, take: (term: string) => void): void {
  segmenter ??= new Intl.Segmenter('zh', { granularity: 'word' })
  for (const { segment, isWordLike } of segmenter.segment(text)) {
    if (isWordLike && segment.length <= termCharactersMax) take(isIdentifier(segment) ? segment : segment.toLowerCase())
  }
}
