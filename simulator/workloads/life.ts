// Owns what the workloads of jobs share: one job after the other, a plan spoken in the protocol itself, waiting for an end.
// Must not know what the jobs are.
import type { FlowPlan, Inputs, JobPlan, RunPolicy, StagePlan, StagePolicy } from '../../src/protocol/index.ts'
import { program } from '../world/program.ts'
import type { Tools, Workload } from './workload.ts'

type Life = (tools: Tools, id: string) => Promise<void>

/** So many jobs, one after the other, with a pause of about `pauseMs` behind each. */
export class Jobs implements Workload {
  readonly #name: string
  readonly #pauseMs: number
  readonly #one: Life
  #left: number

  constructor(name: string, count: number, pauseMs: number, one: Life) {
    this.#name = name
    this.#left = count
    this.#pauseMs = pauseMs
    this.#one = one
  }

  get done(): boolean {
    return this.#left === 0
  }

  async live(tools: Tools): Promise<void> {
    while (this.#left > 0) {
      await this.#one(tools, `${this.#name}-${tools.mark()}`)
      this.#left--
      if (this.#pauseMs > 0) await tools.pause(tools.random.exponential(this.#pauseMs))
    }
  }
}

/** A job as this client asks for it. */
export function planOf(tools: Tools, job: string, name: string, detached: boolean, stages: StagePlan[]): JobPlan {
  return { job, name, contentHash: program.id, labels: [], priority: 0, session: tools.client.session!.id, detached, stages }
}

/** What limits a job and its stages. */
interface Limits {
  policies: StagePolicy[]
  run: RunPolicy | undefined
}

/** Submits a plan until it is taken. */
export function submitPlan(
  tools: Tools,
  plan: JobPlan,
  inputs: Inputs[],
  flow?: FlowPlan,
  limits: Limits = { policies: [], run: undefined },
): Promise<boolean | undefined> {
  return tools.call('submit', plan.job, plan.name, async () => {
    const session = tools.client.session!
    for (;;) {
      const reply = await session.request({
        kind: 'submitJobs',
        jobs: [{ plan, inputs, flow, ...limits, watch: false }],
      })
      const error = reply.kind === 'submitted' ? reply.outcomes[0]?.error : undefined
      if (!error) return true
      if (error.code === 'PROGRAM_MISSING') await session.request({ kind: 'putProgram', program: program.id, bytes: program.bytes })
      else if (error.code === 'OVERLOADED') await tools.pause(100)
      else throw Object.assign(new Error(error.message), { code: error.code })
    }
  })
}

/** Asks for the state of a job until it has ended, and says how, if that was answered; `between` is done in each round. */
export async function untilEnded(tools: Tools, job: string, between?: (round: number) => Promise<void>): Promise<string | undefined> {
  for (let round = 0; ; round++) {
    const state = await tools.call('status', job, '', async () => (await tools.cluster.job(job).status()).state)
    if (state !== 'running') return state
    await between?.(round)
    await tools.pause(50 + tools.random.exponential(100))
  }
}
