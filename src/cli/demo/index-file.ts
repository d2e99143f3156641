// Owns the file that the demo leaves: the whole index, and how `cox demo query` finds a word in it.
// Must not need the whole index in memory to answer.
import { createReadStream, existsSync } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { CoxswainError } from '../../protocol/index.ts'
import { type Counts, eachCount, type TermCount } from './counts.ts'

const formatVersion = 1
const writeCharacters = 1 << 20
const similarMax = 10

/** What the first line of the file says. */
export interface IndexHead {
  version: number
  root: string
  writtenAtMs: number
  terms: number
  /** Paths below the root, by their numbers. */
  files: string[]
}

/** What is known about a word. */
export interface QueryAnswer {
  root: string
  writtenAtMs: number
  /** The word itself, in lower case too, and with its places by name. */
  found: { term: string; total: number; files: number; places: { file: string; count: number }[] }[]
  /** Where nothing was found: the most frequent terms that begin like it. */
  similar: string[]
}

/** Writes the index so that it is there completely or not at all. */
export async function writeIndex(path: string, head: { root: string; files: string[] }, counts: Counts): Promise<number> {
  const temporary = `${path}.${process.pid}.tmp`
  let terms = 0
  const file: FileHandle = await open(temporary, 'w', 0o600)
  try {
    const first: IndexHead = {
      version: formatVersion,
      root: head.root,
      writtenAtMs: Date.now(),
      terms: counts.totals.length,
      files: head.files,
    }
    let text = `${JSON.stringify(first)}\n`
    for (const { term, total, files, places } of eachCount(counts)) {
      text += `${JSON.stringify([term, total, files, places])}\n`
      terms++
      if (text.length < writeCharacters) continue
      await file.write(text)
      text = ''
    }
    await file.write(text)
    await file.close()
    await rename(temporary, path)
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(temporary, { force: true })
    throw error
  }
  return terms
}

/** Looks a word up: as it is written, and in lower case. */
export async function queryIndex(path: string, word: string): Promise<QueryAnswer> {
  if (!existsSync(path))
    throw new CoxswainError('NOT_FOUND', `There is no index yet in ${path}: make one with: cox demo FOLDER`, { id: path })
  const lower = word.toLowerCase()
  const starts = [word, lower].map(text => JSON.stringify([text]).slice(0, -2))
  const exact = new Set(starts.map(start => `${start}",`))
  const found: TermCount[] = []
  const similar: TermCount[] = []
  let head: IndexHead | undefined
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (!head) {
      head = JSON.parse(line) as IndexHead
      continue
    }
    if (!starts.some(start => line.startsWith(start))) continue
    const [term, total, files, places] = JSON.parse(line) as [string, number, number, [number, number][]]
    const target = [...exact].some(start => line.startsWith(start)) ? found : similar
    target.push({ term, total, files, places })
    if (similar.length > 10_000) similar.sort(byTotal).length = similarMax
  }
  if (!head) throw new CoxswainError('NOT_FOUND', `The index in ${path} is empty: make one with: cox demo FOLDER`, { id: path })
  const { root, writtenAtMs, files } = head
  return {
    root,
    writtenAtMs,
    found: found.map(one => ({ ...one, places: one.places.map(([file, count]) => ({ file: files[file] ?? `file ${file}`, count })) })),
    similar:
      found.length > 0
        ? []
        : similar
            .sort(byTotal)
            .slice(0, similarMax)
            .map(({ term }) => term),
  }
}

/** Equal ones by name: the order of the file is that in which results came. */
function byTotal(one: TermCount, other: TermCount): number {
  return other.total - one.total || (one.term < other.term ? -1 : 1)
}
