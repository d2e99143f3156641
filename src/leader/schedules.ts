// Owns when schedules have their ticks: it looks at the wall clock, counts ticks, and asks the loop for what is due.
// Must not decide what becomes of a tick: core does, once for each, whoever leads.
import { type Command, Heap, mayStart, type ScheduleState, type State, type Submission } from '../core/index.ts'
import type { Cancel, Clock, Platform } from '../platform/index.ts'
import { type ClientToLeader, CoxswainError, decodeStored, type ScheduleSpec } from '../protocol/index.ts'
import type { LeaderContext } from './context.ts'
import type { Loop } from './loop.ts'
import type { Payloads } from './payloads.ts'

/** A tick that is later than this was missed: nobody led, or the machine slept. */
const lateMsMax = 60_000
/** Missed ticks that are older than this are not caught up with, by `all`. */
const catchUpMsMax = 24 * 3_600_000
/** The wall clock may be set meanwhile: it is looked at again after this. */
const lookMsMax = 20_000
/** A tick that could not be taken, as the cluster is full, is tried again after this. */
const againMs = 1000
/** Outdated ticks are thrown out when there are more of them than schedules, and than this. */
const outdatedMin = 64
/** What stands for "never again" in a fact. */
const never = Number.MAX_SAFE_INTEGER

type NextTick = Platform['nextTick']

/** The first tick after a wall time. Throws INVALID_SCHEDULE. */
function tickAfter(nextTick: NextTick, spec: ScheduleSpec, afterMs: number): number {
  try {
    return nextTick(spec, afterMs) ?? never
  } catch (error) {
    throw new CoxswainError('INVALID_SCHEDULE', `Schedule ${spec.schedule}: ${(error as Error).message}`, { id: spec.schedule })
  }
}

/** The last tick up to now, of a spec that has one since `fromMs`. Looked for in windows, the shortest first: there may have been a million. */
function lastTick(nextTick: NextTick, spec: ScheduleSpec, fromMs: number, nowMs: number): number {
  for (const windowMs of [60_000, 3_600_000, 86_400_000, 32 * 86_400_000, 400 * 86_400_000]) {
    let last: number | undefined
    for (let at = tickAfter(nextTick, spec, Math.max(fromMs, nowMs - windowMs) - 1); at <= nowMs; at = tickAfter(nextTick, spec, at))
      last = at
    if (last !== undefined) return last
  }
  return fromMs
}

/** The name of a run: that of its tick, so that no two of them are ever the same. */
function runName(schedule: string, atMs: number): string {
  return `${schedule}@${new Date(atMs).toISOString().replace('.000', '')}`
}

/** What is submitted, as a job of this name. */
function submissionOf(bytes: Uint8Array, job: string): Submission {
  const { plan, ...rest } = decodeStored(bytes)
  return { plan: { ...plan, job }, ...rest }
}

export class ScheduleClock {
  readonly #state: State
  readonly #loop: Loop
  readonly #payloads: Payloads
  readonly #clock: Clock
  readonly #nextTick: NextTick
  /** By the time at which it is to be looked at; outdated ones stay in it until then. */
  #line = new Heap<{ schedule: string; dueMs: number }>()
  /** What is asked for is not asked for again. */
  readonly #busy = new Set<string>()
  #stopTimer: Cancel | undefined
  #stopped = false

  constructor(state: State, loop: Loop, payloads: Payloads, { clock, nextTick }: Pick<Platform, 'clock' | 'nextTick'>) {
    this.#state = state
    this.#loop = loop
    this.#payloads = payloads
    this.#clock = clock
    this.#nextTick = nextTick
  }

  /** Takes in what changed, asks for what is due, and waits for what comes next. */
  look(): void {
    if (this.#stopped) return
    const { schedules } = this.#state
    for (const schedule of schedules.changed) {
      this.#await(schedule)
      if (mayStart(schedule)) this.#ask(schedule, () => this.#runQueued(schedule))
    }
    schedules.changed.clear()
    if (this.#line.size > 2 * schedules.byName.size + outdatedMin) {
      this.#line = new Heap()
      for (const schedule of schedules.byName.values()) this.#await(schedule)
    }
    const nowMs = this.#clock.wallMs()
    for (let next = this.#line.nextKey; next !== undefined && next <= nowMs; next = this.#line.nextKey) {
      const { schedule: name, dueMs } = this.#line.pop()!
      const schedule = schedules.byName.get(name)
      if (schedule?.nextAtMs === dueMs && !schedule.paused) this.#ask(schedule, () => this.#tick(schedule, nowMs))
    }
    this.#stopTimer?.()
    const nextMs = this.#line.nextKey
    if (nextMs === undefined) return
    this.#stopTimer = this.#clock.timer(Math.min(lookMsMax, Math.max(1, nextMs - nowMs)), () => this.look())
  }

  /** Ticks in line, outdated ones among them. */
  get waiting(): number {
    return this.#line.size
  }

  #await({ spec, nextAtMs, paused }: ScheduleState): void {
    if (!paused && nextAtMs !== never) this.#line.push(nextAtMs, { schedule: spec.schedule, dueMs: nextAtMs })
  }

  stop(): void {
    this.#stopped = true
    this.#stopTimer?.()
  }

  /** Asks once; what could not be done is tried again after a while. */
  #ask(schedule: ScheduleState, ask: () => Promise<boolean>): void {
    const { schedule: name } = schedule.spec
    if (this.#busy.has(name)) return
    this.#busy.add(name)
    const over = (done: boolean): void => {
      this.#busy.delete(name)
      const now = this.#state.schedules.byName.get(name)
      if (!now) return
      if (done) {
        this.#state.schedules.changed.add(now)
        this.look()
      } else this.#clock.timer(againMs, () => this.#again(now))
    }
    ask().then(over, () => over(false))
  }

  #again(schedule: ScheduleState): void {
    this.#state.schedules.changed.add(schedule)
    this.look()
  }

  async #tick(schedule: ScheduleState, nowMs: number): Promise<boolean> {
    const { spec, nextAtMs: dueMs } = schedule
    const late = nowMs - dueMs > lateMsMax
    let atMs = dueMs
    let missed = false
    if (late && spec.catchUp === 'last') atMs = lastTick(this.#nextTick, spec, dueMs, nowMs)
    else if (late && (spec.catchUp === 'none' || nowMs - dueMs > catchUpMsMax)) missed = true
    const goOnMs = !missed ? atMs : spec.catchUp === 'none' ? nowMs : nowMs - catchUpMsMax
    const nextAtMs = tickAfter(this.#nextTick, spec, goOnMs)
    const made = submissionOf(await this.#bytesOf(schedule), runName(spec.schedule, atMs))
    return this.#post({ kind: 'tickSchedule', schedule: spec.schedule, dueMs, atMs, nextAtMs, missed, submission: made })
  }

  async #runQueued(schedule: ScheduleState): Promise<boolean> {
    const { schedule: name } = schedule.spec
    const made = submissionOf(await this.#bytesOf(schedule), runName(name, schedule.queue[0]!))
    return this.#post({ kind: 'runSchedule', schedule: name, queued: true, submission: made })
  }

  /** The bytes of what a schedule submits. */
  #bytesOf({ payload }: ScheduleState): Promise<Uint8Array> {
    return this.#payloads.read(payload, () => false)
  }

  #post(command: Parameters<Loop['post']>[0]['command']): Promise<boolean> {
    return new Promise(resolve => {
      this.#loop.post({ command, bytes: 0, reply: reply => resolve(reply.kind !== 'refused') })
    })
  }

  /** The submission of a run that its user asks for. Throws NOT_FOUND. */
  async triggered(name: string, run: string): Promise<Submission> {
    const schedule = this.#state.schedules.byName.get(name)
    if (!schedule) throw new CoxswainError('NOT_FOUND', `There is no schedule ${name}.`, { id: name })
    return submissionOf(await this.#bytesOf(schedule), `${name}@${run}`)
  }
}

/** What a client asks about a schedule, as a command: with the ticks that follow from the wall clock. Throws INVALID_SCHEDULE, NOT_FOUND. */
export async function scheduleCommand(
  { schedules, state, platform }: Pick<LeaderContext, 'schedules' | 'state' | 'platform'>,
  message: Extract<ClientToLeader, { kind: 'setSchedule' | 'changeSchedule' | 'triggerSchedule' }>,
): Promise<Command> {
  // A wall clock that was set back brings no tick again.
  const known = state.schedules.byName.get(message.kind === 'setSchedule' ? message.spec.schedule : message.schedule)
  const nowMs = Math.max(platform.clock.wallMs(), known?.lastAtMs ?? 0)
  if (message.kind === 'setSchedule') {
    const { spec, submission: bytes, replace } = message
    const nextAtMs = tickAfter(platform.nextTick, spec, nowMs)
    if (nextAtMs === never)
      throw new CoxswainError('INVALID_SCHEDULE', `Schedule ${spec.schedule} has no tick to come.`, { id: spec.schedule })
    return { kind: 'setSchedule', spec, bytes, submission: submissionOf(bytes, runName(spec.schedule, nextAtMs)), nextAtMs, replace }
  }
  const { schedule } = message
  if (message.kind === 'triggerSchedule')
    return { kind: 'runSchedule', schedule, queued: false, submission: await schedules.triggered(schedule, message.run) }
  return { kind: 'changeSchedule', schedule, change: message.change, nextAtMs: known ? tickAfter(platform.nextTick, known.spec, nowMs) : 0 }
}
