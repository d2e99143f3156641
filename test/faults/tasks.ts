// Owns the tasks of the fault tests: they leave a trace of every attempt, wait for gates, and misbehave on request.
// Must not do anything when it is loaded.
import { spawn } from 'node:child_process'
import { appendFileSync, existsSync } from 'node:fs'
import { task } from '../../src/index.ts'

const lookEveryMs = 10

/** Resolves when the file is there; rejects when the attempt is to stop. */
async function gate(path: string, signal: AbortSignal): Promise<void> {
  while (!existsSync(path)) {
    signal.throwIfAborted()
    await new Promise<void>(resolve => setTimeout(resolve, lookEveryMs))
  }
}

/** Leaves `name attempt` in the trace. */
export const square = task({
  name: 'square',
  async run({ trace, value, ms = 0 }: { trace: string; value: number; ms?: number }, ctx) {
    appendFileSync(trace, `${value} ${ctx.attempt}\n`)
    if (ms > 0) await new Promise<void>(resolve => setTimeout(resolve, ms))
    return value * value
  },
})

/** Leaves `name attempt worker` in the trace, then waits for the gate; gives the attempt and the process that did it. */
export const gated = task({
  name: 'gated',
  async run({ trace, name, open }: { trace: string; name: string; open: string }, ctx) {
    appendFileSync(trace, `${name} ${ctx.attempt} ${ctx.worker}\n`)
    await gate(open, ctx.signal)
    return { name, attempt: ctx.attempt, fencingToken: ctx.fencingToken, pid: process.pid }
  },
})

/** Waits for the gate whatever its signal says, and then gives a result all the same. */
export const deaf = task({
  name: 'deaf',
  async run({ trace, open }: { trace: string; open: string }) {
    appendFileSync(trace, 'started\n')
    await gate(open, new AbortController().signal)
    appendFileSync(trace, 'ended\n')
    return 'too late'
  },
})

export const echo = task({ name: 'echo', run: (input: unknown) => input })

/** The same byte over and over; a result that needs a block. */
export const bytes = task({
  name: 'bytes',
  memory: '2gb',
  run: ({ count, fill }: { count: number; fill: number }) => Buffer.alloc(count, fill),
})

export const sum = task({ name: 'sum', memory: '1gb', run: (input: Uint8Array) => input.reduce((total, byte) => total + byte, 0) })

/** A schema in our own words, so that the tests need no package. */
const positive = {
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) =>
      typeof value === 'number' && value > 0 ? { value } : { issues: [{ message: 'must be a number above 0' }] },
    types: undefined as { input: number; output: number } | undefined,
  },
}

export const root = task({ name: 'root', input: positive, run: value => Math.sqrt(value) })

export const unsendable = task({ name: 'unsendable', run: () => ({ deep: [{ handler: () => 1 }] }) as unknown })

/** Ways to misbehave. Each is undone by the end of the executor process. */
const misdeeds = {
  heap() {
    const all: unknown[] = []
    for (;;) all.push(new Array(10_000).fill({}))
  },
  async buffers() {
    const all: Buffer[] = []
    for (;;) {
      all.push(Buffer.alloc(16 << 20, 1))
      await new Promise<void>(resolve => setTimeout(resolve, 2))
    }
  },
  loop() {
    for (;;);
  },
  backtracking: () => /^(a+)+$/.test(`${'a'.repeat(60)}!`),
  async forks() {
    for (let i = 0; i < 100; i++) spawn('sleep', ['60'], { stdio: 'ignore' })
    await new Promise<never>(() => {})
  },
  exit: () => process.exit(3),
  abort: () => process.abort(),
  segfault: () => process.kill(process.pid, 'SIGSEGV'),
  async killParent() {
    process.kill(process.ppid, 'SIGKILL')
    await new Promise<never>(() => {})
  },
  flood() {
    const line = 'x'.repeat(64 << 10)
    for (let i = 0; i < 16 << 10; i++) console.log(line)
    return 'flooded'
  },
} satisfies Record<string, () => unknown>

export type Misdeed = keyof typeof misdeeds

export const misbehave = task({ name: 'misbehave', memory: '128mb', run: (how: Misdeed): unknown => misdeeds[how]() })

/** The same with a deadline. */
export const overrun = task({ name: 'overrun', timeout: 300, run: (how: Misdeed): unknown => misdeeds[how]() })

/** Takes its executor with it, again and again, if its input says so. */
export const poisonous = task({
  name: 'poisonous',
  retries: 10,
  backoff: { base: 1 },
  run: (value: number) => (value === 3 ? process.exit(9) : value),
})
