// Owns what user code prints and logs: cut into lines, bounded per attempt, on its way to the agent.
// Must not keep more than one message's worth of lines.
import { type LogLine, limits } from '../../../protocol/index.ts'
import { clipText } from '../../text.ts'
import type { Link } from './link.ts'
import { redacted } from './redaction.ts'

/** Lines are sent together once they are this many bytes, or this old. */
const sendBytes = 16 << 10
const sendAfterMs = 50

type Stream = LogLine['stream']

/** What the log of one attempt is named by. */
export interface LogOwner {
  readonly job: string
  readonly stage: number
  readonly index: number
  readonly number: number
}

/** Log of one attempt: its line in the making for each stream, and how much it has written. */
export class AttemptLog {
  readonly owner: LogOwner
  readonly partial: Partial<Record<Stream, string>> = {}
  bytes = 0
  droppedLines = 0
  droppedBytes = 0

  constructor(owner: LogOwner) {
    this.owner = owner
  }
}

export class Output {
  readonly #link: Link
  #lines: LogLine[] = []
  #bytes = 0
  #sentAtMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(link: Link) {
    this.#link = link
  }

  /** Takes text that a stream was given, whole lines or not. */
  text(log: AttemptLog, stream: Stream, text: string): void {
    if (log.bytes >= limits.logBytesPerAttemptMax) {
      log.droppedBytes += text.length
      log.droppedLines++
      return
    }
    let rest = (log.partial[stream] ?? '') + text
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      this.line(log, stream, rest.slice(0, end))
      rest = rest.slice(end + 1)
      if (log.bytes >= limits.logBytesPerAttemptMax) {
        log.droppedBytes += rest.length
        rest = ''
      }
    }
    if (rest.length > limits.logLineBytesMax) {
      this.line(log, stream, rest)
      rest = ''
    }
    log.partial[stream] = rest
  }

  /** Takes one line. */
  line(log: AttemptLog, stream: Stream, text: string): void {
    if (log.bytes >= limits.logBytesPerAttemptMax) {
      log.droppedLines++
      log.droppedBytes += text.length
      return
    }
    const line = clipText(redacted(text), limits.logLineBytesMax)
    log.bytes += line.length + 1
    this.#add(log.owner, stream, line)
  }

  /** The attempt is over: its unfinished lines are lines now, and what was dropped is told. */
  end(log: AttemptLog): void {
    for (const stream of ['out', 'err'] as const) {
      const rest = log.partial[stream]
      if (rest) this.line(log, stream, rest)
      log.partial[stream] = ''
    }
    if (log.droppedLines > 0) {
      this.#add(
        log.owner,
        'system',
        `${log.droppedLines} more lines (${log.droppedBytes} bytes) were dropped: an attempt keeps ${limits.logBytesPerAttemptMax}.`,
      )
      log.droppedLines = 0
      log.droppedBytes = 0
    }
  }

  #add(owner: LogOwner, stream: Stream, text: string): void {
    const atMs = Date.now()
    this.#lines.push({ job: owner.job, stage: owner.stage, index: owner.index, attempt: owner.number, stream, atMs, text })
    this.#bytes += text.length + 32
    if (this.#bytes >= sendBytes || atMs - this.#sentAtMs >= sendAfterMs) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), sendAfterMs)
  }

  /** Sends the lines that wait. */
  flush(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#lines.length === 0) return
    this.#sentAtMs = Date.now()
    this.#link.send({ kind: 'logs', lines: this.#lines, dropped: 0 }, this.#bytes)
    this.#lines = []
    this.#bytes = 0
  }

  /** From now on what is written to stdout and stderr goes to the log that `owner` names; without one it goes where it went before. */
  capture(owner: () => AttemptLog | undefined): void {
    const streams = [
      ['out', process.stdout],
      ['err', process.stderr],
    ] as const
    for (const [stream, target] of streams) {
      const raw = target.write.bind(target)
      const write = (data: string | Uint8Array, encoding?: BufferEncoding | (() => void), done?: () => void): boolean => {
        const log = owner()
        const callback = typeof encoding === 'function' ? encoding : done
        if (!log) return raw(data, callback)
        this.text(log, stream, typeof data === 'string' ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString())
        if (callback) process.nextTick(callback)
        return true
      }
      target.write = write as typeof target.write
    }
  }
}
