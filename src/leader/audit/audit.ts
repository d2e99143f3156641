// Owns the audit log while this process leads: it counts equal calls of a second, and writes them as lines, behind what it does otherwise.
// Must never make a call wait, and must not stop the leader: where the disk refuses, what is lost is counted, and said.
import { join } from 'node:path'
import type { Clock, Platform } from '../../platform/index.ts'
import type { AuditEntry } from '../../protocol/index.ts'
import { hashOf, lineOf } from './chain.ts'
import { AuditFolder, type AuditLimits } from './folder.ts'

/** How a call ended. */
export type Outcome = AuditEntry['outcome']

/** A call, as its line says it. */
export type Call = Pick<AuditEntry, 'who' | 'credential' | 'from' | 'what' | 'id'>

/** Where and how the audit log is written. */
export interface AuditOptions extends Partial<AuditLimits> {
  /** All candidates of a machine have their folders in this one. */
  folder: string
}

/** Equal calls within this are one line. */
const gatherMs = 1000
/** Different lines that wait for being written; what comes beyond is only counted. */
const entriesMax = 50_000
/** Lines that are put together in one go: what waits for the loop waits no longer. */
const linesAtOnce = 500
/** An id or an address that is longer is cut. */
const textMax = 300

interface Entry extends Call {
  time: string
  outcome: Outcome
  code: string
  count: number
}

/** What the log is told of the leader. */
export interface AuditSource {
  leader: string
  epoch: number
  /** The journal's index now. */
  index(): number
}

/** The audit log of one leadership. */
export class Audit {
  readonly #platform: Pick<Platform, 'log'>
  readonly #clock: Clock
  readonly #folder: AuditFolder
  readonly #source: AuditSource
  #open = new Map<string, Entry>()
  /** What could not be written yet. */
  #unwritten: Entry[] = []
  #lost = 0
  #timer: (() => void) | undefined
  #writing: Promise<void> = Promise.resolve()
  #refusing = false
  /** Grows whenever lines are closed: those that come count in others. */
  round = 0
  /** The folder that holds those of all candidates. */
  readonly root: string

  constructor({ folder, ...limits }: AuditOptions, source: AuditSource, platform: Pick<Platform, 'clock' | 'files' | 'log'>) {
    this.root = folder
    this.#platform = platform
    this.#clock = platform.clock
    this.#source = source
    this.#folder = new AuditFolder(platform.files, join(folder, folderName(source.leader)), limits)
  }

  /** Counts a call. */
  note(call: Call, outcome: Outcome, code = '', count = 1): void {
    const line = this.lineFor(call, outcome, code)
    if (line) line.count += count
    else this.#lost += count
  }

  /** The line that counts such calls, as long as `round` is the same; undefined where there is no room for it. */
  lineFor(call: Call, outcome: Outcome, code: string): { count: number } | undefined {
    const key = `${call.what}\n${call.id}\n${call.from}\n${call.credential}\n${outcome}\n${code}`
    this.#timer ??= this.#clock.timer(gatherMs, () => {
      this.#timer = undefined
      void this.flush()
    })
    const known = this.#open.get(key)
    if (known || this.#open.size + this.#unwritten.length >= entriesMax) return known
    const line = { time: new Date(this.#clock.wallMs()).toISOString(), ...call, outcome, code, count: 0 }
    this.#open.set(key, line)
    return line
  }

  /** Writes all that was noted so far; resolves when that is done, or could not be. */
  flush(): Promise<void> {
    this.#unwritten.push(...this.#open.values())
    this.#open = new Map()
    this.round++
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async #write(): Promise<void> {
    try {
      if (this.#lost > 0) {
        const lost = this.#lost
        this.#lost = 0
        this.#unwritten.push({
          ...nobody,
          time: new Date(this.#clock.wallMs()).toISOString(),
          what: 'lost',
          code: 'OVERLOADED',
          count: lost,
        })
      }
      while (this.#unwritten.length > 0) {
        const batch = this.#unwritten.slice(0, linesAtOnce)
        await this.#add(batch)
        this.#unwritten.splice(0, batch.length)
        if (this.#refusing) this.#platform.log('info', 'audit-written-again')
        this.#refusing = false
      }
    } catch (error) {
      // Once, not every second: what is not written stays, as long as there is room.
      if (!this.#refusing) this.#platform.log('error', 'audit-not-written', { error: String(error) })
      this.#refusing = true
    }
  }

  async #add(batch: readonly Entry[]): Promise<void> {
    const { leader, epoch, index } = this.#source
    if (this.#folder.isNew) await this.#folder.open()
    let last = this.#folder.last
    let lines = ''
    for (const entry of batch) {
      const line = lineOf({ ...entry, id: clip(entry.id), from: clip(entry.from), leader, epoch, index: index() }, last)
      last = hashOf(line)
      lines += `${line}\n`
    }
    await this.#folder.add(lines, last)
  }

  /** Writes what is left. */
  async close(): Promise<void> {
    this.#timer?.()
    await this.flush()
  }
}

const nobody = { who: '', credential: '', from: '', id: '', outcome: 'refused' as const }

function clip(text: string): string {
  return text.length <= textMax ? text : `${text.slice(0, textMax)}…`
}

/** A candidate's name as that of a folder. */
function folderName(leader: string): string {
  return leader.replace(/[^\w.@-]/g, '_').replace(/^\.+/, '_')
}
