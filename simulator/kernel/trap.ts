// Owns the trap: while simulated code runs, asking the real world for time, chance or timers throws.
// Must not hinder the simulator itself, which runs outside of simulated events.
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'

let inside = false

/** Says whether simulated code runs from now on. */
export function setInside(value: boolean): void {
  inside = value
}

type AnyFunction = (...given: never[]) => unknown

function guard(owner: object, name: string, label: string): void {
  const original = Reflect.get(owner, name) as AnyFunction
  const guarded = function (this: unknown, ...given: never[]): unknown {
    if (inside) throw new Error(`simulated code calls ${label}: it must ask its platform`)
    return original.apply(this as never, given)
  }
  Object.assign(guarded, original)
  Reflect.set(owner, name, guarded)
}

let installed = false

/** Installs the trap, once, after everything has been imported. */
export function installTrap(): void {
  if (installed) return
  installed = true
  const RealDate = Date
  globalThis.Date = new Proxy(RealDate, {
    construct(target, given, self) {
      if (inside && given.length === 0) throw new Error('simulated code calls new Date(): it must ask its platform')
      return Reflect.construct(target, given, self) as object
    },
  })
  guard(RealDate, 'now', 'Date.now')
  guard(Math, 'random', 'Math.random')
  guard(performance, 'now', 'performance.now')
  guard(process, 'hrtime', 'process.hrtime')
  for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'fetch']) guard(globalThis, name, name)
  for (const name of ['randomBytes', 'randomUUID', 'randomInt', 'randomFillSync']) guard(crypto, name, `crypto.${name}`)
  syncBuiltinESMExports()
}
