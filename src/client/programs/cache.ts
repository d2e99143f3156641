// Owns the programs that were made before: in memory for this process, on disk for the next one.
// Must never use a cached program of which a source changed, nor fail because the cache cannot be used.
import { hash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { release } from '../../protocol/index.ts'
import { type Bundle, bundleProgram, type Program } from './bundle.ts'

/** What a cached program was made from. */
interface CacheEntry {
  program: string
  inputs: [path: string, stamp: string][]
}

/** Older ones are removed when there are more. */
const entriesMax = 64
/** Files beside a module, or above it, that change how it is bundled. */
const configurationNames = ['package.json', 'tsconfig.json']
/** What a missing file counts as. */
const absent = 'absent'

/** What tells one state of a file from another. */
async function fileStamp(path: string): Promise<{ stamp: string; changedMs: number }> {
  try {
    const { mtimeNs, ctimeNs, size, mtimeMs, ctimeMs } = await stat(path, { bigint: true })
    return { stamp: `${mtimeNs}.${ctimeNs}.${size}`, changedMs: Math.max(Number(mtimeMs), Number(ctimeMs)) }
  } catch {
    return { stamp: absent, changedMs: 0 }
  }
}

/** The configuration files that may count for a module: those in its folder and all folders above. */
function configurationFiles(path: string): string[] {
  const files: string[] = []
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    for (const name of configurationNames) files.push(join(folder, name))
    if (dirname(folder) === folder) return files
  }
}

/** Programs by module. In one process a module's program is made once: what runs here was loaded once, too. */
export class Programs {
  readonly #external: readonly string[]
  readonly #folder: string | undefined
  readonly #made = new Map<string, Promise<Program>>()

  /** `external` counts for all modules; `folder` keeps programs for the next process. */
  constructor(external: readonly string[], folder: string | undefined) {
    this.#external = external
    this.#folder = folder
  }

  /** The program of a module; throws PROGRAM_BUILD_FAILED or PROGRAM_TOO_LARGE. */
  get(module: string, external: readonly string[]): Promise<Program> {
    const all = [...new Set([...this.#external, ...external])].sort()
    const key = hash('sha256', JSON.stringify([release, module, all]), 'hex')
    let made = this.#made.get(key)
    if (!made) {
      made = this.#make(key, module, all)
      this.#made.set(key, made)
      // A module that did not bundle may be corrected.
      made.catch(() => this.#made.delete(key))
    }
    return made
  }

  async #make(key: string, module: string, external: readonly string[]): Promise<Program> {
    const found = await this.#find(key)
    if (found) return found
    const startedAtMs = Date.now()
    const bundle = await bundleProgram(module, external)
    await this.#keep(key, module, bundle, startedAtMs).catch(() => undefined)
    return { id: bundle.id, bytes: bundle.bytes }
  }

  async #find(key: string): Promise<Program | undefined> {
    if (this.#folder === undefined) return undefined
    try {
      const entry = JSON.parse(await readFile(join(this.#folder, `${key}.json`), 'utf8')) as CacheEntry
      const now = await Promise.all(entry.inputs.map(([path]) => fileStamp(path)))
      if (now.some(({ stamp }, position) => stamp !== entry.inputs[position]![1])) return undefined
      const bytes = await readFile(join(this.#folder, `${key}.mjs`))
      return hash('sha256', bytes, 'hex') === entry.program ? { id: entry.program, bytes } : undefined
    } catch {
      return undefined
    }
  }

  async #keep(key: string, module: string, bundle: Bundle, startedAtMs: number): Promise<void> {
    const folder = this.#folder
    if (folder === undefined) return
    const paths = [...bundle.inputs, ...configurationFiles(fileURLToPath(module))]
    const stamps = await Promise.all(paths.map(fileStamp))
    // A file that changed while it was bundled, or in the clock tick before, may not be what was bundled.
    if (stamps.some(({ changedMs }) => changedMs >= startedAtMs - 1)) return
    const entry: CacheEntry = { program: bundle.id, inputs: paths.map((path, position) => [path, stamps[position]!.stamp]) }
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await replace(join(folder, `${key}.mjs`), bundle.bytes)
    await replace(join(folder, `${key}.json`), Buffer.from(JSON.stringify(entry)))
    await this.#prune(folder)
  }

  async #prune(folder: string): Promise<void> {
    const names = (await readdir(folder)).filter(name => name.endsWith('.json'))
    if (names.length <= entriesMax) return
    const ages = await Promise.all(names.map(async name => ({ name, atMs: (await stat(join(folder, name))).mtimeMs })))
    ages.sort((a, b) => a.atMs - b.atMs)
    for (const { name } of ages.slice(0, names.length - entriesMax)) {
      await rm(join(folder, name), { force: true })
      await rm(join(folder, name.replace(/json$/, 'mjs')), { force: true })
    }
  }
}

let serial = 0

/** Writes a whole file or nothing. */
async function replace(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}.${serial++}.tmp`
  await writeFile(temporary, bytes, { mode: 0o600 })
  await rename(temporary, path)
}
