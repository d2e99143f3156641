// Owns output that went past an executor's own capture: of native code, of child processes, of a dying process.
// Must not grow with a flood: each executor has a budget, which is renewed with each batch.
import type { Clock } from '../../platform/index.ts'
import { type LogLine, limits } from '../../protocol/index.ts'
import { clipText } from '../text.ts'

/** The task such output is put down to: the first of the batch that was sent last. */
export interface RawOwner {
  job: string
  stage: number
  index: number
  attempt: number
}

interface Source {
  owner: RawOwner
  partial: { out: string; err: string }
  bytes: number
  dropped: number
}

export class RawOutput {
  readonly #clock: Clock
  readonly #log: (lines: LogLine[]) => void
  readonly #sources = new Map<number, Source>()

  constructor(clock: Clock, log: (lines: LogLine[]) => void) {
    this.#clock = clock
    this.#log = log
  }

  /** The executor runs this from now on. */
  runs(executor: number, owner: RawOwner): void {
    const source = this.#sources.get(executor)
    if (source) {
      if (source.dropped > 0) this.#tellDropped(source)
      source.owner = owner
      source.bytes = 0
    } else this.#sources.set(executor, { owner, partial: { out: '', err: '' }, bytes: 0, dropped: 0 })
  }

  text(executor: number, stream: 'out' | 'err', text: string): void {
    const source = this.#sources.get(executor)
    if (!source) return
    if (source.bytes + text.length > limits.logBytesPerAttemptMax) {
      source.dropped += text.length
      return
    }
    source.bytes += text.length
    const parts = (source.partial[stream] + text).split('\n')
    const rest = parts.pop()!
    source.partial[stream] = rest.length > limits.logLineBytesMax ? '' : rest
    if (rest.length > limits.logLineBytesMax) parts.push(rest)
    if (parts.length > 0) this.#log(parts.map(part => this.#line(source, stream, part)))
  }

  /** The executor has ended. */
  ended(executor: number): void {
    const source = this.#sources.get(executor)
    this.#sources.delete(executor)
    if (source) this.#flushSource(source)
  }

  /** Unfinished lines are lines now. */
  flush(): void {
    for (const source of this.#sources.values()) this.#flushSource(source)
  }

  #flushSource(source: Source): void {
    for (const stream of ['out', 'err'] as const) {
      if (source.partial[stream]) this.#log([this.#line(source, stream, source.partial[stream])])
      source.partial[stream] = ''
    }
    if (source.dropped > 0) this.#tellDropped(source)
  }

  #tellDropped(source: Source): void {
    this.#log([this.#line(source, 'system', `${source.dropped} bytes of its direct output were dropped.`)])
    source.dropped = 0
  }

  #line(source: Source, stream: LogLine['stream'], text: string): LogLine {
    return { ...source.owner, stream, atMs: this.#clock.wallMs(), text: clipText(text, limits.logLineBytesMax) }
  }
}
