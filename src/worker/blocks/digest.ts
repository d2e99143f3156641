// Owns the hash of a block on its way in: made here while it is small, in a thread of its own where it is large, beside sockets and disk.
// Must not keep the bytes, nor the process alive.
import { createHash, type Hash } from 'node:crypto'
import { Worker } from 'node:worker_threads'

/** From this size on a thread is worth its start; hashing is most of what a large block costs its receiver. */
const threadBytesMin = 8 << 20
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

/** What the thread is told: bytes of a digest; without them, that it is complete or given up. */
export interface DigestOrder {
  digest: number
  bytes?: Uint8Array
  end?: 'complete' | 'given up'
}

/** A hash that grows. */
export interface Digest {
  /** The bytes must not be changed before this resolves. */
  update(bytes: Uint8Array): Promise<void>
  /** In hexadecimal. */
  complete(): Promise<string>
  /** It is not needed any more. Harmless after its end. */
  giveUp(): void
  /** Memory for bytes to hash. */
  allocate(bytes: number): Uint8Array
}

class LocalDigest implements Digest {
  readonly #hash: Hash = createHash('sha256')

  async update(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes)
  }

  async complete(): Promise<string> {
    return this.#hash.digest('hex')
  }

  giveUp(): void {}

  allocate(bytes: number): Uint8Array {
    return Buffer.allocUnsafeSlow(bytes)
  }
}

/** The thread, and who waits for its answers: it gives them in order. */
class DigestThread {
  readonly #worker = new Worker(new URL(`./digest-thread${extension}`, import.meta.url), { execArgv: [] })
  readonly #waiting: PromiseWithResolvers<string>[] = []
  #failure: Error | undefined

  constructor(failed: () => void) {
    const fail = (error: Error): void => {
      failed()
      this.#failure = error
      for (const one of this.#waiting.splice(0)) one.reject(error)
    }
    this.#worker.on('message', (answer: string) => this.#waiting.shift()?.resolve(answer))
    this.#worker.on('error', fail)
    this.#worker.on('exit', code => fail(new Error(`the hashing thread ended with ${code}`)))
    // Listening to its messages would keep the process alive again.
    this.#worker.unref()
  }

  ask(order: DigestOrder): Promise<string> {
    if (this.#failure) return Promise.reject(this.#failure)
    const answer = Promise.withResolvers<string>()
    this.#waiting.push(answer)
    this.#worker.postMessage(order)
    return answer.promise
  }
}

let thread: DigestThread | undefined
let digests = 0

class DistantDigest implements Digest {
  readonly #digest = digests++
  readonly #thread: DigestThread

  constructor() {
    thread ??= new DigestThread(() => {
      thread = undefined
    })
    this.#thread = thread
  }

  async update(bytes: Uint8Array): Promise<void> {
    await this.#thread.ask({ digest: this.#digest, bytes })
  }

  complete(): Promise<string> {
    return this.#thread.ask({ digest: this.#digest, end: 'complete' })
  }

  giveUp(): void {
    this.#thread.ask({ digest: this.#digest, end: 'given up' }).catch(() => undefined)
  }

  allocate(bytes: number): Uint8Array {
    // Both threads look at it, so nothing is copied.
    return new Uint8Array(new SharedArrayBuffer(bytes))
  }
}

/** A new SHA-256, for about so many bytes. */
export function newDigest(bytesExpected: number): Digest {
  return bytesExpected < threadBytesMin ? new LocalDigest() : new DistantDigest()
}
