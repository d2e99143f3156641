// Owns reading logs: a client's question goes to all connected workers, their lines come back to it.
// Must not keep lines.
import type { ClientToLeader, WorkerToLeader } from '../protocol/index.ts'
import type { ClientLink, Links, WorkerLink } from './links.ts'

interface Reading {
  link: ClientLink
  request: number
  /** Workers that have not said that they are done. */
  waiting: Set<WorkerLink>
}

export class LogReadings {
  readonly #links: Links
  readonly #readings = new Map<number, Reading>()
  #next = 1

  constructor(links: Links) {
    this.#links = links
  }

  start(link: ClientLink, message: Extract<ClientToLeader, { kind: 'readLogs' }>): void {
    const number = this.#next++
    const waiting = new Set([...this.#links.workers.values()].filter(worker => worker.incarnation > 0))
    const { request, job, stage, index, follow } = message
    if (waiting.size === 0) return link.send({ kind: 'logLines', request, lines: [], dropped: 0, ended: true })
    this.#readings.set(number, { link, request, waiting })
    for (const worker of waiting) worker.send({ kind: 'readLogs', request: number, job, stage, index, follow })
  }

  /** The client wants no more. */
  stop(link: ClientLink, request: number | undefined): void {
    for (const [number, reading] of this.#readings) {
      if (reading.link !== link || (request !== undefined && reading.request !== request)) continue
      this.#readings.delete(number)
      for (const worker of reading.waiting) worker.send({ kind: 'unfollow', request: number })
    }
  }

  lines(worker: WorkerLink, message: Extract<WorkerToLeader, { kind: 'logLines' }>): void {
    const reading = this.#readings.get(message.request)
    if (!reading) return worker.send({ kind: 'unfollow', request: message.request })
    if (message.ended) reading.waiting.delete(worker)
    const ended = reading.waiting.size === 0
    if (message.lines.length > 0 || message.dropped > 0 || ended) {
      reading.link.send({ kind: 'logLines', request: reading.request, lines: message.lines, dropped: message.dropped, ended })
    }
    if (ended) this.#readings.delete(message.request)
  }

  /** A worker is gone: nobody waits for it any longer. */
  workerGone(worker: WorkerLink): void {
    for (const [number, reading] of this.#readings) {
      if (reading.waiting.has(worker)) this.lines(worker, { kind: 'logLines', request: number, lines: [], dropped: 0, ended: true })
    }
  }
}
