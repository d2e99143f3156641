// Owns BullMQ on the same no-op work: a Redis of its own that syncs every write, two worker processes, jobs added in bulk.
// Must not install anything into the project: its packages go into the user's cache folder.
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Figure, Peer, Rounds } from '../bar.ts'
import { percentile } from '../statistics.ts'
import { installed } from './packages.ts'
import { freePort } from './service.ts'

const packages = ['bullmq@5', 'ioredis@5']
const workerCount = 2
/** Jobs a worker may have under way: more gave BullMQ nothing here. */
const workerConcurrency = 100
const jobsPerBulk = 1000
const jobsFull = 30_000
const jobsSmoke = 500
const singlesFull = 1000
const repeats = 3
/** Times its rate that ours must be. */
const times = 30

interface Job {
  waitUntilFinished(events: unknown): Promise<unknown>
}

interface Queue {
  addBulk(jobs: { name: string; data: unknown; opts: object }[]): Promise<unknown>
  add(name: string, data: unknown, options: object): Promise<Job>
  close(): Promise<void>
}

/** What is used of the package. */
export interface BullMq {
  Queue: new (name: string, options: object) => Queue
  QueueEvents: new (name: string, options: object) => { waitUntilReady(): Promise<unknown>; close(): Promise<void> }
  Worker: new (
    name: string,
    run: (job: { data: unknown }) => Promise<unknown>,
    options: object,
  ) => { on(event: 'completed', listener: () => void): void; waitUntilReady(): Promise<unknown> }
}

/** Where the worker process finds what it needs. */
export interface WorkerOrder {
  folder: string
  queue: string
  port: number
  concurrency: number
}

const jobOptions = { removeOnComplete: true, removeOnFail: true }
/** A job that is waited for must still be there when its end is asked for. */
const singleOptions = { removeOnComplete: { count: 1000 }, removeOnFail: true }

/** A Redis that answers a commit only when it is on the disk; undefined where it cannot be started. */
async function startRedis(folder: string, port: number): Promise<ChildProcess | undefined> {
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: folder,
    save: '',
    appendonly: 'yes',
    appendfsync: 'always',
    'no-appendfsync-on-rewrite': 'no',
    loglevel: 'notice',
  }
  const redis = spawn(
    'redis-server',
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  return new Promise(resolve => {
    redis.once('error', () => resolve(undefined))
    redis.once('exit', () => resolve(undefined))
    redis.stdout.on('data', (piece: Buffer) => {
      if (piece.includes('Ready to accept connections')) resolve(redis)
    })
  })
}

/** Worker processes that tell how many jobs they completed. */
class Workers {
  completed = 0
  readonly #children: ChildProcess[] = []
  #wanted = Number.POSITIVE_INFINITY
  #reached: () => void = () => undefined

  async start(order: WorkerOrder): Promise<void> {
    for (let count = 0; count < workerCount; count++) {
      const child = fork(new URL('./bullmq-worker.ts', import.meta.url), { execArgv: ['--disable-warning=ExperimentalWarning'] })
      this.#children.push(child)
      child.send(order)
      await once(child, 'message')
      child.on('message', message => {
        this.completed += message as number
        if (this.completed >= this.#wanted) this.#reached()
      })
    }
  }

  /** Resolves when so many jobs in all were completed. */
  reach(count: number): Promise<void> {
    return new Promise(resolve => {
      this.#wanted = count
      this.#reached = resolve
      if (this.completed >= count) resolve()
    })
  }

  stop(): void {
    for (const child of this.#children) child.kill('SIGKILL')
  }
}

async function jobsPerSecond(queue: Queue, workers: Workers, jobs: number): Promise<number> {
  const before = workers.completed
  const startedMs = performance.now()
  const done = workers.reach(before + jobs)
  for (let first = 0; first < jobs; first += jobsPerBulk) {
    await queue.addBulk(
      Array.from({ length: Math.min(jobsPerBulk, jobs - first) }, (_, index) => ({ name: 'noop', data: first + index, opts: jobOptions })),
    )
  }
  await done
  return (jobs * 1000) / (performance.now() - startedMs)
}

async function singleMs(queue: Queue, events: unknown, count: number): Promise<number[]> {
  const took: number[] = []
  for (let index = 0; index < count; index++) {
    const startedMs = performance.now()
    const job = await queue.add('noop', index, singleOptions)
    await job.waitUntilFinished(events)
    took.push(performance.now() - startedMs)
  }
  return took
}

async function measure(packageFolder: string, port: number, smoke: boolean): Promise<Figure[]> {
  const { Queue, QueueEvents } = createRequire(join(packageFolder, 'package.json'))('bullmq') as BullMq
  const connection = { host: '127.0.0.1', port }
  const workers = new Workers()
  const queue = new Queue('bench', { connection })
  const events = new QueueEvents('bench', { connection })
  try {
    await events.waitUntilReady()
    await workers.start({ folder: packageFolder, queue: 'bench', port, concurrency: workerConcurrency })
    const jobs = smoke ? jobsSmoke : jobsFull
    await jobsPerSecond(queue, workers, jobs / 10)
    const rates: number[] = []
    for (let round = 0; round < (smoke ? 1 : repeats); round++) rates.push(await jobsPerSecond(queue, workers, jobs))
    const took = await singleMs(queue, events, smoke ? jobsSmoke / 10 : singlesFull)
    return [
      { what: 'jobs', unit: 'jobs/s', values: rates },
      { what: 'round trip p50', unit: 'ms', values: [percentile(took, 0.5)] },
      { what: 'round trip p99', unit: 'ms', values: [percentile(took, 0.99)] },
    ]
  } finally {
    workers.stop()
    await events.close()
    await queue.close()
  }
}

async function bullmqFigures({ smoke }: Rounds): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'coxswain-bench-redis-'))
  const port = await freePort()
  const redis = await startRedis(folder, port)
  if (!redis) {
    rmSync(folder, { recursive: true, force: true })
    throw new Error('redis-server is not installed or does not start (on Debian: apt-get install redis-server)')
  }
  try {
    return await measure(await installed('bullmq', packages), port, smoke)
  } finally {
    redis.removeAllListeners('exit')
    redis.kill('SIGKILL')
    await once(redis, 'exit')
    rmSync(folder, { recursive: true, force: true })
  }
}

export const bullmq: Peer = {
  name: 'bullmq',
  title: 'BullMQ on Redis (appendfsync always), 2 workers, both sides in bulk',
  bar: { at: times, side: 'at least' },
  measure: bullmqFigures,
}
