// Owns counts of terms: how they are gathered file by file, what they look like when they travel, and how two become one.
// Must not read files or know about tasks.

/** In how many files a term's most frequent places are remembered. */
const placesMax = 3

/** More different terms than this are not kept; those that come later are only numbered in `dropped`. */
const termsMax = 4_000_000

const noFile = 0xffffffff

/** Counts as they travel: one text and flat numbers, so that a million terms cost no million objects. */
export interface Counts {
  /** The terms, separated by line ends. */
  terms: string
  /** How often each occurs, and in how many files. */
  totals: Float64Array
  files: Uint32Array
  /** For each term `placesMax` pairs of file number and count there, most first; unused ones have the file number 0xffffffff. */
  places: Uint32Array
  /** Occurrences of terms that were too many to keep. */
  dropped: number
}

/** One term of an index. */
export interface TermCount {
  term: string
  total: number
  files: number
  /** File number and count there, most first. */
  places: [file: number, count: number][]
}

/** Gathers counts, file by file. */
export class CountsBuilder {
  readonly #numbers = new Map<string, number>()
  #totals = new Float64Array(1024)
  #files = new Uint32Array(1024)
  #places = new Uint32Array(1024 * 2 * placesMax).fill(noFile)
  /** The file that a term was last seen in, and how often there so far. */
  #lastFile = new Uint32Array(1024).fill(noFile)
  #lastCount = new Uint32Array(1024)
  #dropped = 0

  #number(term: string): number {
    const known = this.#numbers.get(term)
    if (known !== undefined) return known
    const number = this.#numbers.size
    if (number >= termsMax) return -1
    this.#numbers.set(term, number)
    if (number === this.#totals.length) this.#grow()
    return number
  }

  #grow(): void {
    const size = this.#totals.length * 2
    this.#totals = grown(this.#totals, new Float64Array(size))
    this.#files = grown(this.#files, new Uint32Array(size))
    this.#lastFile = grown(this.#lastFile, new Uint32Array(size).fill(noFile))
    this.#lastCount = grown(this.#lastCount, new Uint32Array(size))
    this.#places = grown(this.#places, new Uint32Array(size * 2 * placesMax).fill(noFile))
  }

  /** One occurrence in a file. All occurrences in a file come in a row. */
  add(term: string, file: number): void {
    const number = this.#number(term)
    if (number < 0) {
      this.#dropped++
      return
    }
    this.#totals[number]!++
    if (this.#lastFile[number] === file) {
      this.#lastCount[number]!++
      return
    }
    if (this.#lastFile[number] !== noFile) this.#offer(number, this.#lastFile[number]!, this.#lastCount[number]!)
    this.#lastFile[number] = file
    this.#lastCount[number] = 1
    this.#files[number]!++
  }

  /** Puts a place where it belongs among a term's best, if it does. Equal counts rank by file number: the order of merges must not show. */
  #offer(number: number, file: number, count: number): void {
    const places = this.#places
    const first = number * 2 * placesMax
    for (let at = first; at < first + 2 * placesMax; at += 2) {
      const better = count > places[at + 1]! || (count === places[at + 1]! && file < places[at]!)
      if (places[at] !== noFile && !better) continue
      places.copyWithin(at + 2, at, first + 2 * placesMax - 2)
      places[at] = file
      places[at + 1] = count
      return
    }
  }

  /** Adds counts that were gathered elsewhere, over other files. */
  merge(counts: Counts): void {
    this.#dropped += counts.dropped
    if (counts.terms === '') return
    const terms = counts.terms.split('\n')
    for (let from = 0; from < terms.length; from++) {
      const number = this.#number(terms[from]!)
      if (number < 0) {
        this.#dropped += counts.totals[from]!
        continue
      }
      this.#totals[number]! += counts.totals[from]!
      this.#files[number]! += counts.files[from]!
      const first = from * 2 * placesMax
      for (let at = first; at < first + 2 * placesMax && counts.places[at] !== noFile; at += 2)
        this.#offer(number, counts.places[at]!, counts.places[at + 1]!)
    }
  }

  /** What was gathered. The builder must not be used afterwards. */
  finish(): Counts {
    const size = this.#numbers.size
    for (let number = 0; number < size; number++) {
      if (this.#lastFile[number] !== noFile) this.#offer(number, this.#lastFile[number]!, this.#lastCount[number]!)
    }
    return {
      terms: [...this.#numbers.keys()].join('\n'),
      totals: this.#totals.slice(0, size),
      files: this.#files.slice(0, size),
      places: this.#places.slice(0, size * 2 * placesMax),
      dropped: this.#dropped,
    }
  }
}

function grown<T extends Float64Array | Uint32Array>(from: T, to: T): T {
  to.set(from)
  return to
}

/** The terms of counts, one by one. */
export function* eachCount(counts: Counts): Generator<TermCount> {
  if (counts.terms === '') return
  const terms = counts.terms.split('\n')
  for (let number = 0; number < terms.length; number++) {
    const places: [number, number][] = []
    const first = number * 2 * placesMax
    for (let at = first; at < first + 2 * placesMax && counts.places[at] !== noFile; at += 2)
      places.push([counts.places[at]!, counts.places[at + 1]!])
    yield { term: terms[number]!, total: counts.totals[number]!, files: counts.files[number]!, places }
  }
}

/** The terms that occur most, among those that `wanted` accepts; those that occur as often as each other by their names. */
export function topCounts(counts: Counts, most: number, wanted: (term: string) => boolean): TermCount[] {
  const top: TermCount[] = []
  for (const one of eachCount(counts)) {
    if (top.length === most && !ranksBefore(one, top[most - 1]!)) continue
    if (!wanted(one.term)) continue
    const at = top.findIndex(other => ranksBefore(one, other))
    top.splice(at < 0 ? top.length : at, 0, one)
    if (top.length > most) top.pop()
  }
  return top
}

function ranksBefore(one: TermCount, other: TermCount): boolean {
  return one.total > other.total || (one.total === other.total && one.term < other.term)
}
