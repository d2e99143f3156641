// Owns the token by which etcd knows a user: fetched with the password when it is needed, and anew when etcd refuses it.
// Must not keep the password, or tell it to anybody but etcd.
import { EtcdError } from './api.ts'
import type { Channel } from './grpc.ts'
import { GrpcError } from './grpc-messages.ts'
import { decodeToken, encodeAuthenticate } from './member-messages.ts'

const withinMs = 5_000

/** Of one user, for all members: what one member gave, the others know. */
export class Tokens {
  readonly #user: string
  readonly #password: () => string
  #token: string | undefined
  #fetching: Promise<string> | undefined

  constructor(user: string, password: () => string) {
    this.#user = user
    this.#password = password
  }

  /** The token, which is empty where etcd asks for none. Rejects with a GrpcError that is never `lost`: the call for which it is had not begun. */
  get(channel: Channel): Promise<string> {
    if (this.#token !== undefined) return Promise.resolve(this.#token)
    this.#fetching ??= this.#fetch(channel).finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  /** etcd refused this one. */
  refused(token: string): void {
    // Another call may have fetched a new one since.
    if (this.#token === token) this.#token = undefined
  }

  #request(): Buffer {
    try {
      return encodeAuthenticate(this.#user, this.#password())
    } catch (error) {
      throw new EtcdError('unauthenticated', `etcd: the password of ${this.#user} cannot be had: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }

  async #fetch(channel: Channel): Promise<string> {
    const request = this.#request()
    try {
      const answer = await channel.unary('/etcdserverpb.Auth/Authenticate', request, {}, withinMs)
      const token = decodeToken(answer)
      if (!/^[\x21-\x7e]+$/.test(token)) throw new GrpcError('unsent', 'etcd gave a token that cannot be sent')
      this.#token = token
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      if (!error.message.includes('authentication is not enabled')) {
        if (error.outcome === 'refused') throw error
        throw new GrpcError('unsent', `no token could be had: ${error.message}`)
      }
      this.#token = ''
    }
    return this.#token
  }
}
