// Owns those who read logs through the leader: what was written, then what is being written, as fast as they take it.
// Must not hold more than a named number of lines for a slow reader.
import type { Clock } from '../../platform/index.ts'
import type { JobId, LogLine } from '../../protocol/index.ts'
import type { LogStore } from './store.ts'

const batchLinesMax = 500
/** Lines that wait for a slow reader; what comes beyond is dropped and counted. */
const waitingLinesMax = 2_000
/** Lines that follow are sent together, this long after the first of them. */
const sendAfterMs = 50
/** While the connection has so many bytes to send, readers wait. */
const connectionBytesMax = 4 << 20

export interface ReadRequest {
  request: number
  job: JobId
  stage?: number | undefined
  index?: number | undefined
  follow: boolean
}

interface Reader extends ReadRequest {
  waiting: LogLine[]
  dropped: number
  /** What is in the file has been sent. */
  live: boolean
  timer: boolean
}

/** What readers need of the connection to the leader. */
export interface LogOutlet {
  send(request: number, lines: LogLine[], dropped: number, ended: boolean): void
  bufferedBytes(): number
}

export class LogReaders {
  readonly #store: LogStore
  readonly #clock: Clock
  readonly #outlet: LogOutlet
  readonly #readers = new Map<number, Reader>()

  constructor(store: LogStore, clock: Clock, outlet: LogOutlet) {
    this.#store = store
    this.#clock = clock
    this.#outlet = outlet
  }

  /** Sends what there is, then, if asked, what comes. */
  async read(request: ReadRequest): Promise<void> {
    const reader: Reader = { ...request, waiting: [], dropped: 0, live: false, timer: false }
    this.#readers.set(request.request, reader)
    try {
      for await (const lines of this.#store.read(request.job, request.stage, request.index, batchLinesMax)) {
        await this.#room()
        if (this.#readers.get(request.request) !== reader) return
        this.#outlet.send(request.request, lines, 0, false)
      }
    } catch {
      reader.dropped++
    }
    if (this.#readers.get(request.request) !== reader) return
    reader.live = true
    if (reader.follow) this.#sendLater(reader)
    else this.#end(reader)
  }

  /** Lines were written: those who follow get them. */
  written(lines: readonly LogLine[]): void {
    for (const reader of this.#readers.values()) {
      if (!reader.follow) continue
      for (const line of lines) if (concerns(reader, line)) this.#add(reader, line)
      if (reader.live && reader.waiting.length > 0) this.#sendLater(reader)
    }
  }

  #add(reader: Reader, line: LogLine): void {
    if (reader.waiting.length < waitingLinesMax) reader.waiting.push(line)
    else reader.dropped++
  }

  #sendLater(reader: Reader): void {
    if (reader.timer) return
    reader.timer = true
    this.#clock.timer(sendAfterMs, () => {
      reader.timer = false
      if (this.#readers.get(reader.request) !== reader) return
      if (this.#outlet.bufferedBytes() > connectionBytesMax) {
        this.#sendLater(reader)
        return
      }
      if (reader.waiting.length === 0 && reader.dropped === 0) return
      this.#outlet.send(reader.request, reader.waiting.splice(0, batchLinesMax), reader.dropped, false)
      reader.dropped = 0
      if (reader.waiting.length > 0) this.#sendLater(reader)
    })
  }

  async #room(): Promise<void> {
    while (this.#outlet.bufferedBytes() > connectionBytesMax) {
      await new Promise<void>(resolve => {
        this.#clock.timer(sendAfterMs, resolve)
      })
    }
  }

  /** Nothing more is to be waited for: what was written up to now is sent, and the end told. */
  unfollow(request: number): void {
    const reader = this.#readers.get(request)
    if (!reader) return
    reader.follow = false
    // One that is still reading the file ends there, with what came meanwhile.
    if (reader.live) this.#end(reader)
  }

  #end(reader: Reader): void {
    this.#readers.delete(reader.request)
    while (reader.waiting.length > batchLinesMax) this.#outlet.send(reader.request, reader.waiting.splice(0, batchLinesMax), 0, false)
    this.#outlet.send(reader.request, reader.waiting, reader.dropped, true)
  }

  /** The connection is gone, and with it all who read through it. */
  clear(): void {
    this.#readers.clear()
  }
}

function concerns(reader: Reader, line: LogLine): boolean {
  if (reader.job !== line.job) return false
  return (reader.stage === undefined || reader.stage === line.stage) && (reader.index === undefined || reader.index === line.index)
}
