// Owns durable files on a local disk. Must never touch the journal's folder: opening a SQLite file by other means drops its locks.
import { appendFile, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Files } from '../platform.ts'

let serial = 0

function missing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function writeSynced(path: string, pieces: readonly Uint8Array[]): Promise<void> {
  const temporary = `${path}.${process.pid}.${serial++}.tmp`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      for (const piece of pieces) await file.writeFile(piece)
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/** Files through node:fs. */
export const nodeFiles: Files = {
  read: path => readFile(path),
  writeSynced,
  append: (path, bytes) => appendFile(path, bytes, { mode: 0o600 }),
  async size(path) {
    try {
      return (await stat(path)).size
    } catch (error) {
      if (missing(error)) return undefined
      throw error
    }
  },
  async list(folder) {
    try {
      return (await readdir(folder)).sort()
    } catch (error) {
      if (missing(error)) return []
      throw error
    }
  },
  remove: path => rm(path, { recursive: true, force: true }),
  async makeFolder(path) {
    await mkdir(path, { recursive: true, mode: 0o700 })
  },
}
