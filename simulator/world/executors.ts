// Owns a worker's executors as the simulator plays them: they are started, spoken to, killed.
// Must not know the leader, nor what tasks do.
import type { PoolHandlers } from '../../src/worker/executors/pool.ts'
import type { ExecutorExit, ExecutorId, Instruction } from '../../src/worker/machine/index.ts'
import type { Executors } from '../../src/worker/surroundings.ts'
import type { Boot, Kernel } from '../kernel/kernel.ts'
import { type ExecutionListener, type ExecutorMood, type PoolOfExecutors, SimExecutor } from './executor.ts'

/** All executors of one life of a worker. */
export class SimExecutors implements Executors, PoolOfExecutors {
  readonly kernel: Kernel
  readonly handlers: PoolHandlers
  readonly mood: ExecutorMood
  readonly listener: ExecutionListener
  readonly #boot: Boot
  readonly #executors = new Map<ExecutorId, SimExecutor>()
  readonly #none: (() => void)[] = []

  constructor(kernel: Kernel, boot: Boot, mood: ExecutorMood, handlers: PoolHandlers, listener: ExecutionListener) {
    this.kernel = kernel
    this.#boot = boot
    this.mood = mood
    this.handlers = handlers
    this.listener = listener
  }

  get size(): number {
    return this.#executors.size
  }

  empty(): Promise<void> {
    if (this.size === 0) return Promise.resolve()
    return new Promise(resolve => this.#none.push(resolve))
  }

  start({ executor: id, shared }: Extract<Instruction, { kind: 'start' }>): void {
    const stream = this.kernel.stream('executors')
    const executor = new SimExecutor(this, this.#boot, id, shared)
    this.#executors.set(id, executor)
    if (stream.chance(this.mood.startFails)) {
      this.kernel.at(this.#boot, 1, 'io', () => this.ended(id, { started: false, how: 'EAGAIN', heapFull: false, lastWords: '' }))
      return
    }
    this.kernel.at(this.#boot, stream.exponential(this.mood.loadMs), 'io', () => executor.tell({ kind: 'executorReady', executor: id }))
  }

  send({ executor, batch }: Extract<Instruction, { kind: 'send' }>): void {
    this.#executors.get(executor)?.receive({ ...batch, items: Uint8Array.from(batch.items) })
  }

  cancel({ executor, lane, ranges }: Extract<Instruction, { kind: 'cancel' }>): void {
    this.#executors.get(executor)?.cancel(lane, ranges)
  }

  forget({ executor, lane }: Extract<Instruction, { kind: 'forget' }>): void {
    this.#executors.get(executor)?.forget(lane)
  }

  signal({ executor, signal }: Extract<Instruction, { kind: 'signal' }>): void {
    this.#executors.get(executor)?.die(signal)
  }

  stopAll(): void {}

  killAll(): void {
    for (const executor of this.#executors.values()) executor.die('SIGKILL')
  }

  ended(id: ExecutorId, exit: ExecutorExit): void {
    if (!this.#executors.delete(id)) return
    this.handlers.event({ kind: 'executorEnded', executor: id, exit })
    if (this.size === 0) for (const resolve of this.#none.splice(0)) resolve()
  }
}
