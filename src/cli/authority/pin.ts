// Owns the first words with a candidate that this machine knows only by the hash of its authority's certificate.
// Must not send anything before the authority is found and the candidate proved that it is one of its nodes.
import { request } from 'node:https'
import { isIP } from 'node:net'
import { connect, type DetailedPeerCertificate } from 'node:tls'
import { CoxswainError, enrolPath } from '../../protocol/index.ts'
import type { JoinTokenText } from './token.ts'
import { fingerprintOf, pemOf, readCertificate } from './x509.ts'

const waitMsMax = 10_000
const answerBytesMax = 8 << 20
const certificatesMax = 8

/** A place that answers, or should. */
export interface Place {
  host: string
  port: number
}

/** `HOST:PORT`, with a scheme or without one. Throws INVALID_ARGUMENT. */
export function placeOf(address: string): Place {
  const match = /^(?:\w+:\/\/)?(\[[0-9A-Fa-f:.]+\]|[^:/\s]+):(\d{1,5})\/?$/.exec(address)
  if (!match) throw new CoxswainError('INVALID_ARGUMENT', `${JSON.stringify(address)} is no address HOST:PORT.`, { id: address })
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port: Number(match[2]) }
}

function unreachable({ host, port }: Place, why: string): CoxswainError {
  return new CoxswainError('UNAVAILABLE', `${host}:${port} does not answer: ${why}.`, { id: `${host}:${port}` })
}

/** The certificates that whoever listens there shows. Nothing is believed of them yet, and nothing is sent over this connection. */
function shown(place: Place): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const { host, port } = place
    const socket = connect({
      host,
      port,
      minVersion: 'TLSv1.3',
      ...(isIP(host) === 0 && { servername: host }),
      // Only to look: the hash decides below, and what follows is a connection of its own that checks everything.
      rejectUnauthorized: false,
      timeout: waitMsMax,
    })
    socket.on('secureConnect', () => {
      const found: Buffer[] = []
      let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
      while (next?.raw && found.length < certificatesMax && !found.some(one => one.equals(next!.raw))) {
        found.push(next.raw)
        next = next.issuerCertificate
      }
      socket.destroy()
      resolve(found)
    })
    socket.on('timeout', () => socket.destroy(new Error('it takes too long')))
    socket.on('error', error => reject(unreachable(place, error.message)))
  })
}

/** The authority's certificate as PEM. Throws WRONG_CLUSTER or AUTHORITY_MISMATCH where another one answers, CLOCK_SKEWED where times cannot be. */
export async function pinnedAuthority(place: Place, { authority, cluster }: JoinTokenText, nowMs: number): Promise<string> {
  const [own, ...more] = await shown(place)
  const where = `${place.host}:${place.port}`
  const pinned = more.find(one => fingerprintOf(one) === authority)
  if (!own || !pinned) {
    const other = own && readCertificate(own).node?.cluster
    if (other && other !== cluster)
      throw new CoxswainError('WRONG_CLUSTER', `${where} belongs to cluster ${other}; the join token is of ${cluster}.`, { id: where })
    throw new CoxswainError('AUTHORITY_MISMATCH', `${where} does not show the authority that the join token names.`, { id: where })
  }
  const { validFromMs, expiresAtMs } = readCertificate(own)
  if (nowMs < validFromMs || nowMs > expiresAtMs)
    throw new CoxswainError(
      'CLOCK_SKEWED',
      `The certificate of ${where} counts from ${new Date(validFromMs).toISOString()} to ${new Date(expiresAtMs).toISOString()}; ` +
        `the clock of this machine says ${new Date(nowMs).toISOString()}.`,
      { id: where },
    )
  return pemOf(pinned)
}

/** Sends a request to join to a candidate that proves itself by this authority, and resolves with status and body. */
export function askToJoin(place: Place, authority: string, cluster: string, body: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const { host, port } = place
    const asked = request(
      {
        host,
        port,
        path: enrolPath,
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        agent: false,
        minVersion: 'TLSv1.3',
        ca: [authority],
        ...(isIP(host) === 0 && { servername: host }),
        // Hosts prove nothing here: the name as a URI does.
        checkServerIdentity: (_host, { raw }) => {
          const { node } = readCertificate(raw)
          return node?.role === 'candidate' && node.cluster === cluster ? undefined : new Error('it is no candidate of this cluster')
        },
        timeout: waitMsMax,
      },
      response => {
        const parts: Buffer[] = []
        let bytes = 0
        response.on('data', (part: Buffer) => {
          bytes += part.length
          if (bytes > answerBytesMax) asked.destroy(new Error('its answer is too long'))
          else parts.push(part)
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') }))
        response.on('error', error => reject(unreachable(place, error.message)))
      },
    )
    asked.on('timeout', () => asked.destroy(new Error('it takes too long')))
    asked.on('error', error => reject(unreachable(place, error.message)))
    asked.end(body)
  })
}
