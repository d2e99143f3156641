// Files in memory, which can be made to refuse what is written. Must not keep more than a test looks at.
import type { Files } from '../../src/platform/index.ts'

export class MemoryFiles implements Files {
  readonly texts = new Map<string, string>()
  /** Why appends are refused, if they are. */
  refusing: string | undefined
  appends = 0

  async read(path: string): Promise<Buffer> {
    const text = this.texts.get(path)
    if (text === undefined) throw new Error(`ENOENT: ${path}`)
    return Buffer.from(text)
  }

  async writeSynced(path: string, pieces: readonly Uint8Array[]): Promise<void> {
    this.texts.set(path, Buffer.concat(pieces).toString())
  }

  async append(path: string, bytes: Uint8Array): Promise<void> {
    this.appends++
    if (this.refusing !== undefined) throw new Error(this.refusing)
    this.texts.set(path, (this.texts.get(path) ?? '') + Buffer.from(bytes).toString())
  }

  async size(path: string): Promise<number | undefined> {
    return this.texts.get(path)?.length
  }

  /** Names of what lies in the folder, and of folders in it. */
  async list(folder: string): Promise<string[]> {
    const below = [...this.texts.keys()].filter(path => path.startsWith(`${folder}/`))
    return [...new Set(below.map(path => path.slice(folder.length + 1).split('/')[0]!))].sort()
  }

  async remove(path: string): Promise<void> {
    this.texts.delete(path)
  }

  async makeFolder(): Promise<void> {}
}
