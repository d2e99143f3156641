// A naive second opinion on the limits that users set: it remembers every handing out and every run of a key, and counts anew each time.
import assert from 'node:assert/strict'
import type { RunPolicy, StagePolicy } from '../../src/protocol/index.ts'

/** A task that was handed out, or a step that became others, as long as it holds its key. */
interface Holder {
  key: string
  task: string
  ended(): boolean
}

interface Run {
  job: string
  policy: RunPolicy
  priority: number
  over: boolean
  begun: boolean
}

export class LimitLedger {
  readonly #policies = new Map<string, StagePolicy>()
  #holders: Holder[] = []
  readonly #starts = new Map<string, number[]>()
  readonly #runs: Run[] = []

  limitStage(job: string, policy: StagePolicy): void {
    assert(!this.#policies.has(`${job}/${policy.stage}`), `stage ${policy.stage} of ${job} was limited twice`)
    this.#policies.set(`${job}/${policy.stage}`, policy)
  }

  policyOf(job: string, stage: number): StagePolicy | undefined {
    return this.#policies.get(`${job}/${stage}`)
  }

  /** Its key, by the name of it or of the stage that has it alone. */
  #keyOf(job: string, stage: number): { key: string; policy: StagePolicy } | undefined {
    const policy = this.#policies.get(`${job}/${stage}`)
    if (!policy || (policy.concurrency === 0 && policy.rateLimit === 0)) return undefined
    return { key: policy.key === '' ? `${job}/${stage}` : `key ${policy.key}`, policy }
  }

  /** A task of the stage was handed out. `ended`: whether it still counts. */
  handedOut(job: string, stage: number, task: string, nowMs: number, ended: () => boolean): void {
    const found = this.#keyOf(job, stage)
    if (!found) return
    const { key, policy } = found
    this.holds(job, stage, task, ended)
    const held = this.#holders.filter(one => one.key === key && !one.ended()).length
    assert(policy.concurrency === 0 || held <= policy.concurrency, `${key} is held by ${held} at once, of ${policy.concurrency}`)
    if (policy.rateLimit === 0) return
    const starts = this.#starts.get(key) ?? []
    this.#starts.set(key, starts)
    starts.push(nowMs)
    const lately = starts.filter(at => at > nowMs - policy.ratePerMs).length
    assert(lately <= policy.rateLimit, `${lately} of ${key} were handed out in ${policy.ratePerMs} ms, of ${policy.rateLimit}`)
  }

  /** Something of the stage holds its key. */
  holds(job: string, stage: number, task: string, ended: () => boolean): void {
    const found = this.#keyOf(job, stage)
    if (!found) return
    // One that was given back, and handed out again, is the same.
    this.#holders = this.#holders.filter(one => one.task !== task && !one.ended())
    this.#holders.push({ key: found.key, task, ended })
  }

  limitRun(job: string, priority: number, policy: RunPolicy): void {
    const of = this.#runs.filter(one => one.policy.key === policy.key && !one.over)
    assert(
      of.every(one => one.policy.concurrency === policy.concurrency),
      `two limits of the key ${policy.key}`,
    )
    this.#runs.push({ job, policy, priority, over: false, begun: false })
    this.#next()
  }

  /** The job has ended, or with `turn` only its wait for its turn. */
  ended(job: string, turn: boolean): void {
    for (const run of this.#runs) if (run.job === job && !(turn && run.begun)) run.over = true
    this.#next()
  }

  /** It goes on after its end, and there is room for it. What its stages have alone begins anew. */
  again(job: string): void {
    for (const key of [...this.#starts.keys()]) if (key.startsWith(`${job}/`)) this.#starts.delete(key)
    const run = this.#runs.find(one => one.job === job)
    if (!run) return
    assert(run.over, `${job} went on and had not ended`)
    Object.assign(run, { over: false, begun: true })
    const { key, concurrency } = run.policy
    const running = this.#runs.filter(one => one.policy.key === key && one.begun && !one.over).length
    assert(key === '' || running <= concurrency, `${job} went on, and ${running} runs of ${key} are there, of ${concurrency}`)
    assert(
      !this.#runs.some(one => key !== '' && one.policy.key === key && !one.begun && !one.over),
      `${job} went before those that wait for ${key}`,
    )
  }

  #next(): void {
    const waiting = this.#runs.filter(run => !run.begun && !run.over).sort((a, b) => b.priority - a.priority)
    for (const run of waiting) {
      const { key, concurrency } = run.policy
      const running = this.#runs.filter(one => one.policy.key === key && one.begun && !one.over).length
      if (key === '' || running < concurrency) run.begun = true
    }
  }

  /** True if nothing of the job may begin. */
  waits(job: string): boolean {
    return this.#runs.some(run => run.job === job && !run.begun && !run.over)
  }

  forget(job: string): void {
    for (let at = this.#runs.length - 1; at >= 0; at--) if (this.#runs[at]!.job === job) this.#runs.splice(at, 1)
    for (const id of [...this.#policies.keys()]) if (id.startsWith(`${job}/`)) this.#policies.delete(id)
  }
}
