// Owns `npm run sim`: fresh or given seeds, a stored schedule, a story, a shrunk schedule, the planted bugs.
// Must not hide a failure: it prints how each is run again, and exits with 1.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { campaign } from './campaign.ts'
import { mutants } from './mutants.ts'
import { missingProbes, seedsForAllProbes } from './probes.ts'
import { type RunResult, run } from './run.ts'
import { drawScenario, type Scenario } from './scenario.ts'
import { shrink } from './shrink.ts'
import { runTwice } from './twice.ts'
import { drawZombies, zombieProbes } from './zombies.ts'

const processes = 2
const seedMsMax = 120_000
const schedules = new URL('./schedules/', import.meta.url)
const write = (text: string): void => void process.stdout.write(`${text}\n`)

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}

function report(result: RunResult): void {
  if (result.violations.length === 0) return
  write(`seed ${result.seed} broke ${result.violations.length} rules (commit ${commit()}, node ${process.version}):`)
  for (const { rule, text, atMs } of result.violations.slice(0, 5)) write(`  ${rule} at ${atMs.toFixed(1)} ms: ${text}`)
  write(
    `  again: npm run sim -- --seed ${result.seed}${values.zombies ? ' --zombies' : ''} --story, and with --shrink for a small schedule`,
  )
}

/** One scenario here in this process, with its story if that is wanted. */
async function single(scenario: Scenario, story: boolean): Promise<boolean> {
  const result = await runTwice(scenario)
  if (story) {
    for (const { atMs, node, level, event, fields } of result.story)
      write(`${atMs.toFixed(1).padStart(10)} ${node.padEnd(3)} ${level.padEnd(5)} ${event} ${JSON.stringify(fields)}`)
  }
  write(`seed ${result.seed}: hash ${result.hash.toString(16)}, ${result.events} events, ${(result.virtualMs / 1000).toFixed(1)} s virtual`)
  report(result)
  return result.violations.length === 0
}

async function shrunk(scenario: Scenario): Promise<boolean> {
  const { violations } = await run(scenario)
  const rule = violations[0]?.rule
  if (!rule) return true
  const small = await shrink(scenario, rule)
  const path = new URL(`${rule}-${scenario.seed}.json`.toLowerCase(), schedules)
  writeFileSync(path, `${JSON.stringify({ rule, commit: commit(), node: process.version, scenario: small }, null, 2)}\n`)
  write(
    `${rule}: ${scenario.faults.length} faults became ${small.faults.length}; stored in ${path.pathname.split('/').slice(-3).join('/')}`,
  )
  return false
}

/** Every schedule that once broke a rule. */
async function stored(): Promise<boolean> {
  let well = true
  for (const name of readdirSync(schedules).filter(one => one.endsWith('.json'))) {
    const { scenario } = JSON.parse(readFileSync(new URL(name, schedules), 'utf8')) as { scenario: Scenario }
    well = (await single(scenario, false)) && well
  }
  return well
}

/** How many leaders went on after another one had claimed, and how far they came. */
function zombiesOf(probes: ReadonlyMap<string, number>): string {
  const [resumed = 0, wentOn = 0, wrote = 0] = Object.values(zombieProbes).map(name => probes.get(name) ?? 0)
  return `zombies ${resumed + wentOn} (${resumed} after a pause, ${wrote} asked to write)`
}

async function many(from: number, count: number): Promise<boolean> {
  const startedMs = performance.now()
  const probes = new Map<string, number>()
  const totals = { runs: 0, failed: 0, events: 0, virtualMs: 0 }
  await campaign({
    ...{ from, count, processes, seedMsMax, untilFound: false, zombies: values.zombies },
    each(result) {
      totals.runs++
      totals.events += result.events
      totals.virtualMs += result.virtualMs
      if (result.violations.length > 0) totals.failed++
      for (const [name, times] of Object.entries(result.probes)) probes.set(name, (probes.get(name) ?? 0) + times)
      report(result)
    },
  })
  for (const [name, times] of [...probes].sort()) write(`${String(times).padStart(9)} ${name}`)
  const missing = count >= seedsForAllProbes && !values.zombies ? missingProbes(probes) : []
  if (missing.length > 0) write(`never came about in ${count} seeds: ${missing.join(', ')}`)
  const seconds = (performance.now() - startedMs) / 1000
  write(
    `${totals.runs} seeds from ${from}: ${totals.failed} broke a rule; ${totals.events} events (${Math.round(totals.events / seconds)}/s), ${probes.get('takeover') ?? 0} leader changes, ${(totals.virtualMs / 3_600_000).toFixed(1)} h virtual in ${seconds.toFixed(0)} s; ${zombiesOf(probes)}`,
  )
  return totals.failed === 0 && totals.runs === count && missing.length === 0
}

/** So many planted bugs, others each day. */
function someMutants(count: number): string[] {
  const day = Math.floor(Date.now() / 86_400_000)
  return Array.from({ length: count }, (_, index) => mutants[(day * count + index) % mutants.length]!.name)
}

/** Looks for each planted bug; says after how many seeds it was found. */
async function plantedBugs(names: readonly string[], from: number, count: number): Promise<boolean> {
  let missed = 0
  for (const { name, about } of mutants.filter(mutant => names.length === 0 || names.includes(mutant.name))) {
    let runs = 0
    let found: RunResult | undefined
    let rotten = ''
    await campaign({
      ...{ from, count, processes, seedMsMax, untilFound: true, mutant: name, zombies: values.zombies },
      each(result) {
        if (result.seed < 0) rotten = result.violations[0]!.text
        else runs++
        if (result.seed >= 0 && result.violations.length > 0) found ??= result
      },
    })
    if (rotten !== '') write(`${name}: cannot be planted: ${/Error: .*/.exec(rotten)?.[0] ?? rotten}`)
    if (!found) missed++
    write(
      found
        ? `${name}: found after ${runs} seeds by ${found.violations[0]!.rule} (${about})`
        : `${name}: NOT FOUND in ${runs} seeds (${about})`,
    )
  }
  return missed === 0
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '200' },
    from: { type: 'string' },
    story: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    some: { type: 'string' },
    zombies: { type: 'boolean', default: false },
  },
})
const draw = values.zombies ? drawZombies : drawScenario
const from = values.from === undefined ? Math.floor(Math.random() * 1e9) : Number(values.from)
let well: boolean
if (values.mutants)
  well = await plantedBugs(values.some === undefined ? positionals : someMutants(Number(values.some)), from, Number(values.seeds))
else if (values.seed !== undefined && values.shrink) well = await shrunk(draw(Number(values.seed)))
else if (values.seed !== undefined) well = await single(draw(Number(values.seed)), values.story)
else well = (await stored()) && (await many(from, Number(values.seeds)))
process.exit(well ? 0 : 1)
