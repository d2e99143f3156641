// Owns up.json: which supervisor holds a state folder, and its node processes. Only one supervisor can hold it.
// Must not be taken for the leadership: that is the journal's lock.
import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { CoxswainError } from '../../protocol/errors.ts'
import { readEndpoint } from './endpoint.ts'
import { type Home, onHome } from './home.ts'
import { identify, lives, type ProcessIdentity } from './processes.ts'

/** A node process that a supervisor started. */
export interface NodeProcess extends ProcessIdentity {
  name: string
}

/** How a node process died last. */
export interface NodeDeath {
  name: string
  /** Milliseconds since 1970. */
  atMs: number
  /** Such as `killed by SIGKILL` or `exit code 1`. */
  how: string
  /** The last line of its log that looks like an error; empty if there is none. */
  lastWords: string
  /** It died again and again and is not started any more. */
  leftDown: boolean
}

/** What a supervisor says about itself. */
export interface UpFile {
  supervisor: ProcessIdentity
  startedAtMs: number
  /** The options of `cox up`, for people. */
  options: Record<string, unknown>
  nodes: NodeProcess[]
  /** The last death of each node that died. */
  deaths?: NodeDeath[]
}

function readFile(path: string): UpFile | undefined {
  try {
    const parsed = JSON.parse(readFileSync(path, 'utf8')) as UpFile
    return typeof parsed.supervisor?.pid === 'number' ? parsed : undefined
  } catch {
    return undefined
  }
}

/** What up.json says, or undefined if it is not there or makes no sense. */
export function readUpFile(home: Home): UpFile | undefined {
  return readFile(home.up)
}

/** The supervisor that holds the folder and lives, or undefined. */
export function liveSupervisor(home: Home): UpFile | undefined {
  const found = readUpFile(home)
  return found && lives(found.supervisor) ? found : undefined
}

function inUse(home: Home, holder: UpFile): CoxswainError {
  const address = readEndpoint(home)?.address ?? 'no address yet'
  return new CoxswainError(
    'STATE_FOLDER_IN_USE',
    `A cluster is up in ${home.path}: supervisor with pid ${holder.supervisor.pid}, leader at ${address}.`,
    { id: home.path },
  )
}

function exists(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EEXIST'
}

/** This process as holder of a state folder, until it lets go. */
export class UpHold {
  readonly #home: Home
  readonly #file: UpFile
  /** Node processes of a dead holder that was succeeded; they may still be ending. */
  readonly orphans: readonly NodeProcess[]

  private constructor(home: Home, file: UpFile, orphans: readonly NodeProcess[]) {
    this.#home = home
    this.#file = file
    this.orphans = orphans
  }

  /** Takes the folder, from a dead holder if need be; throws STATE_FOLDER_IN_USE while another one lives. */
  static take(home: Home, options: Record<string, unknown>): UpHold {
    const file: UpFile = { supervisor: identify(), startedAtMs: Date.now(), options, nodes: [] }
    const mine = `${home.up}.${process.pid}.tmp`
    return onHome(home.path, () => {
      writeFileSync(mine, JSON.stringify(file), { mode: 0o600 })
      try {
        // A link is made by exactly one of many that try; the second round is after a dead holder's file was put away.
        let orphans: readonly NodeProcess[] = []
        for (let round = 0; ; round++) {
          try {
            linkSync(mine, home.up)
            return new UpHold(home, file, orphans)
          } catch (error) {
            if (!exists(error)) throw error
          }
          const holder = readUpFile(home)
          if (holder && (lives(holder.supervisor) || round > 0)) throw inUse(home, holder)
          orphans = holder?.nodes ?? []
          UpHold.#putAway(home, holder)
        }
      } finally {
        unlinkSync(mine)
      }
    })
  }

  /** Removes a dead holder's file, unless somebody else has just taken its place. */
  static #putAway(home: Home, dead: UpFile | undefined): void {
    const aside = `${home.up}.${process.pid}.dead`
    try {
      renameSync(home.up, aside)
    } catch {
      return
    }
    const moved = readFile(aside)?.supervisor
    if (moved && (moved.pid !== dead?.supervisor.pid || moved.startedAt !== dead.supervisor.startedAt)) {
      try {
        linkSync(aside, home.up)
      } catch (error) {
        if (!exists(error)) throw error
      }
    }
    rmSync(aside, { force: true })
  }

  /** Writes down which node processes live, so that `cox down --force` finds them, and how others died, for `cox status`. */
  record(nodes: NodeProcess[], deaths: NodeDeath[]): void {
    this.#file.nodes = nodes
    this.#file.deaths = deaths
    const temporary = `${this.#home.up}.${process.pid}.tmp`
    writeFileSync(temporary, JSON.stringify(this.#file), { mode: 0o600 })
    renameSync(temporary, this.#home.up)
  }

  /** Lets the folder go. */
  release(): void {
    rmSync(this.#home.up, { force: true })
  }
}
