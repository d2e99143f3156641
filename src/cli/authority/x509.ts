// Owns keys, signing requests and certificates as bytes: made and read by the library, which is loaded when it is first needed.
// Must not decide who gets a certificate, and must not touch files.
import { createHash, createPrivateKey, randomBytes, type webcrypto, X509Certificate } from 'node:crypto'
import { CoxswainError, type NodeName, nodeOfUris, nodeUri } from '../../protocol/index.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const authorityDaysMax = 3650
const dayMs = 24 * 3_600_000
/** Certificates count from a little before they are made: clocks differ. */
export const skewMsMax = 5 * 60_000
/** How long the certificate of a node counts. */
export const lifetimeDefaultMs = dayMs
const serialBytes = 16
const requestBytesMax = 4096

/** The library; loading it takes a good part of a second on a small machine, and most processes never do. */
export async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  await import('reflect-metadata')
  return import('@peculiar/x509')
}

/** A key and what was made with it; the key as PKCS#8 in PEM. */
export interface MadeAuthority {
  /** SHA-256 of the certificate. */
  authority: string
  certificate: Buffer
  key: string
  expiresAtMs: number
}

/** A certificate that was signed. */
export interface SignedCertificate {
  certificate: Buffer
  serial: string
  /** SHA-256 of its public key. */
  key: string
  expiresAtMs: number
}

/** What a node makes for itself before it asks for a certificate. */
export interface SigningRequest {
  /** DER. */
  csr: Buffer
  /** PKCS#8 in PEM. */
  key: string
}

/** The name of a certificate, and of bytes in general: their SHA-256 in hexadecimal. */
export function fingerprintOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A certificate's bytes as PEM. */
export function pemOf(certificate: Uint8Array): string {
  return new X509Certificate(certificate).toString()
}

/** A serial number: 128 bits of which the first is 0 and the first byte is not, so that it is positive and has one way to be written. */
function newSerial(): string {
  const bytes = randomBytes(serialBytes)
  bytes[0] = (bytes[0]! & 0x7f) | 0x40
  return bytes.toString('hex')
}

/** Whole seconds: certificates have no finer ones. */
function second(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000)
}

async function newKeys(): Promise<{ keys: webcrypto.CryptoKeyPair; pem: string }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
  const pem = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }) as string
  return { keys, pem }
}

/** A new authority for this cluster. */
export async function makeAuthority(cluster: string, nowMs: number): Promise<MadeAuthority> {
  const x509 = await loadX509()
  const { keys, pem } = await newKeys()
  const expiresAt = second(nowMs + authorityDaysMax * dayMs)
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ O: ['Coxswain'] }, { CN: [`authority of ${cluster}`] }],
    notBefore: second(nowMs - skewMsMax),
    notAfter: expiresAt,
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const certificate = Buffer.from(made.rawData)
  return { authority: fingerprintOf(certificate), certificate, key: pem, expiresAtMs: expiresAt.getTime() }
}

/** A key made here, and a request that proves that we have it. */
export async function makeRequest(): Promise<SigningRequest> {
  const x509 = await loadX509()
  const { keys, pem } = await newKeys()
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ name: '', keys, signingAlgorithm: algorithm })
  return { csr: Buffer.from(request.rawData), key: pem }
}

/**
 * Signs the public key of a request for this node. Nothing else that the request says is taken over. Throws INVALID_ARGUMENT for one that is none, whose key
 * is of another kind, or whose sender did not prove that it has the key.
 */
export async function signRequest(
  authority: Pick<MadeAuthority, 'certificate' | 'key'>,
  csr: Uint8Array,
  node: NodeName,
  nowMs: number,
  lifetimeMs: number = lifetimeDefaultMs,
): Promise<SignedCertificate> {
  const x509 = await loadX509()
  const publicKey = await provenKey(csr)
  const spki = Buffer.from(publicKey.rawData)
  const issuer = new x509.X509Certificate(Uint8Array.from(authority.certificate))
  const signingKey = await crypto.subtle.importKey(
    'pkcs8',
    createPrivateKey(authority.key).export({ format: 'der', type: 'pkcs8' }) as Uint8Array<ArrayBuffer>,
    algorithm,
    false,
    ['sign'],
  )
  const serial = newSerial()
  const expiresAt = second(nowMs + lifetimeMs)
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: [{ CN: [node.name] }],
    issuer: issuer.subjectName,
    notBefore: second(nowMs - skewMsMax),
    notAfter: expiresAt,
    signingAlgorithm: algorithm,
    publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: nodeUri(node) }]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  })
  return { certificate: Buffer.from(made.rawData), serial, key: fingerprintOf(spki), expiresAtMs: expiresAt.getTime() }
}

/** The public key of a request whose sender proved that it has the private one. */
async function provenKey(csr: Uint8Array): Promise<import('@peculiar/x509').PublicKey> {
  const x509 = await loadX509()
  if (csr.length > requestBytesMax) throw badRequest('is too long')
  let request: import('@peculiar/x509').Pkcs10CertificateRequest
  try {
    request = new x509.Pkcs10CertificateRequest(Uint8Array.from(csr))
  } catch {
    throw badRequest('is none')
  }
  const { algorithm: kind } = request.publicKey
  if (kind.name !== 'ECDSA' || (kind as webcrypto.EcKeyAlgorithm).namedCurve !== 'P-256') throw badRequest('is not of a P-256 key')
  const proven = await request.verify().catch(() => false)
  if (!proven) throw badRequest('was not signed with the key that it is for')
  return request.publicKey
}

function badRequest(what: string): CoxswainError {
  return new CoxswainError('INVALID_ARGUMENT', `The request for a certificate ${what}.`)
}

/** What we need to know of a certificate. Throws for bytes that are none. */
export interface CertificateRead {
  node: NodeName | undefined
  serial: string
  validFromMs: number
  expiresAtMs: number
}

/** Reads a certificate. */
export function readCertificate(certificate: Uint8Array | string): CertificateRead {
  const read = new X509Certificate(certificate)
  const uris = (read.subjectAltName ?? '').split(', ')
  const named = uris.every(uri => uri.startsWith('URI:')) ? nodeOfUris(uris.map(uri => uri.slice('URI:'.length))) : undefined
  return {
    node: named,
    serial: read.serialNumber.toLowerCase(),
    validFromMs: Date.parse(read.validFrom),
    expiresAtMs: Date.parse(read.validTo),
  }
}
