// Owns the two tasks of the demo: counting a group of files, and merging counts. They are what a user would write.
// Must not know the cluster: tasks get an input and give a result.
import { join } from 'node:path'
import { task } from '../../client/index.ts'
import { type Counts, CountsBuilder } from './counts.ts'
import { readText } from './read.ts'
import { eachTerm } from './tokens.ts'
import { type FileGroup, noSkips, type Skips } from './walk.ts'

/** What a counting task found. */
export interface GroupCounts {
  counts: Counts
  files: number
  bytes: number
  skips: Skips
  /** When the task was done, by the clock of its machine. */
  endedAtMs: number
}

/** Reads a group of files on this machine and counts their words and identifiers. */
export const countTerms = task({
  name: 'count-terms',
  memory: '256mb',
  retries: 2,
  async run(group: FileGroup, ctx): Promise<GroupCounts> {
    const builder = new CountsBuilder()
    const skips = noSkips()
    let files = 0
    let bytes = 0
    for (let at = 0; at < group.files.length; at++) {
      ctx.signal.throwIfAborted()
      const read = readText(join(group.root, group.files[at]!))
      if ('skipped' in read) {
        skips[read.skipped]++
        continue
      }
      files++
      bytes += read.bytes
      eachTerm(read.text, term => builder.add(term, group.first + at))
    }
    return { counts: builder.finish(), files, bytes, skips, endedAtMs: Date.now() }
  },
})

/** Merges the counts of several groups into one. */
export const mergeCounts = task({
  name: 'merge-counts',
  memory: '400mb',
  retries: 2,
  async run(parts: Counts[]): Promise<Counts> {
    const builder = new CountsBuilder()
    for (const part of parts) builder.merge(part)
    return builder.finish()
  },
})
