// Owns how the end of a job is told: that of a workflow with its result where it is small, many of them in one message.
// Must not look into a result.
import { type Job, outputOf, type Piece, partOf, reasonOf } from '../core/index.ts'
import { Chunk, ChunkWriter, CoxswainError, type LeaderToClient, limits } from '../protocol/index.ts'
import type { ClientLink, Links } from './links.ts'
import type { Payloads } from './payloads.ts'

type FlowEnd = Extract<LeaderToClient, { kind: 'workflowsEnded' }>['ends'][number]

/** A larger result is not told with the end: the client asks for it. */
const resultBytesMax = limits.inlineBytesMax
const resultTasksMax = 1000
/** Results in one message; one may pass it. */
const messageBytesMax = limits.chunkBytesMax

/** Where the result of a workflow is. */
export interface FlowResult {
  job: string
  list: boolean
  pieces: Piece[]
}

/** Where the result of a workflow is that succeeded, if it may be told with the end; undefined for any other job. */
export function resultOf(job: Job): FlowResult | undefined {
  const output = job.state === 'succeeded' && job.flow ? outputOf(job, job.flow) : undefined
  if (!output || output.count > resultTasksMax) return undefined
  const pieces: Piece[] = []
  let bytes = 0
  for (const segment of job.stages[output.stage]!.results.overlapping(output.first, output.count)) {
    const piece = partOf(segment, output.first, output.count)
    pieces.push(piece)
    bytes += (segment.bytes / segment.count) * piece.count
  }
  return bytes > resultBytesMax ? undefined : { job: job.plan.job, list: output.list, pieces }
}

function endOf({ job, list }: FlowResult, chunks: readonly Uint8Array[]): FlowEnd {
  if (chunks.length === 1) return { job, list, items: chunks[0]! }
  const writer = new ChunkWriter()
  for (const chunk of chunks.map(bytes => new Chunk(bytes))) for (const item of chunk.items(0, chunk.count)) writer.add(item)
  return { job, list, items: writer.finish() }
}

/** The end of a workflow with its result, read from the store where needed; undefined where the result is not kept any more. */
export async function readEnd(payloads: Payloads, result: FlowResult): Promise<FlowEnd | undefined> {
  const chunks: Uint8Array[] = []
  try {
    for (const piece of result.pieces) chunks.push(await payloads.readPiece(piece, () => false))
  } catch (error) {
    if (error instanceof CoxswainError && error.code === 'RESULT_GONE') return undefined
    throw error
  }
  return endOf(result, chunks)
}

/** Tells a client how workflows ended; it watches none of them any more. */
export function sendEnds(links: Links, link: ClientLink, ends: FlowEnd[]): void {
  link.send({ kind: 'workflowsEnded', ends })
  for (const { job } of ends) links.unwatch(link, job)
}

/** Ends that became durable together. */
export class Ends {
  readonly #links: Links
  readonly #payloads: Payloads
  readonly #waiting = new Map<ClientLink, FlowEnd[]>()

  constructor(links: Links, payloads: Payloads) {
    this.#links = links
    this.#payloads = payloads
  }

  /** What tells those who watch a job since before this index of the journal that it has ended; to be called once that is durable. */
  end(job: Job, index: number): () => void {
    const id = job.plan.job
    if (job.state === 'running') throw new Error(`job ${id} has not ended`)
    const message = { kind: 'jobChanged' as const, job: id, state: job.state, reason: reasonOf(job) }
    const result = resultOf(job)
    return () => {
      for (const link of this.#links.watchers(id) ?? []) {
        if (link.watched.get(id)! >= index) continue
        const past = link.catchingUp.get(id)
        if (past) past.end = message
        else if (!result || !this.#add(link, result)) link.send(message)
      }
    }
  }

  /** The end is told with the next `flush`. False if the result is not in memory any more: then the client asks for it. */
  #add(link: ClientLink, result: FlowResult): boolean {
    const chunks = result.pieces.map(piece => this.#payloads.cachedPiece(piece))
    if (chunks.includes(undefined)) return false
    const ends = this.#waiting.get(link)
    const end = endOf(result, chunks as Uint8Array[])
    if (ends) ends.push(end)
    else this.#waiting.set(link, [end])
    return true
  }

  flush(): void {
    if (this.#waiting.size === 0) return
    for (const [link, ends] of this.#waiting) for (const part of inMessages(ends)) sendEnds(this.#links, link, part)
    this.#waiting.clear()
  }
}

function* inMessages(ends: readonly FlowEnd[]): Generator<FlowEnd[]> {
  let part: FlowEnd[] = []
  let bytes = 0
  for (const end of ends) {
    if (part.length > 0 && (bytes + end.items.length > messageBytesMax || part.length === limits.submitJobsMax)) {
      yield part
      part = []
      bytes = 0
    }
    part.push(end)
    bytes += end.items.length
  }
  yield part
}
