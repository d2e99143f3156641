// Owns the bars of starting: `cox up` until tasks can run, and the first task of a program that nobody knows.
// Must not reuse a cluster or a program: each repeat is a first time.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Task } from '../../src/index.ts'
import { type Bar, type Figure, seconds } from '../bar.ts'
import { ClusterProcess } from '../cluster.ts'

const sdk = fileURLToPath(new URL('../../src/index.ts', import.meta.url))

/** A module with a task that no cluster has seen. */
function newProgram(folder: string, round: number): string {
  const path = join(folder, `program-${round}-${Date.now()}.ts`)
  writeFileSync(
    path,
    `import { task } from ${JSON.stringify(sdk)}\nexport const first = task({ name: 'first', run: (input: number) => input + ${round} })\n`,
  )
  return pathToFileURL(path).href
}

export const start: Bar = {
  name: 'start',
  title: '`cox up` to ready, then the first task of a new program',
  async measure(bench) {
    const ups: number[] = []
    const firsts: number[] = []
    for (let round = 0; round <= bench.repeats; round++) {
      const cluster = new ClusterProcess(bench.cox)
      try {
        const up = await seconds(() => cluster.up(['--workers', '2', '--executors', '1']))
        const { first } = (await import(newProgram(bench.folder, round))) as { first: Task<number, number> }
        const more = await seconds(async () => {
          await using client = await cluster.connect()
          if ((await client.run(first, 1)) !== round + 1) throw new Error('the first task gave something else')
        })
        // The first round warms the file system's and the compiler's caches.
        if (round === 0) continue
        ups.push(up * 1000)
        firsts.push(more * 1000)
      } finally {
        await cluster.down()
      }
    }
    const figures: Figure[] = [
      { what: 'up to ready', unit: 'ms', values: ups, bar: { at: 1000, side: 'at most' } },
      { what: 'connect and first task', unit: 'ms', values: firsts, bar: { at: 400, side: 'at most' } },
    ]
    return figures
  },
}
