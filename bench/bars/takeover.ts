// Owns the bar of a takeover with a full cluster: a million queued tasks and ten thousand running ones, when the leader is killed.
// Must not let a result go by unchecked: all tasks are run to their end afterwards, and a lost or repeated one ends the bar with an error.
import type { Cluster } from '../../src/index.ts'
import { resultOf } from '../../test/fakes/worker.ts'
import { type Bar, type Bench, type Figure, sized } from '../bar.ts'
import { pause, within } from '../pause.ts'
import { PlayedWorkers } from '../played/workers.ts'
import { held, noop } from '../tasks.ts'
import { caughtUp } from './standbys.ts'

const queuedFull = 1_000_000
const queuedSmoke = 3000
const runningFull = 10_000
const runningSmoke = 200
const playedWorkers = 4
/** A map has a limited number of bytes under way: several share the queue. */
const maps = 4
const lookEveryMs = 25
const takeoverMsMax = 2000
/** What takes longer than this has gone wrong. */
const stepMsMax = 120_000

function* texts(count: number): Generator<string> {
  for (let index = 0; index < count; index++) yield String(index).padStart(16, '0')
}

/** The maps whose tasks wait and run, and what came of them. */
class Held {
  /** Results that came, each of them right and none twice. */
  results = 0
  readonly ended: Promise<unknown>
  readonly #first = Promise.withResolvers<void>()

  constructor(client: Cluster, each: number) {
    this.ended = Promise.all(Array.from({ length: maps }, (_, number) => this.#map(client, `held-${number}`, each)))
    this.ended.catch(error => this.#first.reject(error))
  }

  /** Resolves with the first result. */
  get first(): Promise<void> {
    return this.#first.promise
  }

  async #map(client: Cluster, id: string, count: number): Promise<void> {
    const seen = new Uint8Array(count)
    for await (const [index, result] of client.map(held, texts(count), { id, entries: true, ordered: false, window: count + 1 })) {
      if (result !== resultOf({ job: id, stage: 0, index })) throw new Error(`task ${index} of ${id} gave ${result}`)
      if (seen[index] !== 0) throw new Error(`task ${index} of ${id} gave two results`)
      seen[index] = 1
      this.results++
      this.#first.resolve()
    }
    const missing = seen.indexOf(0)
    if (missing >= 0) throw new Error(`task ${missing} of ${id} gave no result`)
  }
}

/** What one takeover took, from the kill. */
interface Takeover {
  submitMs: number
  newTaskMs: number
  oldAttemptMs: number
}

/** Waits until so many tasks run and wait, and fails at once where a map does. */
async function filled(client: Cluster, heldTasks: Held, running: number, queued: number): Promise<void> {
  const failed = heldTasks.ended.then(() => Promise.reject(new Error('the maps ended before anything was to end')))
  failed.catch(() => undefined)
  const untilMs = performance.now() + stepMsMax
  for (;;) {
    const { tasks } = await client.status()
    if (tasks.running === running && tasks.waiting === queued) return
    if (performance.now() > untilMs)
      throw new Error(`${tasks.running} tasks run and ${tasks.waiting} wait where ${running} and ${queued} should`)
    await Promise.race([failed, pause(lookEveryMs)])
  }
}

async function takeOver(client: Cluster, played: PlayedWorkers, running: number, queued: number): Promise<Takeover> {
  // The real worker has its program and an executor before anything is measured.
  await client.run(noop, 0)
  const heldTasks = new Held(client, (running + queued) / maps)
  await filled(client, heldTasks, running, queued)
  await caughtUp(client, 1)
  const { leader } = await client.status()
  const fromMs = performance.now()
  const since = async (event: Promise<unknown>): Promise<number> => {
    await event
    return performance.now() - fromMs
  }
  process.kill(leader.pid, 'SIGKILL')
  played.endOne()
  const first = [since(client.submit(noop, 1)), since(client.run(noop, 2)), since(heldTasks.first)] as const
  const [submitMs, newTaskMs, oldAttemptMs] = await within(stepMsMax, 'the first results after the kill', Promise.all(first))
  const after = await client.status()
  if (after.leader.epoch <= leader.epoch) throw new Error(`${after.leader.id} still leads with epoch ${after.leader.epoch}`)
  // One attempt has ended and the next task has its slot; all others run on as if nothing had been.
  await filled(client, heldTasks, running, queued - 1)
  const kept = await played.counts()
  if (kept.running !== running) throw new Error(`${kept.running} attempts run on the workers where the leader has ${running}`)
  played.flow()
  await within(stepMsMax, 'all results', heldTasks.ended)
  const { started } = await played.counts()
  if (started !== running + queued) throw new Error(`${started} attempts ran for ${running + queued} tasks`)
  return { submitMs, newTaskMs, oldAttemptMs }
}

async function measureOnce(bench: Bench): Promise<Takeover> {
  const [queued, running] = [sized(bench, queuedFull, queuedSmoke), sized(bench, runningFull, runningSmoke)]
  const { client, process: cluster } = await bench.cluster(['--workers', '1', '--executors', '1', '--candidates', '2'])
  await using played = await PlayedWorkers.start(cluster.home, playedWorkers, running)
  const takeover = await takeOver(client, played, running, queued)
  await client.close()
  await cluster.down()
  return takeover
}

export const takeover: Bar = {
  name: 'takeover',
  title: 'takeover with 1,000,000 queued and 10,000 running tasks (attempts played), after SIGKILL of the leader',
  async measure(bench) {
    const all: Takeover[] = []
    for (let round = 0; round < bench.repeats; round++) all.push(await measureOnce(bench))
    const bar = { at: takeoverMsMax, side: 'at most' as const }
    const figures: Figure[] = [
      { what: 'next acknowledged submit', unit: 'ms', values: all.map(one => one.submitMs), bar },
      { what: 'result of a new task', unit: 'ms', values: all.map(one => one.newTaskMs), bar },
      { what: 'result of an old attempt', unit: 'ms', values: all.map(one => one.oldAttemptMs), bar },
    ]
    return figures
  },
}
