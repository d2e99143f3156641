// Owns the played workers of a bar: their processes, what they are told, and how they stand together.
// Must not speak the protocol: worker.ts does.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { pause } from '../pause.ts'
import type { PlayedCommand, PlayedCounts, PlayedOrder } from './worker.ts'

const lookEveryMs = 10
const registeredMsMax = 30_000

/** Several played workers of one cluster. */
export class PlayedWorkers implements AsyncDisposable {
  readonly #children: ChildProcess[] = []
  readonly #died = Promise.withResolvers<never>()

  private constructor() {
    this.#died.promise.catch(() => undefined)
  }

  /** Starts so many workers with so many slots altogether; they are registered when this resolves. */
  static async start(home: string, workers: number, slots: number): Promise<PlayedWorkers> {
    const played = new PlayedWorkers()
    try {
      for (let number = 1; number <= workers; number++) {
        const child = fork(new URL('./worker.ts', import.meta.url), { execArgv: ['--disable-warning=ExperimentalWarning'] })
        played.#children.push(child)
        child.once('exit', (code, signal) => played.#died.reject(new Error(`a played worker ended with ${signal ?? code}`)))
        const order: PlayedOrder = { home, name: `played-${number}`, slots: Math.ceil(slots / workers) }
        child.send(order)
      }
      const untilMs = performance.now() + registeredMsMax
      while (!(await played.counts()).registered) {
        if (performance.now() > untilMs) throw new Error('the played workers were not registered')
        await pause(lookEveryMs)
      }
      return played
    } catch (error) {
      await played[Symbol.asyncDispose]()
      throw error
    }
  }

  /** What they have altogether. */
  async counts(): Promise<PlayedCounts> {
    const all = await Promise.all(
      this.#children.map(async child => {
        const answer = once(child, 'message')
        child.send({ kind: 'tell' } satisfies PlayedCommand)
        const [counts] = (await Promise.race([answer, this.#died.promise])) as [PlayedCounts]
        return counts
      }),
    )
    return {
      registered: all.every(one => one.registered),
      started: all.reduce((sum, one) => sum + one.started, 0),
      running: all.reduce((sum, one) => sum + one.running, 0),
    }
  }

  /** One attempt that runs ends well. */
  endOne(): void {
    this.#children[0]!.send({ kind: 'end' } satisfies PlayedCommand)
  }

  /** All that runs ends well, and so does what comes, at once. */
  flow(): void {
    for (const child of this.#children) child.send({ kind: 'flow' } satisfies PlayedCommand)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#children.map(async child => {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill('SIGKILL')
        await once(child, 'exit')
      }),
    )
  }
}
