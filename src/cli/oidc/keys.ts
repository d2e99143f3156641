// Owns the public keys of an identity provider: fetched from its one address, kept for a while, and fetched anew when it signs with another one.
// Must not follow anything that a token says about keys: what a token names is only looked up among those.
import type { JWK } from 'jose'
import { CoxswainError } from '../../protocol/errors.ts'

const answerBytesMax = 256 << 10
const answerMsMax = 5_000
const keysMax = 100
/** Keys are fetched anew after this, and because of a key that is not known no more often than that. */
const keptMs = 10 * 60_000
const againMs = 30_000

const loopback = new Set(['127.0.0.1', 'localhost', '[::1]'])

/** Throws INVALID_ARGUMENT unless keys may be fetched from there: over TLS, or from this machine. */
function checkKeysAddress(address: string): void {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && loopback.has(url.hostname))) return
  throw new CoxswainError('INVALID_ARGUMENT', `The keys of an identity provider are fetched over https only, not from ${address}.`, {
    id: address,
  })
}

/** The keys at one address. */
export class ProviderKeys {
  readonly #address: string
  readonly #nowMs: () => number
  #keys = new Map<string, JWK>()
  #triedAtMs = Number.NEGATIVE_INFINITY
  #fetchedAtMs = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | undefined

  /** `nowMs`: a clock that never goes back. */
  constructor(address: string, nowMs: () => number) {
    checkKeysAddress(address)
    this.#address = address
    this.#nowMs = nowMs
  }

  /** The key of this id, or undefined. Rejects where the provider cannot be asked and nothing is known of the key. */
  async key(id: string): Promise<JWK | undefined> {
    const nowMs = this.#nowMs()
    const isOld = nowMs - this.#fetchedAtMs > keptMs
    if ((isOld || !this.#keys.has(id)) && nowMs - this.#triedAtMs > againMs) {
      this.#triedAtMs = nowMs
      this.#fetching = this.#fetch().finally(() => {
        this.#fetching = undefined
      })
      this.#fetching.catch(() => undefined)
    }
    // Old keys are good enough while the provider does not answer.
    if (!this.#keys.has(id)) await this.#fetching
    return this.#keys.get(id)
  }

  async #fetch(): Promise<void> {
    const response = await fetch(this.#address, { redirect: 'error', signal: AbortSignal.timeout(answerMsMax) })
    if (!response.ok || !response.body) throw new Error(`the provider answered ${response.status}`)
    const pieces: Uint8Array[] = []
    let bytes = 0
    for await (const piece of response.body) {
      bytes += piece.length
      if (bytes > answerBytesMax) throw new Error(`the provider's keys have more than ${answerBytesMax} bytes`)
      pieces.push(piece)
    }
    const { keys } = JSON.parse(Buffer.concat(pieces).toString()) as { keys?: unknown }
    if (!Array.isArray(keys)) throw new Error('the provider gave no keys')
    const known = (keys as JWK[]).filter(key => typeof key?.kid === 'string' && (key.use === undefined || key.use === 'sig'))
    this.#keys = new Map(known.slice(0, keysMax).map(key => [key.kid!, key]))
    this.#fetchedAtMs = this.#nowMs()
  }
}
