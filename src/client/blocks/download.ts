// Owns one block on its way to a client, from one worker after another: what came stays, and the next worker goes on behind it.
// Must not give anyone bytes whose hash was not checked, nor choose workers: blocks.ts does.
import { createHash } from 'node:crypto'
import { type BlockReference, CoxswainError, type WorkerAddress } from '../../protocol/index.ts'
import { download, type Exchange, isHere, NotReadableError, TransferError, transferFailed } from './transfer.ts'

/** `refused`: what gives the right to read is not believed; `absent`: the worker does not have it; `broken`: it may go on from there. */
export type DownloadOutcome = 'complete' | 'corrupt' | 'refused' | 'absent' | 'broken'

export class BlockDownload {
  /** The bytes; they count once an outcome was `complete`. */
  readonly target: Buffer
  readonly #reference: BlockReference
  readonly #apart: Set<string>
  #digest = createHash('sha256')
  #offset = 0
  #corrupt: CoxswainError | undefined
  #last: unknown

  /** `apart`: addresses on this machine whose files cannot be read from here; more are added. */
  constructor(reference: BlockReference, apart: Set<string>) {
    this.#reference = reference
    this.#apart = apart
    this.target = Buffer.allocUnsafeSlow(reference.bytes)
    this.#last = new Error(`its holder ${reference.holder} is not there`)
  }

  /** Why there is nothing to give: BLOCK_CORRUPT, or BLOCK_LOST and the like. */
  get failure(): CoxswainError {
    return this.#corrupt ?? transferFailed(this.#reference.block, 'fetched', this.#last)
  }

  /** Fetches what is missing from this worker. */
  async from({ blocks: address }: WorkerAddress, exchange: Exchange): Promise<DownloadOutcome> {
    const resumed = this.#offset > 0
    try {
      await download(exchange, this.target, this.#offset, isHere(address) && !this.#apart.has(address), piece => {
        this.#digest.update(piece)
        this.#offset += piece.length
      })
    } catch (error) {
      return this.#broken(address, error)
    }
    const { block, holder } = this.#reference
    if (this.#digest.digest('hex') === block) return 'complete'
    this.#digest = createHash('sha256')
    this.#offset = 0
    this.#corrupt ??= new CoxswainError('BLOCK_CORRUPT', `Block ${block} of ${holder} does not match its hash.`, { id: block })
    // Bytes of several workers, or of several tries: nobody knows whose were wrong. It begins anew.
    return resumed ? 'broken' : 'corrupt'
  }

  #broken(address: string, error: unknown): DownloadOutcome {
    if (error instanceof CoxswainError && error.code === 'BLOCK_CORRUPT') {
      this.#corrupt ??= error
      return 'absent'
    }
    if (!(error instanceof TransferError)) throw error
    this.#last = error
    if (error instanceof NotReadableError) this.#apart.add(address)
    const { status } = error
    if (status === 401 || status === 403) return 'refused'
    // It lives and says no: asking again cannot help.
    return status >= 400 && status < 500 && status !== 408 && status !== 429 ? 'absent' : 'broken'
  }
}
