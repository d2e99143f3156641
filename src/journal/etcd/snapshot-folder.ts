// Owns large snapshots in a folder that all candidates share.
// Must not know what a snapshot holds.
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SnapshotStore } from './snapshots.ts'

async function synced(path: string, flags: string, write?: (file: Awaited<ReturnType<typeof open>>) => Promise<void>): Promise<void> {
  const file = await open(path, flags, 0o600)
  try {
    await write?.(file)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Snapshots in a folder, made with mode 0700 if it is not there. */
export function snapshotFolder(folder: string): SnapshotStore {
  const path = (name: string): string => {
    // Names come from a key in etcd too.
    if (!/^[\w-]+$/.test(name)) throw new Error(`${JSON.stringify(name)} is no name of a snapshot`)
    return join(folder, name)
  }
  return {
    async put(name, bytes) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const temporary = `${path(name)}.tmp`
      await synced(temporary, 'w', file => file.writeFile(bytes))
      await rename(temporary, path(name))
      await synced(folder, 'r')
    },
    async get(name) {
      try {
        return await readFile(path(name))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    delete: name => rm(path(name), { force: true }),
    async list() {
      try {
        return (await readdir(folder)).filter(name => !name.endsWith('.tmp'))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
        throw error
      }
    },
  }
}
