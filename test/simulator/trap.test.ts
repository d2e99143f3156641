// Shows that simulated code is refused the real world's time, chance, timers and I/O, each by name, and that the simulator itself is not.
import assert from 'node:assert/strict'
import childProcess from 'node:child_process'
import nodeCrypto from 'node:crypto'
import dgram from 'node:dgram'
import dns, { promises as dnsPromises } from 'node:dns'
import fs, { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import os from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import readline from 'node:readline'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import timers from 'node:timers/promises'
import tls from 'node:tls'
import { Worker } from 'node:worker_threads'
import zlib from 'node:zlib'
import { Boot, Kernel } from '../../simulator/kernel/kernel.ts'
import { installTrap } from '../../simulator/kernel/trap.ts'

const own = import.meta.filename
const nothing = (): void => {}

/** What each call is named in the refusal. Outside of a run each of them works, and leaves nothing behind. */
const calls: Readonly<Record<string, () => unknown>> = {
  'Date()': () => Date(),
  'new Date()': () => new Date().getFullYear(),
  'Date.now': () => Date.now(),
  'Math.random': () => Math.random(),
  'performance.now': () => performance.now(),
  'performance.mark': () => performance.mark('x'),
  'perf_hooks.monitorEventLoopDelay': () => monitorEventLoopDelay(),
  'process.hrtime': () => process.hrtime(),
  'process.hrtime.bigint': () => process.hrtime.bigint(),
  'process.uptime': () => process.uptime(),
  'process.memoryUsage': () => process.memoryUsage(),
  'process.memoryUsage.rss': () => process.memoryUsage.rss(),
  'process.cpuUsage': () => process.cpuUsage(),
  'process.nextTick': () => process.nextTick(nothing),
  'process.kill': () => process.kill(process.pid, 0),
  setTimeout: () => clearTimeout(setTimeout(nothing)),
  setInterval: () => clearInterval(setInterval(nothing)),
  setImmediate: () => clearImmediate(setImmediate(nothing)),
  'timers/promises.setTimeout': () => timers.setTimeout(1),
  'AbortSignal.timeout': () => AbortSignal.timeout(1),
  'Atomics.waitAsync': () => Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0),
  WeakRef: () => new WeakRef({}),
  FinalizationRegistry: () => new FinalizationRegistry(nothing),
  MessageChannel: () => new MessageChannel().port1.close(),
  'crypto.randomBytes': () => nodeCrypto.randomBytes(1),
  'crypto.randomInt': () => nodeCrypto.randomInt(2),
  'crypto.randomUUID': () => [nodeCrypto.randomUUID(), globalThis.crypto.randomUUID()],
  'crypto.getRandomValues': () => globalThis.crypto.getRandomValues(new Uint8Array(1)),
  'crypto.subtle.digest': () => globalThis.crypto.subtle.digest('SHA-256', new Uint8Array(1)),
  'crypto.pbkdf2': () => nodeCrypto.pbkdf2('x', 'y', 1, 8, 'sha256', nothing),
  'zlib.gzip': () => zlib.gzip('x', nothing),
  'fs.readFileSync': () => [readFileSync(own), fs.readFileSync(own)],
  'fs.statSync': () => fs.statSync(own),
  'fs.createReadStream': () => fs.createReadStream(own).destroy(),
  'fs/promises.readFile': () => [readFile(own), fs.promises.readFile(own)],
  'net.createServer': () => net.createServer(),
  'net.Socket': () => new net.Socket().destroy(),
  'dns.lookup': () => dns.lookup('127.0.0.1', nothing),
  'dns/promises.lookup': () => dnsPromises.lookup('127.0.0.1'),
  'tls.createServer': () => tls.createServer(),
  'http.createServer': () => http.createServer(),
  'http.request': () => http.request('http://127.0.0.1:1').on('error', nothing).destroy(),
  'https.Agent': () => new https.Agent(),
  'http2.createServer': () => http2.createServer(),
  'dgram.createSocket': () => dgram.createSocket('udp4').close(),
  'os.hostname': () => os.hostname(),
  'readline.createInterface': () => readline.createInterface({ input: new PassThrough() }).close(),
  'child_process.spawn': () => childProcess.spawn(process.execPath, ['--version'], { stdio: 'ignore' }),
  'child_process.spawnSync': () => childProcess.spawnSync(process.execPath, ['--version'], { stdio: 'ignore' }),
  'worker_threads.Worker': () => new Worker('0', { eval: true }),
  fetch: () => fetch('data:text/plain,x'),
}

/** Runs it as an event of a simulated node; what the node's process would have ended with. */
async function simulated(run: () => void): Promise<unknown[]> {
  const kernel = new Kernel(1)
  const node = kernel.node('c1')
  const crashes: unknown[] = []
  node.crashed = error => void crashes.push(error)
  kernel.at(new Boot(node, 1), 1, 'io', run)
  await kernel.run(2)
  return crashes
}

async function callAll(): Promise<void> {
  for (const [name, call] of Object.entries(calls)) {
    const answer = await Promise.all([call()].flat())
    assert.ok(answer.length > 0, name)
  }
}

test('what asks the real world is refused while a simulated event runs, and works before and after', async () => {
  await callAll()
  installTrap()
  await callAll()
  for (const [name, call] of Object.entries(calls)) {
    let caught: unknown
    const crashes = await simulated(() => {
      try {
        call()
      } catch (error) {
        caught = error
      }
    })
    assert.equal((caught as Error | undefined)?.message, `simulated code calls ${name}: it must ask its platform`)
    assert.equal(crashes.length, 1, `${name} is not remembered`)
  }
  await callAll()
})

test('what is refused ends the run, also behind a promise whose error somebody swallows', async () => {
  installTrap()
  const crashes = await simulated(() => {
    Promise.resolve()
      .then(() => readFile(own))
      .catch(nothing)
  })
  assert.match(String(crashes[0]), /simulated code calls fs\/promises\.readFile/)
  const others = await simulated(() => {
    try {
      Math.random()
    } catch {
      throw new Error('something else')
    }
  })
  assert.deepEqual(others.map(String), ['Error: simulated code calls Math.random: it must ask its platform'])
})

test("what needs nothing of the real world is left alone, and an error's own text stays", async () => {
  installTrap()
  let hash = ''
  const crashes = await simulated(() => {
    hash = nodeCrypto.createHash('sha256').update('x').digest('hex')
    queueMicrotask(() => assert.equal(new Date(5).getTime(), 5))
    assert.equal(1 + 1, 3)
  })
  assert.equal(hash.length, 64)
  assert.match(String(crashes[0]), /2 !== 3/)
})
