// Owns TLS 1.3 with the cluster's own authorities: what is served and dialled with, and in words why somebody is not believed.
// Must not read files or make certificates, and must not take a certificate that does not verify for none.
import type { X509Certificate } from 'node:crypto'
import { constants } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { ConnectionOptions, SecureContextOptions, TLSSocket } from 'node:tls'
import type { PeerCertificate } from '../platform.ts'
import type { Identity, Security } from './security.ts'

/** The cheapest first: processors do it in hardware. */
const ciphers = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256'

/** What somebody showed in the handshake. */
export type Presented =
  | { kind: 'nothing' }
  | { kind: 'verified'; certificate: PeerCertificate }
  | { kind: 'refused'; problem: string; serial: string }

const problems: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'the certificate has expired',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet: compare the clocks of both machines',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is signed by itself, by no authority of this cluster',
  INVALID_PURPOSE: 'the certificate is not made for this side of a connection',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the other side does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'the other side does not speak TLS',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'the other side does not speak TLS 1.3',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'the other side does not speak TLS 1.3',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the other side does not believe the authority of our certificate',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'the other side says that our certificate has expired',
  ERR_SSL_HTTP_REQUEST: 'the other side speaks without TLS',
}
const foreign = new Set([
  ...['SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ...['CERT_SIGNATURE_FAILURE', 'CERT_UNTRUSTED', 'INVALID_CA', 'AUTHORITY_ISSUER_SERIAL_MISMATCH'],
])

/** Why a certificate is not believed, or a handshake failed, by OpenSSL's code; undefined for a code that says nothing to people. */
export function problemOf(code: string | undefined): string | undefined {
  if (code === undefined) return undefined
  return foreign.has(code) ? 'the certificate is signed by an authority that this cluster does not believe' : problems[code]
}

/** Why a connection could not be made, in words. */
export function dialProblem(error: NodeJS.ErrnoException): string {
  if (error.code === 'ECONNRESET' && error.message.includes('before secure TLS'))
    return 'the other side ended the connection during the TLS handshake: perhaps it does not speak TLS there'
  return problemOf(error.code) ?? error.message
}

/** URIs among the alternative names of a certificate, as Node lists them: one that holds a comma or a quotation mark is written as JSON. */
function urisOf(names: string | undefined): string[] {
  const found: string[] = []
  for (const [, kind, name = ''] of (names ?? '').matchAll(/(?:^|, )([\w ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g)) {
    if (kind === 'URI') found.push(name.startsWith('"') ? String(JSON.parse(name)) : name)
  }
  return found
}

function peerOf(names: string | undefined, serial: string, validTo: string): PeerCertificate {
  return { uris: urisOf(names), serial: plainSerial(serial), expiresAtMs: Date.parse(validTo) }
}

function plainSerial(serial: string): string {
  return serial.toLowerCase().replace(/^0+(?=.)/, '')
}

/** What a server's context is made of. */
export function servingOptions({ authorities, certificate, key }: Identity): SecureContextOptions {
  return {
    ca: [...authorities],
    ...(certificate !== undefined && { cert: certificate }),
    ...(key !== undefined && { key }),
    ciphers,
    minVersion: 'TLSv1.3',
    // Nobody comes back by a ticket: whoever was revoked or has expired since would be let in by an old handshake.
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
}

/** How a node of this role is dialled. */
export function dialOptions(security: Security, wanted: 'candidate' | 'worker'): ConnectionOptions {
  const { authorities, certificate, key } = security.current()
  return {
    ca: [...authorities],
    ...(certificate !== undefined && { cert: certificate }),
    ...(key !== undefined && { key }),
    ciphers,
    minVersion: 'TLSv1.3',
    checkServerIdentity(_host, shown) {
      const problem = security.problem(peerOf(shown.subjectaltname, shown.serialNumber, shown.valid_to), wanted)
      return problem === undefined ? undefined : new Error(problem)
    },
  }
}

const shown = new WeakMap<Duplex, Presented>()

/** What whoever made this connection showed; nothing, for one without TLS. A certificate that has expired meanwhile is refused like one that had. */
export function presentedBy(socket: Duplex): Presented {
  let presented = shown.get(socket)
  if (!presented) {
    presented = 'getPeerX509Certificate' in socket ? look(socket as TLSSocket) : { kind: 'nothing' }
    shown.set(socket, presented)
  }
  if (presented.kind !== 'verified' || presented.certificate.expiresAtMs > Date.now()) return presented
  return { kind: 'refused', problem: problems['CERT_HAS_EXPIRED']!, serial: presented.certificate.serial }
}

function look(socket: TLSSocket): Presented {
  const certificate: X509Certificate | undefined = socket.getPeerX509Certificate()
  if (socket.isSessionReused()) return { kind: 'refused', problem: 'connections are not resumed here', serial: '' }
  if (!certificate) return { kind: 'nothing' }
  const { subjectAltName, serialNumber, validTo } = certificate
  if (socket.authorized) return { kind: 'verified', certificate: peerOf(subjectAltName, serialNumber, validTo) }
  // Node gives the code, though its types say that it is an error.
  const code = String(socket.authorizationError)
  return { kind: 'refused', problem: problemOf(code) ?? `the certificate is not believed (${code})`, serial: plainSerial(serialNumber) }
}
