// Owns what a node of several machines keeps on its disk: its key with its certificate, whom it believes, and on candidates the keys of authorities.
// Must not let anybody else read a key: files have mode 0600, the folder 0700, and what is open to others is not used.
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CoxswainError, type NodeRole, type Trust } from '../../protocol/index.ts'
import type { SigningRequest } from './x509.ts'

const ownerOnly = 0o700
const othersMask = 0o077
const keyPattern = /^([0-9a-f]{64})\.key\.pem$/

/** What this node is. */
export interface NodeFile {
  cluster: string
  role: NodeRole
  name: string
  /** Where others reach a candidate, `HOST:PORT`. */
  address: string
}

/** Whom it believes: as `Trust`, with bytes in base64. */
export interface TrustFile {
  authorities: { authority: string; certificate: string }[]
  signs: string
  revoked: string[]
  candidates: string[]
}

/** Makes a file that is for this user only, so that it is there completely or not at all. */
async function writePrivateFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  await rm(temporary, { force: true })
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

function readPrivate(path: string): string {
  const { mode, uid } = statSync(path)
  const user = process.geteuid?.()
  if ((mode & othersMask) !== 0 || (user !== undefined && uid !== user))
    throw new CoxswainError(
      'STATE_FOLDER_UNUSABLE',
      `${path} can be read by others, or belongs to another: it holds a key, and is not used.`,
      {
        id: path,
      },
    )
  return readFileSync(path, 'utf8')
}

/** The folder of one node. */
export class NodeFolder {
  readonly path: string

  /** `path`: the folder `node` of a state folder. */
  constructor(path: string) {
    this.path = path
  }

  get #node(): string {
    return join(this.path, 'node.json')
  }

  get #trust(): string {
    return join(this.path, 'trust.json')
  }

  /** Key and certificate in one file: they change together. */
  get #identity(): string {
    return join(this.path, 'identity.pem')
  }

  #authorityKey(authority: string): string {
    return join(this.path, `${authority}.key.pem`)
  }

  /** Makes the folder. */
  make(): void {
    mkdirSync(this.path, { recursive: true, mode: ownerOnly })
    chmodSync(this.path, ownerOnly)
  }

  /** What this node is; undefined where it has not joined anything. */
  node(): NodeFile | undefined {
    try {
      return JSON.parse(readFileSync(this.#node, 'utf8')) as NodeFile
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw new CoxswainError('STATE_FOLDER_UNUSABLE', `${this.#node} cannot be read.`, { id: this.#node, cause: error })
    }
  }

  /** Written last when a node joins: with it, all is there. */
  writeNode(node: NodeFile): Promise<void> {
    return writePrivateFile(this.#node, `${JSON.stringify(node)}\n`)
  }

  trust(): TrustFile {
    return JSON.parse(readFileSync(this.#trust, 'utf8')) as TrustFile
  }

  writeTrust(trust: Trust): Promise<void> {
    const authorities = trust.authorities.map(one => ({ ...one, certificate: Buffer.from(one.certificate).toString('base64') }))
    const { signs, revoked, candidates } = trust
    return writePrivateFile(this.#trust, `${JSON.stringify({ authorities, signs, revoked, candidates } satisfies TrustFile)}\n`)
  }

  /** Key and certificates of the node, PEM. */
  identity(): { key: string; certificate: string } {
    const text = readPrivate(this.#identity)
    const at = text.indexOf('-----BEGIN CERTIFICATE-----')
    return { key: text.slice(0, at), certificate: text.slice(at) }
  }

  writeIdentity(key: string, certificate: string): Promise<void> {
    return writePrivateFile(this.#identity, `${key.trim()}\n${certificate}`)
  }

  /** The authorities whose keys are here. */
  authorityKeys(): string[] {
    return readdirSync(this.path).flatMap(name => keyPattern.exec(name)?.[1] ?? [])
  }

  authorityKey(authority: string): string {
    return readPrivate(this.#authorityKey(authority))
  }

  writeAuthorityKey(authority: string, key: string): Promise<void> {
    if (!/^[0-9a-f]{64}$/.test(authority)) throw new CoxswainError('INVALID_ARGUMENT', 'An authority is named with 64 hexadecimal digits.')
    return writePrivateFile(this.#authorityKey(authority), key)
  }

  forgetAuthorityKey(authority: string): void {
    rmSync(this.#authorityKey(authority), { force: true })
  }

  get #joining(): string {
    return join(this.path, 'joining.json')
  }

  /** The key with which this is tried: the same again after an answer that was lost, so that the token is not used twice. */
  async joining(what: string, make: () => Promise<SigningRequest>): Promise<SigningRequest> {
    try {
      const kept = JSON.parse(readPrivate(this.#joining)) as { what: string; csr: string; key: string }
      if (kept.what === what) return { csr: Buffer.from(kept.csr, 'base64'), key: kept.key }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    const { csr, key } = await make()
    await writePrivateFile(this.#joining, `${JSON.stringify({ what, csr: csr.toString('base64'), key })}\n`)
    return { csr, key }
  }

  /** The node is there: what was kept to try it is not needed any more. */
  joined(): void {
    rmSync(this.#joining, { force: true })
  }

  /** What the first leader is to know: written by `cox cluster init`, taken into the journal once. */
  get #founding(): string {
    return join(this.path, 'founding.json')
  }

  founding<T>(): T | undefined {
    try {
      return JSON.parse(readPrivate(this.#founding)) as T
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  writeFounding(founding: unknown): Promise<void> {
    return writePrivateFile(this.#founding, `${JSON.stringify(founding)}\n`)
  }
}
