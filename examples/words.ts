// Shows a map-reduce whose fan-out is found at run time: a step lists the files, each file is a task, and a tree adds up what they found.
// Run it with: node examples/words.ts [FOLDER] (it starts a cluster for itself where none is up). In your own project import from 'coxswain'.
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { connect, task, workflow } from '../src/index.ts'

type Counts = Record<string, number>

const list = task({
  name: 'list',
  run: (folder: string) =>
    readdirSync(folder)
      .filter(name => name.endsWith('.ts') || name.endsWith('.md'))
      .map(name => join(folder, name)),
})

const count = task({
  name: 'count',
  run(path: string) {
    const counts: Counts = {}
    for (const [word] of readFileSync(path, 'utf8').matchAll(/\p{L}{4,}/gu))
      counts[word.toLowerCase()] = (counts[word.toLowerCase()] ?? 0) + 1
    return counts
  },
})

const merge = task({
  name: 'merge',
  run(parts: Counts[]) {
    const total: Counts = {}
    for (const part of parts) for (const [word, times] of Object.entries(part)) total[word] = (total[word] ?? 0) + times
    return total
  },
})

const top = task({
  name: 'top',
  run: (counts: Counts) =>
    Object.entries(counts)
      .sort(([one, a], [other, b]) => b - a || (one < other ? -1 : 1))
      .slice(0, 5),
})

/** The five most frequent words of a folder's files. */
export const words = workflow({
  name: 'words',
  build: (flow, folder: string) => flow.run(top, flow.reduce(merge, flow.map(count, flow.run(list, folder)), { fanIn: 4 })),
})

if (import.meta.main) {
  await using cluster = await connect()
  for (const [word, times] of await cluster.run(words, resolve(process.argv[2] ?? 'examples'))) console.log(`${times} ${word}`)
}
