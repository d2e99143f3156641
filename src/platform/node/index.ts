// The face of the real platform: Node's clock, random, sockets and files, and the operator's log on stderr.
import { randomUUID } from 'node:crypto'
import type { Clock, Platform, Random } from '../platform.ts'
import { nodeFiles } from './files.ts'
import { type KeySources, openKeyring } from './keyring.ts'
import type { Keyring } from './sealer.ts'
import type { Security } from './security.ts'
import { nextTick } from './ticks.ts'
import { makeNodeTransport, nodeTransport } from './transport.ts'
import { makeNodeWeb, nodeWeb } from './web.ts'

export { type ListenLimits, listenLimits } from './limits.ts'
export { openS3, parseS3Address } from './s3.ts'
export type { Identity, Security } from './security.ts'
export { type Keyring, type KeySources, makeNodeTransport, makeNodeWeb, nextTick, nodeFiles, nodeTransport, nodeWeb, openKeyring }

/** The machine's clocks. */
export const nodeClock: Clock = {
  // hrtime is CLOCK_MONOTONIC: the same for all processes of a machine, unlike performance.now().
  monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
  wallMs: () => Date.now(),
  timer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
  soon: callback => {
    setImmediate(callback)
  },
}

export const nodeRandom: Random = { uuid: () => randomUUID(), number: () => Math.random() }

const levels = ['debug', 'info', 'warn', 'error'] as const

/**
 * A platform that logs JSON lines to stderr, from `level` up, each with `node`, the name of this process. With `security` it speaks TLS with other machines.
 */
export function nodePlatform(node: string, level: (typeof levels)[number] = 'info', security?: Security): Platform {
  const threshold = levels.indexOf(level)
  const log: Platform['log'] = (at, event, fields = {}) => {
    if (levels.indexOf(at) < threshold) return
    process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level: at, node, event, ...fields })}\n`)
  }
  return {
    clock: nodeClock,
    random: nodeRandom,
    transport: makeNodeTransport(security, { log }),
    web: makeNodeWeb(security, log),
    files: nodeFiles,
    nextTick,
    log,
  }
}
