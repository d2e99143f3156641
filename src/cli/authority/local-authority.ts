// Owns signing on a candidate, with the keys that lie in its folder. Must not decide who gets a certificate: the leader does.

import type { NewAuthority } from '../../core/index.ts'
import type { Authority, Founding } from '../../leader/index.ts'
import { CoxswainError, type NodeName } from '../../protocol/index.ts'
import type { NodeFolder } from './folder.ts'
import type { NodeKeeper } from './keeper.ts'
import { newToken } from './token.ts'
import { lifetimeDefaultMs, loadX509, makeAuthority, type SignedCertificate, signRequest } from './x509.ts'

/** The authority of a candidate. */
export class LocalAuthority implements Authority {
  readonly #folder: NodeFolder
  readonly #keeper: NodeKeeper
  readonly #wallMs: () => number
  readonly #lifetimeMs: number

  constructor(folder: NodeFolder, keeper: NodeKeeper, wallMs: () => number, lifetimeMs: number = lifetimeDefaultMs) {
    this.#folder = folder
    this.#keeper = keeper
    this.#wallMs = wallMs
    this.#lifetimeMs = lifetimeMs
  }

  /** Loads what signing needs: a leader that did so when it first signs would stand still for that long. */
  async prepare(): Promise<void> {
    await loadX509()
  }

  keys(): readonly string[] {
    return this.#folder.authorityKeys()
  }

  key(authority: string): string {
    return this.#folder.authorityKey(authority)
  }

  sign(authority: string, csr: Uint8Array, node: NodeName): Promise<SignedCertificate> {
    const certificate = this.#keeper.authority(authority)
    if (!certificate || !this.keys().includes(authority))
      throw new CoxswainError('UNAVAILABLE', 'This candidate does not have the key of the authority that signs.', { retryAfterMs: 5000 })
    return signRequest({ certificate, key: this.key(authority) }, csr, node, this.#wallMs(), this.#lifetimeMs)
  }

  newToken(): ReturnType<typeof newToken> {
    return newToken()
  }

  async make(cluster: string): Promise<NewAuthority> {
    const { authority, certificate, key, expiresAtMs } = await makeAuthority(cluster, this.#wallMs())
    await this.#folder.writeAuthorityKey(authority, key)
    return { authority, certificate, expiresAtMs }
  }

  /** What the first leader takes into the journal, on the machine that founded the cluster. */
  founding(): Founding | undefined {
    const kept = this.#folder.founding<FoundingFile>()
    return kept && { ...kept, authority: { ...kept.authority, certificate: Buffer.from(kept.authority.certificate, 'base64') } }
  }
}

/** As it is kept: bytes in base64. */
export type FoundingFile = Omit<Founding, 'authority'> & { authority: { authority: string; certificate: string; expiresAtMs: number } }
