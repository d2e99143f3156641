// Owns what is remembered of those who come without having proved who they are: by address, how many there are and how often they failed.
// Must not know requests, and must not remember without a limit.
import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { ListenLimits } from './limits.ts'

/** What the same wrong credential costs again, or none at all: whoever is wrongly set up does not lock out its neighbours, whoever guesses locks out itself. */
const againCost = 0.1
/** Wrong credentials that are known again, per address. */
const digestsMax = 16

/** What is left to an address. */
interface Account {
  left: number
  atMs: number
  digests: string[]
}

/** An address as those are counted who share it: IPv6 hands out whole networks of /64 to everyone. */
export function addressKey(remote: string): string {
  const plain = remote.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!isIPv6(plain)) return plain
  const [front = '', back] = plain.split('::')
  const groups = front.split(':').filter(Boolean)
  const behind = back?.split(':').filter(Boolean) ?? []
  while (back !== undefined && groups.length + behind.length < 8) groups.push('0')
  return `${[...groups, ...behind].slice(0, 4).join(':')}::/64`
}

/** The callers of one port. */
export class Callers {
  readonly #limits: ListenLimits
  readonly #nowMs: () => number
  readonly #unproved = new Map<string, number>()
  readonly #accounts = new Map<string, Account>()

  constructor(limits: ListenLimits, nowMs: () => number) {
    this.#limits = limits
    this.#nowMs = nowMs
  }

  /** A connection came. Undefined: there are too many from there. Else a function to call once it has proved who it is, or has ended. */
  enter(remote: string): (() => void) | undefined {
    const key = addressKey(remote)
    const count = this.#unproved.get(key) ?? 0
    if (count >= this.#limits.unprovedPerAddressMax) return undefined
    this.#unproved.set(key, count + 1)
    let counted = true
    return () => {
      if (!counted) return
      counted = false
      const left = this.#unproved.get(key)! - 1
      if (left === 0) this.#unproved.delete(key)
      else this.#unproved.set(key, left)
    }
  }

  /** In how many seconds a credential from there will be looked at; 0: now. */
  lockedSeconds(remote: string): number {
    const account = this.#accounts.get(addressKey(remote))
    if (!account) return 0
    this.#refill(account)
    return account.left >= 1 ? 0 : Math.ceil((1 - account.left) / this.#limits.failuresPerSecond)
  }

  /** A credential from there was wrong; empty: there was none. */
  failed(remote: string, credential: string): void {
    const key = addressKey(remote)
    const account = this.#accounts.get(key) ?? { left: this.#limits.failuresMax, atMs: this.#nowMs(), digests: [] }
    this.#refill(account)
    const digest = createHash('sha256').update(credential).digest('base64').slice(0, 16)
    const again = credential === '' || account.digests.includes(digest)
    account.left = Math.max(0, account.left - (again ? againCost : 1))
    if (!again) account.digests = [...account.digests, digest].slice(-digestsMax)
    this.#accounts.delete(key)
    this.#accounts.set(key, account)
    if (this.#accounts.size > this.#limits.addressesMax) this.#accounts.delete(this.#accounts.keys().next().value!)
  }

  /** Addresses of which something is remembered. */
  get size(): number {
    return this.#accounts.size + this.#unproved.size
  }

  #refill(account: Account): void {
    const nowMs = this.#nowMs()
    const { failuresMax, failuresPerSecond } = this.#limits
    account.left = Math.min(failuresMax, account.left + ((nowMs - account.atMs) / 1000) * failuresPerSecond)
    account.atMs = nowMs
  }
}
