// Owns finding and loading a config file. One that is JSON is read as data; the others are modules and run.
// Must not know settings, and must not run a file of another user that nobody named.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, type Stats, statSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CoxswainError } from '../../protocol/errors.ts'
import { nearest } from '../nearest.ts'

const endings = ['.ts', '.js', '.mjs', '.json']
const stem = 'coxswain.config'
const othersMayWrite = 0o002

/** A config file as it was loaded. */
export interface ConfigFile {
  path: string
  content: Readonly<Record<string, unknown>>
}

/** A complaint about a config file, with the line where that is known. */
export function configError(path: string, text: string, line?: number, cause?: unknown): CoxswainError {
  return new CoxswainError('INVALID_CONFIG', `${path}${line === undefined ? '' : `:${line}`}: ${text}`, { id: path, cause })
}

/** The config file that holds in a folder: its own, or that of the nearest folder above it that has one. */
export function findConfigFile(from: string): string | undefined {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const found = endings.map(ending => join(folder, stem + ending)).filter(path => existsSync(path))
    if (found.length > 1) {
      const text = `There are several config files: ${found.join(', ')}. Keep one, or name one with --config.`
      throw new CoxswainError('INVALID_CONFIG', text, { id: folder })
    }
    if (found[0] !== undefined) return trusted(found[0])
    if (folder === dirname(folder)) return undefined
  }
}

/** Whoever may write a file that we come upon may run code as us: so it is ours or the system's, and nobody else may write it. */
function trusted(path: string): string {
  const user = process.geteuid?.()
  const stat = onFile(path, () => statSync(path))
  if (user === undefined) return path
  if (stat.uid !== user && stat.uid !== 0)
    throw configError(path, `was found here but belongs to user ${stat.uid}: name it with --config if you trust it.`)
  if ((stat.mode & othersMayWrite) !== 0)
    throw configError(path, 'was found here but everybody may write to it: close it (chmod o-w), or name it with --config.')
  return path
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'is not there.',
  ENOTDIR: 'is not there.',
  EACCES: 'may not be read by this user.',
  EISDIR: 'is a folder.',
}

function onFile<T>(path: string, step: () => T): T {
  try {
    return step()
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    throw configError(path, reasons[code] ?? message, undefined, error)
  }
}

/** Loads a config file that was found or named. */
export async function loadConfigFile(given: string): Promise<ConfigFile> {
  const path = resolve(given)
  if (!endings.includes(extname(path))) throw configError(path, `must end in one of ${endings.join(', ')}.`)
  const stat: Stats = onFile(path, () => statSync(path))
  if (!stat.isFile()) throw configError(path, 'is no file.')
  // Read in any case: what may not be read is said in the same words for all endings.
  const text = onFile(path, () => readFileSync(path, 'utf8')).replace(/^\uFEFF/, '')
  if (text.trim() === '') throw configError(path, 'is empty.')
  const content = extname(path) === '.json' ? parseJson(path, text) : await runModule(path)
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw configError(path, `must ${extname(path) === '.json' ? 'hold' : 'export as its default'} an object with settings.`)
  return { path, content: content as Record<string, unknown> }
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const { message } = error as Error
    // A text that ends too early has no position: it is its end.
    const end = text.trimEnd().length
    const at = Math.min(end, Number(/ at position (\d+)/.exec(message)?.[1] ?? end))
    const line = text.slice(0, at).split('\n').length
    throw configError(path, `is no JSON: ${message.replace(/ in JSON at position.*| \(line \d+ column \d+\)$/, '')}.`, line, error)
  }
}

async function runModule(path: string): Promise<unknown> {
  let module: Record<string, unknown>
  try {
    module = (await import(pathToFileURL(path).href)) as Record<string, unknown>
  } catch (error) {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    throw configError(path, `does not load: ${message}`, lineIn(path, error), error)
  }
  // A promise of settings is awaited: that costs nothing.
  if ('default' in module) return module['default']
  const names = Object.keys(module)
  const near = nearest('default', names)
  throw configError(
    path,
    `has no default export${names.length === 0 ? '' : `, only ${near ?? names.join(', ')}`}: write \`export default { … }\`.`,
  )
}

/** The line of the file that an error is about. */
function lineIn(path: string, error: unknown): number | undefined {
  const line = lineNamed(path, error instanceof Error ? (error.stack ?? '') : '')
  if (line !== undefined || !(error instanceof SyntaxError)) return line
  // Node keeps the place of a module's syntax error to itself, and prints it when it only checks a file, which runs nothing.
  const { stderr } = spawnSync(process.execPath, ['--check', path], { encoding: 'utf8' })
  return lineNamed(path, stderr)
}

/** The line that goes with the first mention of the file. */
function lineNamed(path: string, text: string): number | undefined {
  const places = [path, pathToFileURL(path).href].map(name => {
    const at = text.indexOf(`${name}:`)
    const line = at < 0 ? undefined : /^\d+/.exec(text.slice(at + name.length + 1))?.[0]
    return { at, line }
  })
  const first = places.filter(({ line }) => line !== undefined).sort((one, other) => one.at - other.at)[0]
  return first?.line === undefined ? undefined : Number(first.line)
}
