// Owns the task by which promises.test.ts sees when user code starts: it leaves a mark, and goes on when it is told to.
// Must not end by itself.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { task } from '../../src/index.ts'

const lookEveryMs = 10

/** Resolves when there is such a file. */
export async function untilThere(path: string, signal?: AbortSignal): Promise<void> {
  while (!existsSync(path)) {
    signal?.throwIfAborted()
    await new Promise(resolve => setTimeout(resolve, lookEveryMs))
  }
}

/** Leaves the file `INDEX-ATTEMPT` in the folder, waits until there is a file `go`, and says which attempt it was. */
export const mark = task({
  name: 'mark',
  async run({ folder, index }: { folder: string; index: number }, ctx) {
    writeFileSync(join(folder, `${index}-${ctx.attempt}`), '')
    await untilThere(join(folder, 'go'), ctx.signal)
    return { index, attempt: ctx.attempt }
  },
})
