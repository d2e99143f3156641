// Owns the identity of a running node of several machines: what it proves itself with, whom it believes, and that both are renewed in time without a restart.
// Must not log a key, and must not go on with a certificate that is not for this node.
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import type { PeerCertificate, Platform } from '../../platform/index.ts'
import type { Identity, Security } from '../../platform/node/index.ts'
import { CoxswainError, type NodeDown, type NodeIdentity, type NodeUp, nodeOfUris } from '../../protocol/index.ts'
import type { NodeFile, NodeFolder, TrustFile } from './folder.ts'
import { fingerprintOf, makeRequest, pemOf, readCertificate, type SigningRequest, skewMsMax } from './x509.ts'

/** A certificate is renewed when so much of its time is over, less a little by chance: not all at once. */
const renewShare = 2 / 3
const jitterShare = 0.05
/** Clocks may be set while it waits. */
const lookMsMax = 3_600_000
/** After a renewal that failed, or was not answered. */
const retryMsMin = 10_000
const retryMsMax = 600_000
/** Another authority signs: nodes come one after the other. */
const spreadMs = 5_000

type Asked = Extract<NodeDown, { kind: 'certificate' }>

/** What it works with. */
export type KeeperPlatform = Pick<Platform, 'clock' | 'random' | 'log'>

interface Proof {
  key: string
  /** The node's own and the authority's, PEM. */
  certificate: string
  serial: string
  authority: string
  issuedMs: number
  expiresAtMs: number
}

function certificatesIn(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
}

function proofOf({ key, certificate }: { key: string; certificate: string }): Proof {
  const [own = '', issuer = ''] = certificatesIn(certificate)
  const { serial, validFromMs, expiresAtMs } = readCertificate(own)
  const authority = fingerprintOf(new X509Certificate(issuer).raw)
  return { key, certificate, serial, authority, issuedMs: validFromMs + skewMsMax, expiresAtMs }
}

/** One for each node process; `start` it once. */
export class NodeKeeper implements Security, NodeIdentity {
  readonly node: NodeFile
  readonly #folder: NodeFolder
  readonly #platform: KeeperPlatform
  readonly #listeners = new Set<() => void>()
  #proof: Proof
  #trust: TrustFile
  #believed: readonly string[] = []
  #revoked = new Set<string>()
  #send: ((message: NodeUp) => void) | undefined
  /** The key for which a certificate was asked. */
  #pending: SigningRequest | undefined
  #failures = 0
  #cancel = (): void => undefined
  /** What is told is taken in one after the other. */
  #tail: Promise<void> = Promise.resolve()

  /** Throws STATE_FOLDER_UNUSABLE where a key can be read by others, NOT_ENROLLED where there is no node. */
  constructor(folder: NodeFolder, platform: KeeperPlatform) {
    const node = folder.node()
    if (!node) throw new CoxswainError('NOT_ENROLLED', `There is no node in ${folder.path}.`, { id: folder.path })
    this.node = node
    this.#folder = folder
    this.#platform = platform
    this.#proof = proofOf(folder.identity())
    this.#trust = folder.trust()
    this.#readTrust()
  }

  /** Renews by itself from now on. */
  start(): void {
    this.#schedule()
  }

  stop(): void {
    this.#cancel()
  }

  /** Resolves when all that was told so far is on the disk. */
  settled(): Promise<void> {
    return this.#tail
  }

  /** Addresses of candidates, `HOST:PORT`. */
  get candidates(): readonly string[] {
    return this.#trust.candidates
  }

  get serial(): string {
    return this.#proof.serial
  }

  get expiresAtMs(): number {
    return this.#proof.expiresAtMs
  }

  current(): Identity {
    return { authorities: this.#believed, certificate: this.#proof.certificate, key: this.#proof.key }
  }

  onChange(callback: () => void): () => void {
    this.#listeners.add(callback)
    return () => this.#listeners.delete(callback)
  }

  problem(certificate: PeerCertificate, wanted: 'candidate' | 'worker'): string | undefined {
    const named = nodeOfUris(certificate.uris)
    if (!named) return 'its certificate names no node'
    if (named.cluster !== this.node.cluster) return 'it belongs to another cluster'
    if (named.role !== wanted) return `it is a ${named.role}, not a ${wanted}`
    return this.#revoked.has(certificate.serial.toLowerCase()) ? 'its certificate was revoked' : undefined
  }

  /** The certificate of an authority that is believed, DER. */
  authority(id: string): Buffer | undefined {
    const found = this.#trust.authorities.find(one => one.authority === id)
    return found && Buffer.from(found.certificate, 'base64')
  }

  attach(send: (message: NodeUp) => void): { heard(message: NodeDown): void; ended(): void } {
    this.#send = send
    return {
      heard: message => {
        this.#tail = this.#tail.then(() => this.#hear(message)).catch(error => this.#failed(error))
      },
      ended: () => {
        if (this.#send === send) this.#send = undefined
      },
    }
  }

  #failed(error: unknown): void {
    this.#platform.log('error', 'identity-not-kept', { error: String(error) })
  }

  async #hear(message: NodeDown): Promise<void> {
    if (message.kind === 'authorityKey') {
      if (this.node.role === 'candidate') await this.#folder.writeAuthorityKey(message.authority, message.key)
      return
    }
    if (message.kind === 'certificate') return this.#certified(message)
    await this.#folder.writeTrust(message)
    this.#trust = this.#folder.trust()
    this.#readTrust()
    this.#forgetKeys()
    this.#changed()
    this.#hold()
    if (this.#proof.authority !== message.signs) this.#later(spreadMs * this.#platform.random.number())
  }

  #readTrust(): void {
    this.#believed = this.#trust.authorities.map(one => pemOf(Buffer.from(one.certificate, 'base64')))
    this.#revoked = new Set(this.#trust.revoked)
  }

  /** Authorities that are dropped sign nothing any more: their keys go. */
  #forgetKeys(): void {
    if (this.node.role !== 'candidate') return
    const known = new Set(this.#trust.authorities.map(one => one.authority))
    for (const authority of this.#folder.authorityKeys()) if (!known.has(authority)) this.#folder.forgetAuthorityKey(authority)
  }

  /** Says what it uses and believes. A candidate believes an authority only once it has its key: it may have to sign. */
  #hold(): void {
    const believed = this.#trust.authorities.filter(
      ({ authority }) => this.node.role !== 'candidate' || this.#folder.authorityKeys().includes(authority),
    )
    const newest = believed.at(-1)
    if (newest) this.#send?.({ kind: 'holdsCertificate', serial: this.#proof.serial, authority: newest.authority })
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  // --- renewal

  #schedule(): void {
    const { issuedMs, expiresAtMs } = this.#proof
    const lifetimeMs = expiresAtMs - issuedMs
    const dueMs = issuedMs + lifetimeMs * (renewShare - jitterShare * this.#platform.random.number())
    this.#waitUntil(dueMs)
  }

  #waitUntil(dueMs: number): void {
    this.#cancel()
    const leftMs = dueMs - this.#platform.clock.wallMs()
    this.#cancel = this.#platform.clock.timer(Math.min(Math.max(0, leftMs), lookMsMax), () => {
      if (this.#platform.clock.wallMs() < dueMs) this.#waitUntil(dueMs)
      else void this.#renew()
    })
  }

  #later(delayMs: number): void {
    this.#waitUntil(this.#platform.clock.wallMs() + delayMs)
  }

  async #renew(): Promise<void> {
    try {
      if (!this.#send) return this.#notRenewed('UNAVAILABLE', 'No leader is connected.')
      this.#pending = await makeRequest()
      this.#send?.({ kind: 'renewCertificate', csr: this.#pending.csr })
      this.#retry()
    } catch (error) {
      this.#notRenewed('UNAVAILABLE', String(error))
    }
  }

  #retry(): void {
    const pauseMs = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(this.#failures, 10))
    this.#failures++
    this.#later(pauseMs * (0.75 + 0.5 * this.#platform.random.number()))
  }

  #notRenewed(code: string, message: string): void {
    const { expiresAtMs } = this.#proof
    this.#platform.log('warn', 'certificate-expiring', { code, message, expiresAt: new Date(expiresAtMs).toISOString() })
    this.#retry()
  }

  async #certified({ certificate, authority, problem }: Asked): Promise<void> {
    const pending = this.#pending
    if (problem) return this.#notRenewed(problem.code, problem.message)
    if (!pending || !certificate) return
    const issuer = this.authority(authority)
    if (!issuer) return this.#notRenewed('AUTHORITY_MISMATCH', 'An authority signed it that is not known here.')
    const flaw = certificateFlaw(certificate, pending.key, issuer, this.node)
    if (flaw) return this.#notRenewed('AUTHORITY_MISMATCH', flaw)
    const chain = `${pemOf(certificate)}${pemOf(issuer)}`
    await this.#folder.writeIdentity(pending.key, chain)
    this.#proof = proofOf({ key: pending.key, certificate: chain })
    this.#pending = undefined
    this.#failures = 0
    this.#platform.log('info', 'certificate-renewed', {
      serial: this.#proof.serial,
      expiresAt: new Date(this.#proof.expiresAtMs).toISOString(),
    })
    this.#changed()
    this.#hold()
    this.#schedule()
  }
}

/** Why this certificate is not one for our key, by this authority, for this node; undefined if it is. */
export function certificateFlaw(certificate: Uint8Array, key: string, issuer: Uint8Array, node: NodeFile): string | undefined {
  const own = new X509Certificate(certificate)
  const authority = new X509Certificate(issuer)
  const ours = createPublicKey(createPrivateKey(key)).export({ format: 'der', type: 'spki' })
  if (!own.publicKey.export({ format: 'der', type: 'spki' }).equals(ours)) return 'The certificate is for another key.'
  if (!own.checkIssued(authority) || !own.verify(authority.publicKey)) return 'The authority did not sign the certificate.'
  const named = readCertificate(certificate).node
  const same = named?.cluster === node.cluster && named.role === node.role && named.name === node.name
  return same ? undefined : 'The certificate is for another node.'
}
