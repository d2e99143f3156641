// Owns a small authority for tests, and the certificates that it and others sign.
// Must not be what a cluster uses: that has its own.
import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import type { PeerCertificate } from '../../src/platform/index.ts'
import type { Identity, Security } from '../../src/platform/node/index.ts'

const dayMs = 86_400_000
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** What a certificate says. */
export interface Wish {
  /** Its names as URIs. */
  uris?: readonly string[]
  notBefore?: Date
  notAfter?: Date
}

/** Certificate and key, as PEM texts. */
export interface Leaf {
  certificate: string
  key: string
  serial: string
}

/** An authority. */
export interface Authority {
  certificate: string
  sign(wish: Wish): Promise<Leaf>
}

/** The name of a node of the cluster that tests speak of. */
export function nodeUri(role: 'candidate' | 'worker', name = 'n1', cluster = 'test'): string {
  return `coxswain://${cluster}/${role}/${name}`
}

async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${bytes.match(/.{1,64}/g)!.join('\n')}\n-----END PRIVATE KEY-----\n`
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

function times({ notBefore, notAfter }: Wish): { notBefore: Date; notAfter: Date } {
  return { notBefore: notBefore ?? new Date(Date.now() - dayMs), notAfter: notAfter ?? new Date(Date.now() + dayMs) }
}

function newSerial(): string {
  return `1${randomBytes(8).toString('hex').slice(1)}`
}

function leafExtensions({ uris = [] }: Wish): x509.Extension[] {
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
    ...(uris.length > 0 ? [new x509.SubjectAlternativeNameExtension(uris.map(value => ({ type: 'url' as const, value })))] : []),
  ]
}

/** Makes an authority. */
export async function newAuthority(name = 'test authority'): Promise<Authority> {
  const keys = await newKeys()
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: `CN=${name}`,
    ...times({}),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  })
  return {
    certificate: root.toString('pem'),
    async sign(wish) {
      const own = await newKeys()
      const serial = newSerial()
      const signed = await x509.X509CertificateGenerator.create({
        serialNumber: serial,
        subject: 'CN=node',
        issuer: root.subject,
        ...times(wish),
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: leafExtensions(wish),
      })
      return { certificate: signed.toString('pem'), key: await pemOfKey(own.privateKey), serial }
    },
  }
}

/** A certificate that only it itself vouches for. */
export async function selfSigned(wish: Wish): Promise<Leaf> {
  const keys = await newKeys()
  const serial = newSerial()
  const signed = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial,
    name: 'CN=node',
    ...times(wish),
    keys,
    signingAlgorithm: algorithm,
    extensions: leafExtensions(wish),
  })
  return { certificate: signed.toString('pem'), key: await pemOfKey(keys.privateKey), serial }
}

/** The identity of a test's process: it may be changed, and judges as the cluster's does. */
export class TestSecurity implements Security {
  readonly revoked = new Set<string>()
  #identity: Identity
  readonly #callbacks = new Set<() => void>()

  constructor(authorities: readonly Authority[], leaf?: Leaf) {
    this.#identity = identityOf(authorities, leaf)
  }

  current(): Identity {
    return this.#identity
  }

  change(authorities: readonly Authority[], leaf?: Leaf): void {
    this.#identity = identityOf(authorities, leaf)
    for (const callback of this.#callbacks) callback()
  }

  onChange(callback: () => void): () => void {
    this.#callbacks.add(callback)
    return () => this.#callbacks.delete(callback)
  }

  problem({ uris, serial }: PeerCertificate, wanted: 'candidate' | 'worker'): string | undefined {
    if (this.revoked.has(serial)) return 'the certificate is revoked'
    const ours = uris.filter(uri => uri.startsWith('coxswain://test/'))
    if (ours.length === 0) return 'the certificate is of another cluster'
    return ours.some(uri => uri.startsWith(`coxswain://test/${wanted}/`)) ? undefined : `the certificate is not one of a ${wanted}`
  }
}

function identityOf(authorities: readonly Authority[], leaf: Leaf | undefined): Identity {
  return { authorities: authorities.map(({ certificate }) => certificate), ...(leaf && { certificate: leaf.certificate, key: leaf.key }) }
}
