// Owns the reading of an strace of a journal's writer: what it did to the files of its folder, in order, and when it said that something is durable.
// Must not skip a call that changes a file: one that is not known is an error.

/** One thing that was done. */
export type Act =
  | { what: 'create' | 'unlink'; path: string }
  | { what: 'rename'; path: string; to: string }
  | { what: 'write'; path: string; at: number; bytes: Buffer }
  | { what: 'truncate'; path: string; length: number }
  | { what: 'sync'; path: string }
  | { what: 'acknowledge'; line: string }

/** The calls that have to be traced. `-y` names the files, `-xx` writes all bytes. */
export const tracedCalls = [
  ...['openat', 'pwrite64', 'pwritev', 'write', 'writev', 'fsync', 'fdatasync', 'ftruncate'],
  ...['rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'fallocate', 'mmap'],
]

function bytesOf(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex')
}

function textOf(escaped: string): string {
  return bytesOf(escaped).toString()
}

/** The buffers of a call, in order: `"\x..."` or `{iov_base="\x..", …}`. */
function buffersIn(args: string): Buffer {
  return Buffer.concat([...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex]) => bytesOf(hex!)))
}

interface Call {
  name: string
  args: string
  result: string
}

/** Whole calls in the order of their ends; a write counts from when it began, since its bytes may be on their way from then on. */
function callsOf(trace: string): Call[] {
  const calls: Call[] = []
  const open = new Map<string, Call>()
  for (const line of trace.split('\n')) {
    const [, thread, rest] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (thread === undefined || rest === undefined) continue
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest)
    if (resumed) {
      const call = open.get(thread)
      if (!call) continue
      open.delete(thread)
      const [, more, result] = /^(.*)\) += (.*)$/.exec(resumed[2]!) ?? []
      Object.assign(call, { args: call.args + (more ?? ''), result: result ?? '' })
      if (!/write/.test(call.name)) calls.push(call)
      continue
    }
    const unfinished = /^(\w+)\((.*) <unfinished \.\.\.>$/.exec(rest)
    const whole = /^(\w+)\((.*)\) += (.*)$/.exec(rest)
    const [, name, args, result] = unfinished ?? whole ?? []
    if (name === undefined || args === undefined) continue
    const call = { name, args, result: result ?? '' }
    if (unfinished) open.set(thread, call)
    if (whole || /write/.test(name)) calls.push(call)
  }
  return calls
}

function pathOfDescriptor(args: string): string {
  return textOf(/^\d+<((?:\\x[0-9a-f]{2})*)>/.exec(args)?.[1] ?? '') || (/^\d+<([^>]*)>/.exec(args)?.[1] ?? '')
}

/** Follows one writer's calls. */
class Reader {
  readonly #folder: string
  readonly #known = new Set<string>()
  readonly acts: Act[] = []

  constructor(folder: string) {
    this.#folder = folder
  }

  /** The name within the folder; '' for the folder itself, undefined for what lies elsewhere. SQLite's shared memory is none of the disk's. */
  #name(path: string): string | undefined {
    if (path === this.#folder) return ''
    if (!path.startsWith(`${this.#folder}/`) || path.endsWith('-shm')) return undefined
    return path.slice(this.#folder.length + 1)
  }

  take({ name, args, result }: Call): void {
    if (result.startsWith('-1')) return
    if (name === 'openat') return this.#opened(args)
    if (/^(rename|unlink)/.test(name)) return this.#named(name, args)
    const path = pathOfDescriptor(args)
    if ((name === 'write' || name === 'writev') && args.startsWith('1<')) return this.#said(buffersIn(args).toString())
    if (name === 'mmap') return this.#mapped(args)
    const file = this.#name(path)
    if (file === undefined) return
    const numbers = args.split(', ')
    if (name === 'pwrite64' || name === 'pwritev')
      this.acts.push({ what: 'write', path: file, at: Number(numbers.at(-1)), bytes: buffersIn(args.slice(args.indexOf('>'))) })
    else if (name === 'write' || name === 'writev') this.#appended(file, buffersIn(args.slice(args.indexOf('>'))))
    else if (name === 'ftruncate') this.acts.push({ what: 'truncate', path: file, length: Number(numbers.at(-1)) })
    else if (name === 'fsync' || name === 'fdatasync') this.acts.push({ what: 'sync', path: file })
    else if (name === 'fallocate') throw new Error(`fallocate of ${file} is not followed`)
  }

  #said(text: string): void {
    for (const line of text.split('\n')) if (line !== '') this.acts.push({ what: 'acknowledge', line })
  }

  /** A file that is changed through memory could not be followed. */
  #mapped(args: string): void {
    const path = textOf(/ \d+<((?:\\x[0-9a-f]{2})*)>/.exec(args)?.[1] ?? '')
    if (/PROT_WRITE/.test(args) && /MAP_SHARED/.test(args) && this.#name(path)) throw new Error(`${path} is mapped for writing`)
  }

  /** Files are written in order where no position is given. */
  #appended(file: string, bytes: Buffer): void {
    const at = this.acts.reduce(
      (end, act) => (act.what === 'write' && act.path === file ? Math.max(end, act.at + act.bytes.length) : end),
      0,
    )
    this.acts.push({ what: 'write', path: file, at, bytes })
  }

  #opened(args: string): void {
    const [, escaped] = /"((?:\\x[0-9a-f]{2})*)"/.exec(args) ?? []
    const file = escaped === undefined ? undefined : this.#name(textOf(escaped))
    if (file === undefined || file === '') return
    if (this.#known.has(file) && /O_TRUNC/.test(args)) this.acts.push({ what: 'truncate', path: file, length: 0 })
    if (!/O_CREAT/.test(args) || this.#known.has(file)) return
    this.#known.add(file)
    this.acts.push({ what: 'create', path: file })
  }

  #named(name: string, args: string): void {
    const [path, to] = [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, escaped]) => this.#name(textOf(escaped!)))
    if (path === undefined) return
    this.#known.delete(path)
    if (name.startsWith('unlink')) this.acts.push({ what: 'unlink', path })
    else if (to !== undefined) {
      this.#known.add(to)
      this.acts.push({ what: 'rename', path, to })
    }
  }
}

/** Everything that was done to the files of a folder. */
export function actsIn(trace: string, folder: string): Act[] {
  const reader = new Reader(folder)
  for (const call of callsOf(trace)) reader.take(call)
  return reader.acts
}
