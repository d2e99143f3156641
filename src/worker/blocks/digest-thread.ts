// Owns the thread that hashes large blocks: what it is told to, in order.
// Must not be imported: digest.ts starts it.
import { createHash, type Hash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import type { DigestOrder } from './digest.ts'

const hashes = new Map<number, Hash>()

parentPort?.on('message', ({ digest, bytes, end }: DigestOrder) => {
  const hash = hashes.get(digest) ?? createHash('sha256')
  if (bytes) hash.update(bytes)
  if (end) hashes.delete(digest)
  else hashes.set(digest, hash)
  parentPort?.postMessage(end === 'complete' ? hash.digest('hex') : '')
})
