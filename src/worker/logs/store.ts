// Owns the lines that tasks wrote, in one file per job, bounded per job and in all.
// Must not lose lines without counting them, and must not hold up whoever writes.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { appendFile, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Clock } from '../../platform/index.ts'
import type { JobId, LogLine } from '../../protocol/index.ts'

/** Lines are written together, this long after the first of them. */
const writeAfterMs = 200
/** Lines of one job that wait to be written; what comes beyond is dropped and counted. */
const waitingBytesMax = 8 << 20
/** A job's file, and all files of a worker; the oldest go first. */
const jobBytesMax = 64 << 20
const totalBytesMax = 512 << 20

/** Jobs whose files are known, beyond which those with nothing to write are forgotten. */
const jobsKnownMax = 1_000

interface JobLog {
  path: string
  waiting: string[]
  waitingBytes: number
  dropped: number
  timer: boolean
  /** Size of the file after what was last written; each write waits for the one before it. */
  written: Promise<number> | undefined
}

/** The name of a job's file: job ids hold characters that file names should not. */
function fileName(job: JobId): string {
  return `${createHash('sha256').update(job).digest('hex').slice(0, 32)}.jsonl`
}

export class LogStore {
  readonly #folder: string
  readonly #clock: Clock
  readonly #jobs = new Map<JobId, JobLog>()
  #total = 0

  constructor(folder: string, clock: Clock) {
    this.#folder = folder
    this.#clock = clock
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    for (const { bytes } of await this.#files()) this.#total += bytes
    await this.#shrink()
  }

  /** Takes lines of any jobs. */
  append(lines: readonly LogLine[]): void {
    for (const line of lines) {
      const log = this.#log(line.job)
      const { job: _, ...rest } = line
      const text = `${JSON.stringify(rest)}\n`
      if (log.waitingBytes + text.length > waitingBytesMax) {
        log.dropped++
        continue
      }
      log.waiting.push(text)
      log.waitingBytes += text.length
      this.#writeLater(log)
    }
  }

  /** Lines of a job (of a task of it) that are there now, in batches, and how many were dropped. */
  async *read(job: JobId, stage: number | undefined, index: number | undefined, batchLines: number): AsyncGenerator<LogLine[]> {
    const path = join(this.#folder, fileName(job))
    const log = this.#jobs.get(job)
    // What is appended from now on is not read: whoever follows gets it directly.
    const size = log ? await this.#write(log) : await sizeOf(path)
    if (size === 0) return
    let batch: LogLine[] = []
    const input = createReadStream(path, { end: size - 1 })
    for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      const line = readLine(job, text)
      if (!line || (stage !== undefined && line.stage !== stage) || (index !== undefined && line.index !== index)) continue
      batch.push(line)
      if (batch.length < batchLines) continue
      yield batch
      batch = []
    }
    if (batch.length > 0) yield batch
  }

  /** Writes all that waits. */
  async close(): Promise<void> {
    for (const log of this.#jobs.values()) await this.#write(log)
  }

  #log(job: JobId): JobLog {
    let log = this.#jobs.get(job)
    if (!log) {
      log = { path: join(this.#folder, fileName(job)), waiting: [], waitingBytes: 0, dropped: 0, timer: false, written: undefined }
      this.#jobs.set(job, log)
    }
    return log
  }

  #writeLater(log: JobLog): void {
    if (log.timer) return
    log.timer = true
    this.#clock.timer(writeAfterMs, () => {
      log.timer = false
      void this.#write(log).then(() => this.#forgetQuiet())
    })
  }

  /** Writes what waits for one job; resolves to the size of its file after that. */
  #write(log: JobLog): Promise<number> {
    const { waiting, waitingBytes, dropped } = log
    if (waiting.length === 0) return log.written ?? sizeOf(log.path)
    log.waiting = []
    log.waitingBytes = 0
    log.dropped = 0
    if (dropped > 0) waiting.push(droppedLine(dropped))
    log.written = (log.written ?? sizeOf(log.path)).then(size => this.#append(log, waiting, waitingBytes, size))
    return log.written
  }

  /** A disk that refuses costs lines, never the worker. */
  async #append(log: JobLog, lines: string[], bytes: number, size: number): Promise<number> {
    if (size + bytes > jobBytesMax) {
      log.dropped += lines.length
      return size
    }
    try {
      await appendFile(log.path, lines.join(''), { mode: 0o600 })
    } catch {
      log.dropped += lines.length
    }
    const after = await sizeOf(log.path)
    this.#total += after - size
    if (this.#total > totalBytesMax) await this.#shrink()
    return after
  }

  #forgetQuiet(): void {
    if (this.#jobs.size <= jobsKnownMax) return
    for (const [job, log] of this.#jobs) {
      if (log.waiting.length === 0 && log.dropped === 0) this.#jobs.delete(job)
      if (this.#jobs.size <= jobsKnownMax / 2) return
    }
  }

  async #files(): Promise<{ name: string; bytes: number; changedMs: number }[]> {
    const files: { name: string; bytes: number; changedMs: number }[] = []
    for (const name of await readdir(this.#folder)) {
      const found = await stat(join(this.#folder, name)).catch(() => undefined)
      if (found) files.push({ name, bytes: found.size, changedMs: found.mtimeMs })
    }
    return files.sort((a, b) => a.changedMs - b.changedMs)
  }

  /** Removes the files that were not written to for longest, until there is room again. */
  async #shrink(): Promise<void> {
    const files = await this.#files()
    this.#total = files.reduce((bytes, file) => bytes + file.bytes, 0)
    for (const file of files) {
      if (this.#total <= totalBytesMax * 0.9) break
      await rm(join(this.#folder, file.name), { force: true })
      this.#total -= file.bytes
      for (const [job, log] of this.#jobs) if (log.path.endsWith(file.name)) this.#jobs.delete(job)
    }
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0
}

function droppedLine(count: number): string {
  return `${JSON.stringify({ stage: 0, index: 0, attempt: 0, stream: 'system', atMs: 0, text: `${count} lines of this job were dropped.` })}\n`
}

function readLine(job: JobId, text: string): LogLine | undefined {
  try {
    return { job, ...(JSON.parse(text) as Omit<LogLine, 'job'>) }
  } catch {
    // The last line of a file whose writer was killed.
    return undefined
  }
}
