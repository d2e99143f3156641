// Owns what `cox demo query WORD` prints.
// Must not need a cluster.
import { exitCodes } from '../exit.ts'
import { printJson, printLine } from '../output/print.ts'
import { tableLines } from '../output/table.ts'
import { countText, harmless, momentText, styled } from '../output/text.ts'
import { Home } from '../state/home.ts'
import type { DemoOptions } from '../verbs/demo.ts'
import { queryIndex } from './index-file.ts'

/** Prints what the last index knows about a word; returns the exit code. */
export async function query(word: string, options: DemoOptions): Promise<number> {
  const answer = await queryIndex(new Home(options.home).demoIndex, word)
  const exitCode = answer.found.length > 0 ? exitCodes.ok : exitCodes.failed
  if (options.json) {
    printJson(answer)
    return exitCode
  }
  if (answer.found.length === 0) {
    const similar = answer.similar.length > 0 ? ` There are: ${answer.similar.map(harmless).join(', ')}.` : ''
    printLine(`${harmless(word)} does not occur in ${harmless(answer.root)}.${similar}`)
  }
  for (const { term, total, files, places } of answer.found) {
    printLine(
      `${styled('bold', harmless(term))}  ${countText(total)} times in ${countText(files)} files of ${harmless(answer.root)} (indexed ${momentText(answer.writtenAtMs).slice(0, 19)})`,
    )
    const lines = tableLines(
      [
        { title: 'TIMES', align: 'right', text: place => countText(place.count) },
        { title: 'MOST IN', text: place => place.file },
      ],
      places,
    )
    for (const line of lines) printLine(`  ${line}`)
  }
  return exitCode
}
