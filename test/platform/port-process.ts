// Owns a port in a process of its own, for tests that take its open files away. Must not be imported.
import { openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { listenLimits } from '../../src/platform/node/index.ts'
import { TestPort } from './port.ts'

const port = await TestPort.open({ limits: { ...listenLimits, headersTimeoutMs: 60_000, requestTimeoutMs: 60_000 } })
process.stdout.write(`${port.address}\n`)
createInterface({ input: process.stdin }).on('line', () => {
  openSync(import.meta.filename, 'r')
  process.stdout.write('opened\n')
})
