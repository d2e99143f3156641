// Owns what a disk may hold after a power loss: everything synced, and of the rest any sectors and any names, chosen by chance.
// Must not lose what was synced: a name is synced with its folder, bytes and length of a file with the file.
import type { Act } from './writes.ts'

const sectorBytes = 512

/** Files by name. */
export type Image = Map<string, Buffer>

/** Gives numbers from 0 up to, not including, 1. */
type Chance = () => number

/** A file's bytes, whatever its name is. */
interface File {
  synced: Buffer
  /** Since the last sync, in order. */
  pending: Extract<Act, { what: 'write' | 'truncate' }>[]
}

interface Naming {
  act: Extract<Act, { what: 'create' | 'unlink' | 'rename' }>
  file: File
}

/** The disk under a folder, act by act. */
export class Disk {
  /** Names as the folder was last synced, and what was done to them since. */
  #syncedNames = new Map<string, File>()
  #naming: Naming[] = []
  /** Names as processes see them. */
  readonly #names = new Map<string, File>()

  do(act: Act): void {
    if (act.what === 'acknowledge') return
    if (act.what === 'create') return this.#create(act.path)
    if (act.what === 'sync' && act.path === '') return this.#syncNames()
    const file = this.#names.get(act.path)
    if (!file) throw new Error(`${act.what} of ${act.path}, which was never made`)
    if (act.what === 'sync') {
      file.synced = whole(file)
      file.pending = []
    } else if (act.what === 'write' || act.what === 'truncate') file.pending.push(act)
    else if (act.what === 'unlink') {
      this.#names.delete(act.path)
      this.#naming.push({ act, file })
    } else if (act.what === 'rename') {
      this.#names.delete(act.path)
      this.#names.set(act.to, file)
      this.#naming.push({ act, file })
    }
  }

  #create(path: string): void {
    // Opened with O_CREAT where it was already.
    if (this.#names.has(path)) return
    const file: File = { synced: Buffer.alloc(0), pending: [] }
    this.#names.set(path, file)
    this.#naming.push({ act: { what: 'create', path }, file })
  }

  #syncNames(): void {
    this.#syncedNames = new Map(this.#names)
    this.#naming = []
  }

  /** A disk as it may be after a power loss now: of what is not synced the share `kept`, all of it with 1. */
  image(chance: Chance, kept: number): Image {
    const names = new Map(this.#syncedNames)
    for (const { act, file } of this.#naming) {
      if (chance() >= kept) continue
      if (act.what === 'create') names.set(act.path, file)
      else if (names.get(act.path) === file) {
        names.delete(act.path)
        if (act.what === 'rename') names.set(act.to, file)
      }
    }
    return new Map([...names].map(([name, file]) => [name, after(file, chance, kept)]))
  }
}

function whole({ synced, pending }: File): Buffer {
  return after({ synced, pending }, () => 0, 1)
}

/** Each sector of each write arrives or not, by itself: so writes are torn. What lies between the end and a write behind it is zeros. */
function after({ synced, pending }: File, chance: Chance, kept: number): Buffer {
  const ends = pending.map(act => (act.what === 'write' ? act.at + act.bytes.length : act.length))
  const bytes = Buffer.alloc(Math.max(synced.length, ...ends))
  synced.copy(bytes)
  let { length } = synced
  for (const act of pending) {
    if (act.what === 'truncate') {
      if (chance() >= kept) continue
      if (act.length < length) bytes.fill(0, act.length, length)
      length = act.length
      continue
    }
    for (let from = act.at; from < act.at + act.bytes.length; ) {
      const to = Math.min(act.at + act.bytes.length, (Math.floor(from / sectorBytes) + 1) * sectorBytes)
      if (chance() < kept) {
        act.bytes.copy(bytes, from, from - act.at, to - act.at)
        length = Math.max(length, to)
      }
      from = to
    }
  }
  return bytes.subarray(0, length)
}
