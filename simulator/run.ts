// Owns one run: a world, its faults, its workloads, the two phases, and all checkers at its end.
// Must not keep anything from one run to the next.
import { checkDurability, checkEnds } from './checkers/answers.ts'
import { checkEpochs, checkInputs, checkOnce, checkPoison } from './checkers/executions.ts'
import { checkJobs } from './checkers/jobs.ts'
import { JournalChecker } from './checkers/journal.ts'
import { calmMs, checkBounds, checkLiveness, checkSoundLeader, voidReason } from './checkers/liveness.ts'
import { checkLocks } from './checkers/locks.ts'
import { checkShared } from './checkers/shared.ts'
import { armDeaths } from './deaths.ts'
import { resetPeaks, viewOf, type Write, writeAfterHeal } from './ending.ts'
import { Faults } from './faults.ts'
import type { History, Violation } from './history.ts'
import { RandomStream } from './kernel/random.ts'
import { installTrap } from './kernel/trap.ts'
import { probeHistory, probeStorage } from './probes.ts'
import type { Scenario } from './scenario.ts'
import { Tools, type Workload, workloads } from './workloads/index.ts'
import type { LogLine } from './world/nodes.ts'
import { World } from './world/world.ts'
import { countZombies } from './zombies.ts'

/** What came of a run. */
export interface RunResult {
  seed: number
  hash: number
  events: number
  virtualMs: number
  violations: Violation[]
  probes: Record<string, number>
  story: LogLine[]
}

const stepMs = 250
/** Gives each client its workloads, which last over all its lives. */
function employ(world: World): Workload[] {
  const all: Workload[] = []
  const { scenario, clients, kernel, history } = world
  for (const [index, client] of clients.entries()) {
    const own: { name: string; workload: Workload }[] = []
    for (const [position, kind] of scenario.workloads.entries()) {
      const random = new RandomStream(scenario.seed, `workload ${kind} ${client.name}`)
      if (position % clients.length !== index && random.chance(0.6)) continue
      const name = `${client.name}-${kind}`
      own.push({ name, workload: workloads[kind]!(name, random) })
    }
    all.push(...own.map(one => one.workload))
    client.begin = () => {
      for (const { name, workload } of own) {
        if (workload.done) continue
        workload.live(new Tools(client, history, name)).catch((error: unknown) => {
          history.violate('crash', `${name}: ${error instanceof Error ? error.stack : String(error)}`, kernel.nowMs)
        })
      }
    }
  }
  return all
}

/** A run that is over, before it is judged. */
export interface Played {
  world: World
  all: readonly Workload[]
  healedMs: number
  write: Write
}

/** What the history alone shows. */
export function checkHistory(history: History, { classes, drift }: Pick<Scenario, 'classes' | 'drift'>): JournalChecker {
  const journal = new JournalChecker(history)
  journal.check()
  const { facts } = journal
  checkDurability(history, facts)
  checkEnds(history, facts)
  checkEpochs(history, facts)
  checkPoison(history, facts)
  checkOnce(history, facts, classes, drift)
  checkJobs(history)
  checkInputs(history)
  checkShared(history)
  checkLocks(history, facts, drift)
  return journal
}

function checkAll({ world, all, healedMs, write }: Played): void {
  const { history, scenario } = world
  const journal = checkHistory(history, scenario)
  const view = viewOf(world, journal, { healedMs, write, workloadsOpen: all.filter(one => !one.done).length })
  checkLiveness(history, view)
  checkBounds(history, view)
  checkSoundLeader(history, world.scenario)
  probeHistory(history, journal.facts)
  probeStorage(world)
  const nothing = voidReason(history)
  if (nothing) history.probe(nothing)
}

/** Plays a scenario to its end. Whether states are watched meanwhile makes no difference to what happens. */
export async function play(scenario: Scenario, watched = true): Promise<Played> {
  installTrap()
  resetPeaks()
  const world = new World(scenario, watched)
  const { kernel } = world
  countZombies(world.store, world.history)
  armDeaths(world)
  const blame = (error: unknown): void => kernel.blame(error)
  process.on('unhandledRejection', blame)
  try {
    const faults = new Faults(world)
    const all = employ(world)
    world.start()
    await kernel.run(scenario.safetyMs)
    const healedMs = kernel.nowMs
    faults.heal()
    const write = writeAfterHeal(world)
    const settled = (): boolean => all.every(one => one.done) && write.over && kernel.nowMs >= healedMs + 3000
    while (!kernel.stopped && !settled() && kernel.nowMs < healedMs + scenario.livenessMs) await kernel.run(kernel.nowMs + stepMs)
    // Jobs of clients that are gone end after their grace.
    if (!kernel.stopped) await kernel.run(kernel.nowMs + calmMs)
    if (watched) world.finish()
    return { world, all, healedMs, write }
  } finally {
    process.off('unhandledRejection', blame)
  }
}

/** What shows whether two runs are the same. */
export type Trace = Pick<RunResult, 'hash' | 'events' | 'story'>

/** Plays a scenario unwatched and unjudged, at about half the price of a run. */
export async function trace(scenario: Scenario): Promise<Trace> {
  const { kernel, lines } = (await play(scenario, false)).world
  return { hash: kernel.hash, events: kernel.events, story: lines }
}

/** Runs a scenario. The same one gives the same result, to the last event. */
export async function run(scenario: Scenario): Promise<RunResult> {
  const played = await play(scenario)
  checkAll(played)
  const { kernel, history, lines } = played.world
  const { hash, events, nowMs: virtualMs } = kernel
  const probes = Object.fromEntries(history.probes)
  return { seed: scenario.seed, hash, events, virtualMs, violations: history.violations, probes, story: lines }
}
