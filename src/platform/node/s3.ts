// Owns objects in S3, or in a server that speaks its protocol. Must not keep anything but its connections.
import { createReadStream } from 'node:fs'
import type { S3Client } from '@aws-sdk/client-s3'
import { CoxswainError } from '../../protocol/index.ts'
import type { ObjectStore } from '../objects.ts'

/** Tries of one request, with pauses between them that the library chooses. */
const attemptsMax = 5
/** A server that takes no connection, or says nothing, for so long has failed. */
const connectMsMax = 5_000
const silenceMsMax = 30_000
const listedMax = 1000

/** Where objects are. */
export interface S3Address {
  bucket: string
  /** Without slashes at its ends; empty for none. */
  prefix: string
}

/** What `s3://bucket/prefix` says. Throws INVALID_ARGUMENT. */
export function parseS3Address(text: string): S3Address {
  const match = /^s3:\/\/([a-z\d][a-z\d.-]{1,62})(?:\/([^\s?#]*))?$/.exec(text)
  if (!match)
    throw new CoxswainError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not an address like s3://bucket/prefix.`, { id: text })
  return { bucket: match[1]!, prefix: (match[2] ?? '').replace(/^\/+|\/+$/g, '') }
}

async function load(): Promise<typeof import('@aws-sdk/client-s3')> {
  try {
    return await import('@aws-sdk/client-s3')
  } catch (error) {
    throw new CoxswainError('PACKAGE_MISSING', 'Objects in S3 need the package @aws-sdk/client-s3: `npm install @aws-sdk/client-s3`.', {
      id: '@aws-sdk/client-s3',
      cause: error,
    })
  }
}

/**
 * Opens the objects at `s3://bucket/prefix`. Region, credentials and endpoint are found as Amazon's own tools find them: AWS_REGION, AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY, profiles, roles; AWS_ENDPOINT_URL_S3 names another server, which is then asked with the bucket in the path. Rejects with
 * PACKAGE_MISSING, INVALID_ARGUMENT, or OBJECT_STORE_FAILED where the bucket cannot be reached with these credentials.
 */
export async function openS3(text: string): Promise<ObjectStore> {
  const address = parseS3Address(text)
  const library = await load()
  const elsewhere = process.env['AWS_ENDPOINT_URL_S3'] ?? process.env['AWS_ENDPOINT_URL']
  const client = new library.S3Client({
    maxAttempts: attemptsMax,
    ...(elsewhere !== undefined && { forcePathStyle: true }),
    requestHandler: { connectionTimeout: connectMsMax, socketTimeout: silenceMsMax },
  })
  const store = new S3Objects(library, client, address, text)
  try {
    await store.list('', undefined, 1)
  } catch (error) {
    client.destroy()
    throw error
  }
  return store
}

type Library = typeof import('@aws-sdk/client-s3')

class S3Objects implements ObjectStore {
  readonly #library: Library
  readonly #client: S3Client
  readonly #bucket: string
  readonly #prefix: string
  readonly #text: string

  constructor(library: Library, client: S3Client, { bucket, prefix }: S3Address, text: string) {
    this.#library = library
    this.#client = client
    this.#bucket = bucket
    this.#prefix = prefix === '' ? '' : `${prefix}/`
    this.#text = text
  }

  async put(name: string, content: Uint8Array | { path: string; bytes: number }): Promise<boolean> {
    const isFile = 'path' in content
    // Bytes that are asked for again (a retry) come from the file again: a stream can be sent once only.
    if (isFile && (await this.size(name)) === content.bytes) return false
    const request = (): Promise<unknown> =>
      this.#client.send(
        new this.#library.PutObjectCommand({
          Bucket: this.#bucket,
          Key: this.#prefix + name,
          Body: isFile ? createReadStream(content.path) : content,
          ContentLength: isFile ? content.bytes : content.length,
          IfNoneMatch: '*',
        }),
      )
    for (let attempt = 1; ; attempt++) {
      try {
        await request()
        return true
      } catch (error) {
        const status = statusOf(error)
        if (status === 412) return false
        // 409: another one writes it at this moment, and may not come to an end.
        if (attempt === attemptsMax || (status !== undefined && status < 500 && status !== 409)) throw this.#failed('store', name, error)
      }
    }
  }

  async get(name: string, from = 0): Promise<{ bytes: number; pieces: AsyncIterable<Uint8Array> } | undefined> {
    try {
      const answer = await this.#client.send(
        new this.#library.GetObjectCommand({
          Bucket: this.#bucket,
          Key: this.#prefix + name,
          ...(from > 0 && { Range: `bytes=${from}-` }),
        }),
      )
      const total = /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1]
      const bytes = total === undefined ? (answer.ContentLength ?? 0) : Number(total)
      // In Node it is a stream of the system's: the library's type is that of browsers too.
      return { bytes, pieces: this.#pieces(name, answer.Body as unknown as AsyncIterable<Uint8Array>) }
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      throw this.#failed('read', name, error)
    }
  }

  async *#pieces(name: string, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* body
    } catch (error) {
      throw this.#failed('read', name, error)
    }
  }

  async size(name: string): Promise<number | undefined> {
    try {
      const answer = await this.#client.send(new this.#library.HeadObjectCommand({ Bucket: this.#bucket, Key: this.#prefix + name }))
      return answer.ContentLength
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      throw this.#failed('look for', name, error)
    }
  }

  async remove(name: string): Promise<void> {
    try {
      await this.#client.send(new this.#library.DeleteObjectCommand({ Bucket: this.#bucket, Key: this.#prefix + name }))
    } catch (error) {
      if (statusOf(error) !== 404) throw this.#failed('remove', name, error)
    }
  }

  async list(prefix: string, after?: string, count = listedMax): Promise<string[]> {
    try {
      const answer = await this.#client.send(
        new this.#library.ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: this.#prefix + prefix,
          MaxKeys: count,
          ...(after !== undefined && { StartAfter: this.#prefix + after }),
        }),
      )
      return (answer.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key.slice(this.#prefix.length)]))
    } catch (error) {
      throw this.#failed('list', prefix, error)
    }
  }

  close(): void {
    this.#client.destroy()
  }

  #failed(what: string, name: string, error: unknown): CoxswainError {
    const { name: kind, message } = error as Error
    const status = statusOf(error)
    const why = `${kind}${status === undefined ? '' : ` (HTTP ${status})`}: ${message}`
    return new CoxswainError('OBJECT_STORE_FAILED', `Could not ${what} ${JSON.stringify(name)} at ${this.#text}: ${why}`, {
      id: name,
      cause: error,
    })
  }
}

function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode
}
