// Owns the bars of many small workflows and of one long one: one step, alone and 64 at a time; ten steps; a chain of a hundred.
// Must not let a result go by unchecked: it shows that every step has run, once, on what the step before it gave.
import type { Cluster } from '../../src/index.ts'
import { type Bar, type Figure, latencyFigures, repeated, sized } from '../bar.ts'
import { chain, diamond, single } from '../flows.ts'
import { callsPerSecond, oneByOne, workflowsInFlight } from '../load.ts'
import { dbosMany, dbosOne } from '../peers/dbos.ts'
import { restateMany, restateOne } from '../peers/restate.ts'
import { figureText, median, percentile } from '../statistics.ts'

const chainLength = 100
const tenSteps = 10
/** Enough of them that the syncs of a chain of ten are shared. */
const tensInFlight = 256

function expectEqual(what: string, given: number, wanted: number): void {
  if (given !== wanted) throw new Error(`${what} gave ${given} instead of ${wanted}`)
}

async function runSingle(client: Cluster, input: number): Promise<void> {
  expectEqual(`workflow ${input}`, await client.run(single, input), input)
}

async function runChain(client: Cluster, length: number, from: number): Promise<void> {
  expectEqual(`a chain from ${from}`, await client.run(chain, { length, from }), from + length)
}

async function runDiamond(client: Cluster, width: number, from: number): Promise<void> {
  expectEqual(`a diamond from ${from}`, await client.run(diamond, { width, from }), width * (from + 1))
}

export const workflowOne: Bar = {
  name: 'workflow-one',
  title: 'workflow of one step, submit to result, durable, idle cluster',
  peers: [restateOne, dbosOne],
  async measure(bench) {
    const { client } = await bench.cluster()
    const rounds = await repeated(bench, () => oneByOne(bench.smoke, input => runSingle(client, input)))
    const floor = bench.machine.fdatasyncP50Ms + 3 * bench.machine.echoP50Ms
    const times = median(rounds.map(took => percentile(took, 0.5))) / floor
    return latencyFigures(rounds, {
      bar: { at: 2, side: 'at most' },
      ratio: `${figureText(times)} × (one fdatasync and three echoes)`,
    })
  },
}

export const workflowMany: Bar = {
  name: 'workflow-many',
  title: `workflows of one step, ${workflowsInFlight} in flight`,
  peers: [restateMany, dbosMany],
  async measure(bench) {
    const { client } = await bench.cluster()
    const values = await repeated(bench, () => callsPerSecond(bench.smoke, workflowsInFlight, input => runSingle(client, input)))
    const share = median(values) / bench.machine.echoPerSecond
    return [
      { what: 'runs', unit: 'runs/s', values, bar: { at: 10_000, side: 'at least' }, ratio: `${figureText(share)} × WebSocket echoes/s` },
    ]
  },
}

export const workflowChain: Bar = {
  name: 'workflow-chain',
  title: `a chain of ${chainLength} steps, each durable before the next begins`,
  async measure(bench) {
    const { client } = await bench.cluster()
    const rounds = await repeated(bench, () => oneByOne(bench.smoke, input => runChain(client, chainLength, input)))
    const floor = chainLength * (bench.machine.fdatasyncP50Ms + bench.machine.echoP50Ms)
    const times = median(rounds.map(took => percentile(took, 0.5))) / floor
    return latencyFigures(rounds, {
      bar: { at: 50, side: 'at most' },
      ratio: `${figureText(times)} × (one fdatasync and one echo for each step)`,
    })
  },
}

export const workflowTen: Bar = {
  name: 'workflow-ten',
  title: `workflows of ${tenSteps} steps, ${tensInFlight} in flight`,
  async measure(bench) {
    const { client } = await bench.cluster()
    const bar = { at: 5000, side: 'at least' as const }
    const inFlight = sized(bench, tensInFlight, 16)
    const chains = await repeated(bench, () => callsPerSecond(bench.smoke, inFlight, input => runChain(client, tenSteps, input)))
    const diamonds = await repeated(bench, () => callsPerSecond(bench.smoke, inFlight, input => runDiamond(client, tenSteps - 2, input)))
    const steps = (values: readonly number[]): string => `${figureText(median(values) * tenSteps)} steps/s`
    const figures: Figure[] = [
      { what: 'one after the other', unit: 'runs/s', values: chains, bar, ratio: steps(chains) },
      { what: 'one, eight, one', unit: 'runs/s', values: diamonds, bar, ratio: steps(diamonds) },
    ]
    return figures
  },
}
