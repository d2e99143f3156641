// Owns reading logs: a client's question goes to all connected workers, their lines come back to it.
// Must not keep lines.
import type { ClientToLeader, LogLine, WorkerToLeader } from '../protocol/index.ts'
import type { ClientLink, Links, WorkerLink } from './links.ts'

/** Questions about logs that are open at the same time, over all clients. */
export const readingsMax = 1000
/** Bytes that may wait for a reader; while there are more its lines are counted and dropped. */
export const readerBytesMax = 8 << 20

type Question = Extract<ClientToLeader, { kind: 'readLogs' }>

interface Reading {
  link: ClientLink
  question: Question
  /** Workers that have not said that they are done. */
  waiting: Set<WorkerLink>
  /** Lines that were dropped since it was last sent any. */
  dropped: number
  /** Lines that each worker has sent so far, and of those that it sends again after a reconnect how many are still to be left out. */
  taken: Map<string, { lines: number; repeated: number }>
}

export class LogReadings {
  readonly #links: Links
  readonly #readings = new Map<number, Reading>()
  #next = 1

  constructor(links: Links) {
    this.#links = links
  }

  /** Asks all workers. False: there are too many readers. */
  start(link: ClientLink, question: Question): boolean {
    if (this.#readings.size >= readingsMax) return false
    const number = this.#next++
    const reading: Reading = { link, question, waiting: new Set(), dropped: 0, taken: new Map() }
    this.#readings.set(number, reading)
    for (const worker of this.#links.workers.values()) this.#ask(number, reading, worker)
    this.#endIfDone(number, reading)
    return true
  }

  #ask(number: number, reading: Reading, worker: WorkerLink): void {
    const { job, stage, index, follow } = reading.question
    const before = reading.taken.get(worker.id)?.lines ?? 0
    reading.taken.set(worker.id, { lines: 0, repeated: before })
    reading.waiting.add(worker)
    worker.send({ kind: 'readLogs', request: number, job, stage, index, follow })
  }

  /** Nobody is left to answer. Who follows goes on until it wants no more: any worker may come and run what is followed. */
  #endIfDone(number: number, reading: Reading): void {
    if (reading.waiting.size > 0 || reading.question.follow) return
    this.#readings.delete(number)
    const { link, question, dropped } = reading
    link.send({ kind: 'logLines', request: question.request, lines: [], dropped, ended: true })
  }

  /** The job is over and nothing more will be written: who follows it is sent the rest, and the end. */
  jobEnded(job: string): void {
    for (const [number, reading] of this.#readings) {
      if (reading.question.job !== job || !reading.question.follow) continue
      reading.question = { ...reading.question, follow: false }
      for (const worker of reading.waiting) worker.send({ kind: 'unfollow', request: number })
      this.#endIfDone(number, reading)
    }
  }

  /** The client wants no more. */
  stop(link: ClientLink, request: number | undefined): void {
    for (const [number, reading] of this.#readings) {
      if (reading.link !== link || (request !== undefined && reading.question.request !== request)) continue
      this.#readings.delete(number)
      for (const worker of reading.waiting) worker.send({ kind: 'unfollow', request: number })
    }
  }

  lines(worker: WorkerLink, message: Extract<WorkerToLeader, { kind: 'logLines' }>): void {
    const reading = this.#readings.get(message.request)
    const taken = reading?.taken.get(worker.id)
    if (!reading || !taken) return worker.send({ kind: 'unfollow', request: message.request })
    const repeated = Math.min(message.lines.length, taken.repeated)
    taken.repeated -= repeated
    taken.lines += message.lines.length
    this.#forward(reading, message.lines.slice(repeated), message.dropped)
    if (!message.ended) return
    reading.waiting.delete(worker)
    this.#endIfDone(message.request, reading)
  }

  #forward(reading: Reading, lines: LogLine[], dropped: number): void {
    const { link, question } = reading
    reading.dropped += dropped
    if (link.connection.bufferedBytes > readerBytesMax) reading.dropped += lines.length
    else if (lines.length > 0 || reading.dropped > 0) {
      link.send({ kind: 'logLines', request: question.request, lines, dropped: reading.dropped, ended: false })
      reading.dropped = 0
    }
  }

  /** A worker registered: it may run what is followed. */
  workerCame(worker: WorkerLink): void {
    for (const [number, reading] of this.#readings) if (reading.question.follow) this.#ask(number, reading, worker)
  }

  /** A worker is gone: nobody waits for it any longer. */
  workerGone(worker: WorkerLink): void {
    for (const [number, reading] of this.#readings) if (reading.waiting.delete(worker)) this.#endIfDone(number, reading)
  }
}
