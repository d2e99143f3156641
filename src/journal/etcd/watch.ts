// Owns one watch: opened again at another member where its connection ends, from the revision behind the last one told; whole revisions, once, in order.
// Must not know what the keys mean, or read anything but the watch.
import { EtcdError, type WatchEvent, type WatchHandlers } from './api.ts'
import { cancelledWatch, etcdErrorOf, isTokenRefused } from './faults.ts'
import { answerBytesMax } from './grpc.ts'
import { GrpcError } from './grpc-messages.ts'
import { decodeWatch, encodeWatch, type WatchMessage } from './member-messages.ts'
import { type Members, type OpenStream, pauseMs } from './members.ts'
import { ProtobufError } from './protobuf.ts'

const path = '/etcdserverpb.Watch/Watch'
/** Refusals in a row that may pass by themselves, or with a new token, before the watch is ended for good. */
const refusalsMax = 3
/** What an event takes beside its key and value, generously. */
const eventBytes = 100

/** One watch, from its start to its end. */
export class Watch {
  readonly #members: Members
  readonly #prefix: string
  readonly #range: { key: string; end?: string }
  readonly #handlers: WatchHandlers
  #from: number
  /** Events of a revision of which more may come. */
  #held: WatchEvent[] = []
  #heldBytes = 0
  #open: OpenStream | undefined
  /** Counts connections: what an earlier one still says is not heard. */
  #turn = 0
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #refusals = 0
  #ended = false

  constructor(members: Members, prefix: string, range: { key: string; end?: string; from: number }, handlers: WatchHandlers) {
    this.#members = members
    this.#prefix = prefix
    this.#range = range
    this.#from = range.from
    this.#handlers = handlers
    void this.#connect()
  }

  /** Ends it; nothing is told any more. */
  stop(): void {
    this.#ended = true
    this.#turn++
    this.#leave()
  }

  /** Ends it and says why. */
  end(error: EtcdError): void {
    if (this.#ended) return
    this.stop()
    this.#handlers.ended(error)
  }

  get ended(): boolean {
    return this.#ended
  }

  #leave(): void {
    clearTimeout(this.#timer)
    this.#open?.exchange?.abandon()
    this.#open = undefined
    this.#held = []
    this.#heldBytes = 0
  }

  async #connect(): Promise<void> {
    const turn = ++this.#turn
    const current = (): boolean => turn === this.#turn && !this.#ended
    try {
      const open = await this.#members.stream(path, {
        message: bytes => {
          if (current()) this.#take(bytes)
        },
        ended: error => {
          if (current()) this.#again(error ?? new GrpcError('lost', 'the member ended the watch'))
        },
      })
      if (!current()) return open.exchange?.abandon()
      this.#open = open
      open.exchange?.send(encodeWatch(this.#prefix, { ...this.#range, from: this.#from }), false)
      this.#timer = setTimeout(() => {
        if (current()) this.#again(new GrpcError('lost', `${open.channel.endpoint} did not begin the watch`))
      }, this.#members.callWithinMs).unref()
    } catch (error) {
      if (current()) this.#again(error)
    }
  }

  /** The connection failed: at another member, after a pause. */
  #again(error: unknown): void {
    const fault = etcdErrorOf(error, 'nothing')
    const open = this.#open
    this.#turn++
    this.#leave()
    if (this.#members.closed) return this.end(new EtcdError('closed', 'the connection to etcd was closed'))
    const tokenRefused = isTokenRefused(fault.message)
    if (tokenRefused && open !== undefined) this.#members.tokenRefused(open.token)
    const mayPass = fault.kind === 'unavailable' || fault.kind === 'unknown'
    if (!mayPass && ((!tokenRefused && fault.kind !== 'invalid') || ++this.#refusals >= refusalsMax)) return this.end(fault)
    if (mayPass && open !== undefined) this.#members.rest(open.channel, fault.message)
    this.#members.log('warn', 'etcd-watch-broken', { from: this.#from, why: fault.message })
    this.#timer = setTimeout(() => void this.#connect(), pauseMs(++this.#failures)).unref()
  }

  #take(bytes: Buffer): void {
    let message: WatchMessage
    try {
      message = decodeWatch(this.#prefix, bytes)
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error
      return this.#again(new GrpcError('malformed', error.message))
    }
    if (message.compactRevision > 0) {
      this.stop()
      return this.#handlers.compacted(message.compactRevision)
    }
    if (message.cancelled) return this.#cancelled(message.cancelReason)
    if (message.created) return this.#created(message.revision)
    if (message.events.length > 0) return this.#tell(message)
    // Word of how far the member is: all up to there was told, unless half of a revision waits for its rest.
    if (this.#held.length > 0) return
    this.#refusals = 0
    this.#from = Math.max(this.#from, message.revision + 1)
  }

  #created(revision: number): void {
    clearTimeout(this.#timer)
    this.#failures = 0
    if (this.#open !== undefined) this.#members.answered(this.#open.channel)
    if (this.#from === 0) this.#from = revision + 1
  }

  #cancelled(reason: string): void {
    const fault = cancelledWatch(reason)
    if (fault.kind === 'unavailable' || isTokenRefused(reason)) this.#again(fault)
    else this.end(fault)
  }

  /** Tells whole revisions. The last one of a piece may go on in the next piece. */
  #tell(message: WatchMessage): void {
    for (const event of message.events) {
      const first = this.#held[0]
      if (first !== undefined && first.modRevision !== event.modRevision) this.#tellHeld()
      if (this.#ended) return
      if (event.modRevision < this.#from) continue
      this.#held.push(event)
      this.#heldBytes += event.key.length + event.value.length + eventBytes
      if (this.#heldBytes > answerBytesMax)
        return this.end(new EtcdError('tooLarge', `etcd: the revision ${event.modRevision} has more changes than can be held`))
    }
    if (!message.fragment) this.#tellHeld()
  }

  #tellHeld(): void {
    const events = this.#held
    const revision = events[0]?.modRevision
    if (revision === undefined) return
    this.#held = []
    this.#heldBytes = 0
    this.#refusals = 0
    this.#from = revision + 1
    this.#handlers.events(events, revision)
  }
}
