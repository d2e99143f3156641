// Owns certificates for tests with TLS: an authority, a server, a client, made by the openssl program.
// Must not be used outside of tests: the keys lie in a temporary folder.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What a client shows and trusts, in PEM, and where all of it lies. */
export interface Certificates {
  ca: Buffer
  cert: Buffer
  key: Buffer
  files: { ca: string; cert: string; key: string; serverCert: string; serverKey: string }
}

/** Whether there is an openssl program. */
export function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Makes an authority of its own, and a server's and a client's certificate of it, in a new folder. The server's is for these names. */
export function makeCertificates(folder: string, serverNames = 'IP:127.0.0.1,DNS:localhost'): Certificates {
  mkdirSync(folder, { mode: 0o700, recursive: true })
  const at = (name: string): string => join(folder, name)
  const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=coxswain-test', '-keyout', at('ca.key'), '-out', at('ca.pem'))
  for (const name of ['server', 'client']) {
    openssl('req', ...newKey, '-subj', `/CN=${name}`, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`))
    writeFileSync(at(`${name}.ext`), `subjectAltName=${serverNames}\nextendedKeyUsage=serverAuth,clientAuth\n`)
    const signing = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', at(`${name}.ext`)]
    openssl('x509', '-req', '-in', at(`${name}.csr`), ...signing, '-out', at(`${name}.pem`))
  }
  const files = {
    ca: at('ca.pem'),
    cert: at('client.pem'),
    key: at('client.key'),
    serverCert: at('server.pem'),
    serverKey: at('server.key'),
  }
  return { ca: readFileSync(files.ca), cert: readFileSync(files.cert), key: readFileSync(files.key), files }
}
