// Owns finding the files of a folder and dealing them out in groups of about the same size.
// Must never fail on one entry: what cannot be looked at is counted. Links are not followed, so there are no loops.
import { type Dirent, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { CoxswainError } from '../../protocol/index.ts'

/** Files above this are not text that somebody wrote. */
export const fileBytesMax = 16 << 20
const groupBytes = 2 << 20
const groupFilesMax = 500
/** The first group is small, and each next one twice as large: a small folder, too, is work for several workers. */
const firstGroupBytes = 32 << 10
const firstGroupFiles = 1
const filesMax = 2_000_000
const foldersSkipped = new Set(['.git', '.hg', '.svn'])
/** So long the walk may hold the event loop before it lets others run. */
const breathMs = 10

/** Why a file is not in the index. */
export type SkipKind = 'binary' | 'unreadable' | 'huge' | 'vanished' | 'link' | 'special'

/** How many files were skipped, by kind. */
export type Skips = Record<SkipKind, number>

/** No skips yet. */
export function noSkips(): Skips {
  return { binary: 0, unreadable: 0, huge: 0, vanished: 0, link: 0, special: 0 }
}

/** Some files for one task. */
export interface FileGroup {
  root: string
  /** Number of the first file; the others follow. */
  first: number
  /** Paths below the root. */
  files: string[]
  bytes: number
}

/** Checks that a folder can be walked, and gives its real path. */
export function checkFolder(folder: string): string {
  try {
    const real = realpathSync(folder)
    if (!statSync(real).isDirectory()) throw new CoxswainError('USAGE', `${folder} is not a folder.`, { id: folder })
    readdirSync(real)
    return real
  } catch (error) {
    if (error instanceof CoxswainError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'is not there' : code === 'EACCES' ? 'cannot be read (no permission)' : `cannot be read (${message})`
    throw new CoxswainError('USAGE', `The folder ${folder} ${why}.`, { id: folder })
  }
}

/** Walks one folder. */
export class Walk {
  readonly root: string
  readonly skips = noSkips()
  /** Paths of the files found so far, by their numbers. */
  readonly files: string[] = []
  bytes = 0
  done = false
  #group: FileGroup
  #groups = 0

  constructor(root: string) {
    this.root = root
    this.#group = this.#newGroup()
  }

  #newGroup(): FileGroup {
    return { root: this.root, first: this.files.length, files: [], bytes: 0 }
  }

  /** The groups, as they fill up. */
  async *groups(): AsyncGenerator<FileGroup> {
    const folders = ['']
    let sinceMs = performance.now()
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      for (const entry of this.#entries(folder)) {
        const path = folder === '' ? entry.name : `${folder}/${entry.name}`
        if (entry.isDirectory()) {
          if (!foldersSkipped.has(entry.name)) folders.push(path)
        } else if (this.#take(entry, path)) {
          yield this.#group
          this.#groups++
          this.#group = this.#newGroup()
        }
        if (performance.now() - sinceMs > breathMs) {
          await new Promise<void>(resolve => setImmediate(resolve))
          sinceMs = performance.now()
        }
      }
    }
    this.done = true
    if (this.#group.files.length > 0) yield this.#group
  }

  #entries(folder: string): Dirent[] {
    try {
      return readdirSync(join(this.root, folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
    } catch (error) {
      this.skips[(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'vanished' : 'unreadable']++
      return []
    }
  }

  /** Puts a file into the group; true if the group is full. */
  #take(entry: Dirent, path: string): boolean {
    if (!entry.isFile()) {
      this.skips[entry.isSymbolicLink() ? 'link' : 'special']++
      return false
    }
    const stat = lstatSync(join(this.root, path), { throwIfNoEntry: false })
    if (!stat || stat.size > fileBytesMax || this.files.length >= filesMax) {
      this.skips[stat ? 'huge' : 'vanished']++
      return false
    }
    this.files.push(path)
    this.bytes += stat.size
    this.#group.files.push(path)
    this.#group.bytes += stat.size
    const grown = 2 ** this.#groups
    return (
      this.#group.bytes >= Math.min(groupBytes, firstGroupBytes * grown) ||
      this.#group.files.length >= Math.min(groupFilesMax, firstGroupFiles * grown)
    )
  }
}
