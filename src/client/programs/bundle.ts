// Owns the making of a program: the modules of the used tasks and all that they import, as one ES module with its source map.
// Must not run any of that code, and must not decide when a program is made anew: cache.ts does.
import { hash } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BuildFailure, Message, OnLoadArgs, OnResolveArgs, Plugin } from 'esbuild'
import { CoxswainError, limits, type ProgramId } from '../../protocol/index.ts'

/** A program, ready to be sent. */
export interface Program {
  id: ProgramId
  bytes: Uint8Array
}

/** A program and the files that it was made from. */
export interface Bundle extends Program {
  inputs: string[]
}

const sourcesInTypeScript = import.meta.url.endsWith('.ts')
const extension = sourcesInTypeScript ? '.ts' : '.js'
/** What a program gets instead of the package. */
const inProgramPath = fileURLToPath(new URL(`../in-program${extension}`, import.meta.url))
/** The package's own faces: wherever a program imports one of them, it gets `inProgramPath`. */
const facePaths = ['../index', '../../index'].map(path => fileURLToPath(new URL(path + extension, import.meta.url)))
const messagesShownMax = 5
/** Modules in CommonJS that are bundled call `require` for what is built into Node. */
const banner = "import { createRequire as __coxswainRequire } from 'node:module'; const require = __coxswainRequire(import.meta.url);"

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

const plugin: Plugin = {
  name: 'coxswain',
  setup(build) {
    build.onResolve({ filter: /^coxswain$/ }, () => ({ path: inProgramPath, sideEffects: false }))
    // As Node itself, and unlike the bundler.
    build.onResolve({ filter: /^file:/ }, ({ path }: OnResolveArgs) => ({ path: fileURLToPath(path) }))
    build.onLoad({ filter: new RegExp(`^(${facePaths.map(escaped).join('|')})$`) }, () => ({
      contents: `export * from ${JSON.stringify(inProgramPath)}`,
      resolveDir: dirname(inProgramPath),
    }))
    build.onLoad({ filter: /\.node$/ }, ({ path }: OnLoadArgs) => ({
      errors: [{ text: `${path} is native code, which cannot be bundled: name its package in \`external\`` }],
    }))
  },
}

function messageText(message: Message): string {
  const at = message.location
  return at ? `${at.file}:${at.line}:${at.column + 1}: ${message.text}` : message.text
}

function buildFailed(module: string, error: unknown): CoxswainError {
  const messages = (error as Partial<BuildFailure>).errors
  if (!messages)
    return new CoxswainError('PROGRAM_BUILD_FAILED', `${module} could not be bundled: ${String(error)}`, { id: module, cause: error })
  const shown = messages.slice(0, messagesShownMax).map(messageText)
  if (messages.length > messagesShownMax) shown.push(`and ${messages.length - messagesShownMax} more`)
  return new CoxswainError('PROGRAM_BUILD_FAILED', `${module} does not bundle: ${shown.join('; ')}`, { id: module })
}

/** The source map with the absolute paths of its sources, as a comment. */
function mapComment(map: string, folder: string): string {
  const parsed = JSON.parse(map) as { sources: string[] }
  parsed.sources = parsed.sources.map(source => resolve(folder, source))
  return `//# sourceMappingURL=data:application/json;base64,${Buffer.from(JSON.stringify(parsed)).toString('base64')}\n`
}

/** Bundles the module at this file URL; throws PROGRAM_BUILD_FAILED or PROGRAM_TOO_LARGE. */
export async function bundleProgram(
  module: string,
  external: readonly string[],
  bytesMax: number = limits.programBytesMax,
): Promise<Bundle> {
  if (!module.startsWith('file:')) {
    throw new CoxswainError('PROGRAM_BUILD_FAILED', `The tasks of ${module || 'an unknown module'} are not in a file.`, { id: module })
  }
  const path = fileURLToPath(module)
  const folder = dirname(path)
  const { build } = await import('esbuild')
  const contents = [
    `import * as module0 from ${JSON.stringify(path)}`,
    `import { collectTasks } from ${JSON.stringify(inProgramPath)}`,
    'export default collectTasks([module0])',
  ].join('\n')
  const result = await build({
    stdin: { contents, resolveDir: folder, sourcefile: 'coxswain-program.js', loader: 'js' },
    absWorkingDir: folder,
    outfile: resolve(folder, 'coxswain-program.mjs'),
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    charset: 'utf8',
    sourcemap: 'external',
    sourcesContent: true,
    logLevel: 'silent',
    banner: { js: banner },
    define: { 'import.meta.main': 'false' },
    external: [...external],
    plugins: [plugin],
  }).catch(error => {
    throw buildFailed(path, error)
  })
  const code = result.outputFiles.find(file => file.path.endsWith('.mjs'))!.text
  const map = result.outputFiles.find(file => file.path.endsWith('.map'))!.text
  const bytes = Buffer.from(code + mapComment(map, folder))
  if (bytes.length > bytesMax) {
    throw new CoxswainError('PROGRAM_TOO_LARGE', `The program of ${path} has ${bytes.length} bytes; ${bytesMax} are allowed.`, { id: path })
  }
  const inputs = Object.keys(result.metafile.inputs).map(input => resolve(folder, input))
  return { id: hash('sha256', bytes, 'hex'), bytes, inputs: inputs.filter(input => !input.endsWith('coxswain-program.js')) }
}
