// Owns the trap: while a simulated event runs, asking the real world for time, chance, timers or I/O throws, and is remembered.
// Must not hinder the simulator itself, which reads files and starts processes outside of simulated events.
import { syncBuiltinESMExports } from 'node:module'

let inside = false
let offence: Error | undefined

/** Says whether simulated code runs from now on. */
export function setInside(value: boolean): void {
  inside = value
}

/** The first thing that was refused since the last look, also where simulated code has caught the error. */
export function takeOffence(): Error | undefined {
  const taken = offence
  offence = undefined
  return taken
}

function refuse(label: string): void {
  if (!inside) return
  const error = new Error(`simulated code calls ${label}: it must ask its platform`)
  offence ??= error
  throw error
}

type AnyFunction = (...given: never[]) => unknown

/** Puts a guard before a function or class; whatever else hangs on it stays. */
function guard(owner: object, name: string, label: string): void {
  const original: unknown = Reflect.get(owner, name)
  if (typeof original !== 'function') throw new Error(`there is no ${label} to be guarded`)
  const guarded = new Proxy(original as AnyFunction, {
    apply(target, self, given) {
      refuse(label)
      return Reflect.apply(target, self, given)
    },
    construct(target, given, self) {
      refuse(label)
      return Reflect.construct(target, given, self) as object
    },
  })
  Object.defineProperty(owner, name, { value: guarded, writable: true, configurable: true, enumerable: true })
}

/** Modules of which nothing may be called. */
const wholeModules = [
  ...['fs', 'fs/promises', 'net', 'dns', 'dns/promises', 'tls', 'http', 'https', 'http2', 'dgram', 'os', 'readline', 'readline/promises'],
  ...['child_process', 'cluster', 'worker_threads', 'timers', 'timers/promises'],
]

/** Modules that have harmless parts too: what of them is refused. What is done in other threads ends at another time in each run. */
const partsOfModules: Readonly<Record<string, readonly string[]>> = {
  crypto: [
    ...['randomBytes', 'randomUUID', 'randomInt', 'randomFill', 'randomFillSync', 'generateKey', 'generateKeySync'],
    ...['generateKeyPair', 'generateKeyPairSync', 'generatePrime', 'generatePrimeSync', 'checkPrime', 'pbkdf2', 'scrypt', 'hkdf'],
  ],
  zlib: ['deflate', 'deflateRaw', 'gzip', 'inflate', 'inflateRaw', 'gunzip', 'unzip', 'brotliCompress', 'brotliDecompress'],
  perf_hooks: ['monitorEventLoopDelay'],
}

const globals = [
  ...['setTimeout', 'setInterval', 'setImmediate', 'fetch', 'WebSocket', 'MessageChannel', 'BroadcastChannel'],
  // When these lose what they hold is up to the collector of garbage.
  ...['WeakRef', 'FinalizationRegistry'],
]

const processParts = ['uptime', 'cpuUsage', 'resourceUsage', 'memoryUsage', 'nextTick', 'kill', 'exit', 'abort', 'chdir', 'dlopen']

/** Functions and classes that a module or object has as plain properties. */
function callables(owner: object): string[] {
  const all = Object.entries(Object.getOwnPropertyDescriptors(owner))
  return all.filter(([, { value, configurable }]) => typeof value === 'function' && configurable).map(([name]) => name)
}

function moduleOf(name: string): object {
  const found: object | undefined = process.getBuiltinModule(name)
  if (!found) throw new Error(`there is no module ${name} to be guarded`)
  return found
}

function guardDate(): void {
  globalThis.Date = new Proxy(Date, {
    apply(target, self, given) {
      refuse('Date()')
      return Reflect.apply(target, self, given)
    },
    construct(target, given, self) {
      if (given.length === 0) refuse('new Date()')
      return Reflect.construct(target, given, self) as object
    },
  })
  guard(Date, 'now', 'Date.now')
}

function guardProcess(): void {
  guard(process.hrtime, 'bigint', 'process.hrtime.bigint')
  guard(process.memoryUsage, 'rss', 'process.memoryUsage.rss')
  for (const name of ['hrtime', ...processParts]) guard(process, name, `process.${name}`)
}

let installed = false

/** Installs the trap, once, after everything has been imported. */
export function installTrap(): void {
  if (installed) return
  installed = true
  guardDate()
  guardProcess()
  guard(Math, 'random', 'Math.random')
  for (const name of ['now', 'mark', 'measure', 'eventLoopUtilization']) guard(performance, name, `performance.${name}`)
  for (const name of globals) guard(globalThis, name, name)
  for (const name of ['wait', 'waitAsync']) guard(Atomics, name, `Atomics.${name}`)
  guard(AbortSignal, 'timeout', 'AbortSignal.timeout')
  for (const name of ['getRandomValues', 'randomUUID']) guard(globalThis.crypto, name, `crypto.${name}`)
  for (const name of callables(Object.getPrototypeOf(crypto.subtle) as object).filter(one => one !== 'constructor'))
    guard(crypto.subtle, name, `crypto.subtle.${name}`)
  for (const [module, names] of Object.entries(partsOfModules)) for (const name of names) guard(moduleOf(module), name, `${module}.${name}`)
  for (const module of wholeModules) {
    const owner = moduleOf(module)
    for (const name of callables(owner)) guard(owner, name, `${module}.${name}`)
  }
  syncBuiltinESMExports()
}
