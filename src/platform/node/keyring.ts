// Owns where keys for encryption at rest come from: a file, the environment, or what a command prints.
// Must not put a key, or any part of what was read, into an error or a log line.
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { CoxswainError } from '../../protocol/index.ts'
import { createKeyring, type Keyring, unusable } from './sealer.ts'

/** The variable that holds keys themselves. */
const keyVariable = 'COX_ENCRYPTION_KEY'
/** What may be read of keys. */
const sourceBytesMax = 64 << 10
const keysMax = 64
const commandTimeoutMs = 30_000
/** Who but the owner may do anything with the file: nobody. */
const othersMode = 0o077
const hexKey = /^[0-9a-f]{64}$/i
const base64Key = /^[A-Za-z0-9+/]{43}=$/

/** Where keys are looked for; one of these at most may have them. */
export interface KeySources {
  /** A file, for its owner alone. */
  file?: string | undefined
  /** The environment in which COX_ENCRYPTION_KEY may stand. It is taken out of it, so that children do not inherit it. */
  environment?: NodeJS.ProcessEnv | undefined
  /** A program and its arguments; what it prints are the keys. No shell is between. */
  command?: readonly string[] | undefined
  /** For how long the command may run. */
  commandTimeoutMs?: number | undefined
}

/** The keys in a text: hex or base64, one behind the other; what is behind a # is for people. */
function parseKeys(text: string, where: string): Buffer[] {
  const words = text
    .replace(/#.*$/gm, '')
    .split(/[\s,]+/)
    .filter(word => word !== '')
  if (words.length === 0) throw unusable(`${where} holds no key`)
  if (words.length > keysMax) throw unusable(`${where} holds more than ${keysMax} keys`)
  return words.map((word, at) => {
    const key = hexKey.test(word) ? Buffer.from(word, 'hex') : base64Key.test(word) ? Buffer.from(word, 'base64') : undefined
    if (key === undefined) throw unusable(`Key ${at + 1} in ${where} is not 256 bits in base64 (44 characters) or hex (64)`)
    return key
  })
}

async function readKeyFile(path: string): Promise<string> {
  let file: FileHandle
  try {
    // Without waiting: a pipe would never be opened.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw unusable(`The key file ${path} cannot be opened (${(error as NodeJS.ErrnoException).code})`, path)
  }
  try {
    // Of the file that is open: its name may be another's by now.
    const found = await file.stat()
    if (!found.isFile()) throw unusable(`The key file ${path} is not a regular file`, path)
    const { mode, uid, size } = found
    const own = process.getuid?.()
    if (own !== undefined && (mode & othersMode) !== 0)
      throw unusable(`The key file ${path} has mode ${(mode & 0o777).toString(8).padStart(4, '0')}: others may use it; make it 0600`, path)
    if (own !== undefined && uid !== own && uid !== 0) throw unusable(`The key file ${path} belongs to another user`, path)
    if (size > sourceBytesMax) throw unusable(`The key file ${path} has ${size} bytes: that is no file of keys`, path)
    return await file.readFile('latin1')
  } finally {
    await file.close()
  }
}

async function readCommand([program, ...args]: readonly string[], timeoutMs: number): Promise<string> {
  if (program === undefined) throw unusable('The command for keys is empty')
  // Loaded here, because hardly anyone needs it.
  const { execFile } = await import('node:child_process')
  return new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: sourceBytesMax, encoding: 'latin1', windowsHide: true } as const
    const child = execFile(program, args, options, (error, printed) => {
      if (error === null) return resolve(printed)
      // Its message holds what was printed to stderr, which may be anything.
      const how =
        error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER'
          ? `printed more than ${sourceBytesMax} bytes`
          : error.killed
            ? `was not done after ${timeoutMs} ms`
            : typeof error.code === 'string'
              ? `cannot be run (${error.code})`
              : `ended with ${error.signal ?? `exit code ${error.code}`}`
      reject(unusable(`The command for keys, ${program}, ${how}`, program))
    })
    child.stdin?.end()
  })
}

/**
 * The keys for encryption at rest, from wherever they are given; undefined if nowhere. The first one seals. Rejects with ENCRYPTION_KEY_UNUSABLE, and with
 * INVALID_ARGUMENT where they are given in two ways.
 */
export async function openKeyring({ file, environment, command, commandTimeoutMs: timeoutMs }: KeySources): Promise<Keyring | undefined> {
  const variable = environment?.[keyVariable]
  if (environment !== undefined) delete environment[keyVariable]
  const given = [
    { name: 'a key file', is: file !== undefined },
    { name: `the variable ${keyVariable}`, is: variable !== undefined },
    { name: 'a command for keys', is: command !== undefined },
  ].filter(({ is }) => is)
  if (given.length > 1) {
    const names = given.map(({ name }) => name).join(' and ')
    throw new CoxswainError('INVALID_ARGUMENT', `Keys are given in more than one way: ${names}. Leave one of them.`)
  }
  if (file !== undefined) return ringOf(parseKeys(await readKeyFile(file), `the key file ${file}`))
  if (variable !== undefined) return ringOf(parseKeys(variable, `the variable ${keyVariable}`))
  if (command === undefined) return undefined
  return ringOf(parseKeys(await readCommand(command, timeoutMs ?? commandTimeoutMs), `what ${command[0]} printed`))
}

/** The ring keeps its own copies; these go. */
function ringOf(keys: readonly Buffer[]): Keyring {
  try {
    return createKeyring(keys)
  } finally {
    for (const key of keys) key.fill(0)
  }
}
