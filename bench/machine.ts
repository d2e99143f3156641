// Owns measuring what the machine itself can do right now: disk sync, SQLite commits, WebSocket frames. Each takes about a second.
// Must not use anything of Coxswain: it is what Coxswain is held against.
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { WebSocket } from 'ws'
import { median } from './statistics.ts'

/** What the machine does without us. */
export interface MachineLimits {
  /** One fdatasync of 4 KiB at the end of a file. */
  fdatasyncP50Ms: number
  /** Records of `bytesPerRecord` in rows of 100 records, one FULL commit per row. */
  sqliteRecordsPerSecond: number
  bytesPerRecord: number
  /** Frames of 1 KiB sent and sent back by another thread, 64 under way. */
  echoPerSecond: number
  /** One frame there and back, none else under way. */
  echoP50Ms: number
}

/** How long each rate is measured where nothing else is said. */
const usualRateMs = 400
const syncs = 200
const syncBytes = 4096
const recordsPerCommit = 100
const frameBytes = 1024
const framesUnderWay = 64
const singles = 300

function fdatasyncP50Ms(folder: string): number {
  const file = openSync(join(folder, 'sync'), 'w')
  const page = Buffer.alloc(syncBytes, 1)
  const took: number[] = []
  for (let count = 0; count < syncs; count++) {
    writeSync(file, page)
    const startedMs = performance.now()
    fdatasyncSync(file)
    took.push(performance.now() - startedMs)
  }
  closeSync(file)
  return median(took)
}

function sqliteRecordsPerSecond(folder: string, bytesPerRecord: number, rateMs: number): number {
  const database = new DatabaseSync(join(folder, 'commits.db'))
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE row (id INTEGER PRIMARY KEY, bytes BLOB)')
  const insert = database.prepare('INSERT INTO row (bytes) VALUES (?)')
  const bytes = Buffer.alloc(recordsPerCommit * bytesPerRecord, 1)
  const startedMs = performance.now()
  let commits = 0
  while (performance.now() - startedMs < rateMs) {
    insert.run(bytes)
    commits++
  }
  const rate = (commits * recordsPerCommit * 1000) / (performance.now() - startedMs)
  database.close()
  return rate
}

/** A thread that sends every frame back; it tells its port. */
const echoSource = `
const { parentPort, workerData } = require('node:worker_threads')
const { WebSocketServer } = require(workerData)
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false }, () => parentPort.postMessage(server.address().port))
server.on('connection', socket => { socket._socket.setNoDelay(true); socket.on('message', data => socket.send(data)) })
`

async function echo(rateMs: number): Promise<{ echoPerSecond: number; echoP50Ms: number }> {
  const thread = new Worker(echoSource, { eval: true, workerData: join(import.meta.dirname, '../node_modules/ws') })
  try {
    const port = await new Promise<number>((resolve, reject) => {
      thread.once('message', resolve)
      thread.once('error', reject)
    })
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false })
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    const echoP50Ms = await oneByOne(socket)
    const echoPerSecond = await manyAtOnce(socket, rateMs)
    socket.terminate()
    return { echoPerSecond, echoP50Ms }
  } finally {
    await thread.terminate()
  }
}

async function oneByOne(socket: WebSocket): Promise<number> {
  const frame = Buffer.alloc(frameBytes, 1)
  const took: number[] = []
  for (let count = 0; count < singles; count++) {
    const startedMs = performance.now()
    await new Promise<void>(resolve => {
      socket.once('message', () => resolve())
      socket.send(frame)
    })
    took.push(performance.now() - startedMs)
  }
  return median(took)
}

function manyAtOnce(socket: WebSocket, rateMs: number): Promise<number> {
  const frame = Buffer.alloc(frameBytes, 1)
  const startedMs = performance.now()
  let back = 0
  return new Promise(resolve => {
    socket.on('message', () => {
      back++
      const tookMs = performance.now() - startedMs
      if (tookMs < rateMs) socket.send(frame)
      else {
        socket.removeAllListeners('message')
        resolve((back * 1000) / tookMs)
      }
    })
    for (let count = 0; count < framesUnderWay; count++) socket.send(frame)
  })
}

/** Measures all limits, the disk's ones where temporary files live (as the clusters of the bars do). */
export async function measureMachine(bytesPerRecord = 16, rateMs = usualRateMs): Promise<MachineLimits> {
  const folder = mkdtempSync(join(tmpdir(), 'coxswain-machine-'))
  try {
    const disk = {
      fdatasyncP50Ms: fdatasyncP50Ms(folder),
      sqliteRecordsPerSecond: sqliteRecordsPerSecond(folder, bytesPerRecord, rateMs),
      bytesPerRecord,
    }
    return { ...disk, ...(await echo(rateMs)) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
