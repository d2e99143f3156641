// Owns one run: a world, its faults, its workloads, the two phases, and all checkers at its end.
// Must not keep anything from one run to the next.
import { checkDurability, checkEnds } from './checkers/answers.ts'
import { checkEpochs, checkOnce, checkPoison } from './checkers/executions.ts'
import { checkJobs } from './checkers/jobs.ts'
import { JournalChecker } from './checkers/journal.ts'
import { Faults } from './faults.ts'
import type { Violation } from './history.ts'
import { RandomStream } from './kernel/random.ts'
import { installTrap } from './kernel/trap.ts'
import type { Scenario } from './scenario.ts'
import { Tools, type Workload, workloads } from './workloads/index.ts'
import type { LogLine } from './world/nodes.ts'
import { World } from './world/world.ts'

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
/** After the last fault a leader is there, and stays, from here on. */
const calmMs = 15_000
/** Appends that a leader may have under way. */
const appendsMax = 3

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

function checkAll(world: World, all: readonly Workload[], healedMs: number): void {
  const { history, scenario, kernel } = world
  const journal = new JournalChecker(history)
  journal.check()
  const { facts } = journal
  checkDurability(history, facts)
  checkEnds(history, facts)
  checkEpochs(history, facts)
  checkPoison(history, facts)
  checkOnce(history, facts, scenario.classes, scenario.drift)
  checkJobs(history)
  const open = all.filter(one => !one.done).length
  if (open > 0) history.violate('L4', `${open} workloads do not come to their end`, kernel.nowMs)
  else if (journal.open.length > 0) history.violate('L4', `jobs without an end: ${journal.open.slice(0, 5).join(', ')}`, kernel.nowMs)
  const changes = history.leaderships.filter(one => one.atMs > healedMs + calmMs)
  if (changes.length > 0) history.violate('L2', `${changes.length} leaderships began long after the last fault`, changes[0]!.atMs)
  if (world.store.queuedMax > appendsMax) history.violate('S22', `${world.store.queuedMax} appends were under way at once`, 0)
  if (history.leaderships.length === 0) history.violate('L1', 'nobody ever led', kernel.nowMs)
}

/** Runs a scenario. The same one gives the same result, to the last event. */
export async function run(scenario: Scenario): Promise<RunResult> {
  installTrap()
  const world = new World(scenario)
  const { kernel, history } = world
  const blame = (error: unknown): void => kernel.blame(error)
  process.on('unhandledRejection', blame)
  try {
    const faults = new Faults(world)
    const all = employ(world)
    world.start()
    await kernel.run(scenario.safetyMs)
    const healedMs = kernel.nowMs
    faults.heal()
    const settled = (): boolean => all.every(one => one.done) && kernel.nowMs >= healedMs + 3000
    while (!kernel.stopped && !settled() && kernel.nowMs < healedMs + scenario.livenessMs) await kernel.run(kernel.nowMs + stepMs)
    // Jobs of clients that are gone end after their grace.
    if (!kernel.stopped) await kernel.run(kernel.nowMs + calmMs)
    world.finish()
    checkAll(world, all, healedMs)
  } finally {
    process.off('unhandledRejection', blame)
  }
  const { hash, events } = kernel
  const probes = Object.fromEntries(history.probes)
  return { seed: scenario.seed, hash, events, virtualMs: kernel.nowMs, violations: history.violations, probes, story: world.lines }
}
