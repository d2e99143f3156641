// Owns looking at what the process groups of executors hold: memory and number of processes.
// Must not judge it.
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** What one process group holds. */
export interface GroupSample {
  rssBytes: number
  processes: number
}

/** Processes known to belong to other groups are looked at again after so many samples: their pid may be another's by then. */
const forgetEvery = 20

/** Reads /proc where there is one, else asks ps. */
export class GroupWatch {
  /** Pids of processes that are in none of our groups. */
  readonly #foreign = new Set<number>()
  readonly #pageBytes: number
  readonly #proc: boolean
  readonly #procFolder: string
  #samples = 0
  #asking = false

  constructor(procFolder = '/proc') {
    this.#procFolder = procFolder
    const own = readStat(procFolder, process.pid)
    this.#proc = own !== undefined
    // The kernel counts in pages, whose size Node does not tell: it follows from a process whose memory is known in bytes.
    const measured = own ? process.memoryUsage.rss() / own.rssPages : 4096
    this.#pageBytes = 2 ** Math.round(Math.log2(measured))
  }

  /** Calls back with a sample of each of the groups. */
  sample(groups: ReadonlySet<number>, done: (samples: Map<number, GroupSample>) => void): void {
    if (groups.size === 0) return
    if (this.#proc) done(this.#fromProc(groups))
    else this.#fromPs(groups, done)
  }

  #fromProc(groups: ReadonlySet<number>): Map<number, GroupSample> {
    if (this.#samples++ % forgetEvery === 0) this.#foreign.clear()
    const samples = new Map<number, GroupSample>()
    for (const name of readdirSync(this.#procFolder)) {
      const pid = Number(name)
      if (!Number.isInteger(pid) || this.#foreign.has(pid)) continue
      const stat = readStat(this.#procFolder, pid)
      if (!stat) continue
      if (groups.has(stat.group)) add(samples, stat.group, stat.rssPages * this.#pageBytes)
      else this.#foreign.add(pid)
    }
    return samples
  }

  #fromPs(groups: ReadonlySet<number>, done: (samples: Map<number, GroupSample>) => void): void {
    if (this.#asking) return
    this.#asking = true
    execFile('ps', ['-axo', 'pgid=,rss=,stat='], (error, text) => {
      this.#asking = false
      if (error) return
      const samples = new Map<number, GroupSample>()
      for (const line of text.split('\n')) {
        const [group, kibibytes, state] = line.trim().split(/\s+/)
        if (groups.has(Number(group)) && !state?.startsWith('Z')) add(samples, Number(group), Number(kibibytes) * 1024)
      }
      done(samples)
    })
  }
}

function add(samples: Map<number, GroupSample>, group: number, rssBytes: number): void {
  const sample = samples.get(group) ?? { rssBytes: 0, processes: 0 }
  sample.rssBytes += rssBytes
  sample.processes++
  samples.set(group, sample)
}

/** Group and resident pages of a process, or undefined if it is gone (or there is no /proc). */
function readStat(procFolder: string, pid: number): { group: number; rssPages: number } | undefined {
  let text: string
  try {
    text = readFileSync(`${procFolder}/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // The command's name is in parentheses and may hold anything: fields are counted from behind it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  // One that has ended and was not waited for holds nothing.
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  return { group: Number(fields[2]), rssPages: Number(fields[21]) }
}
