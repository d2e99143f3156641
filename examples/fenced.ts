// Shows why a lock alone does not protect, and how its fencing token does: a process that stood still writes late. Two processes add one
// each to a counter behind HTTP, in a table of SQLite; the first is stopped in the middle until its lock is another's.
// Run it beside a cluster, as its two processes share one: npm run cox -- up --detach, then node examples/fenced.ts, then npm run cox -- down
// In your own project import from 'coxswain'.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { type Cluster, connect } from '../src/index.ts'

/** A counter that takes no write with an older token than it has seen: the check and the write are one statement. */
export function fencedCounter(): { listen(): Promise<string>; close(): void } {
  const database = new DatabaseSync(':memory:')
  database.exec('CREATE TABLE counter (value INTEGER NOT NULL, token INTEGER NOT NULL); INSERT INTO counter VALUES (0, 0)')
  const read = database.prepare('SELECT value FROM counter')
  const write = database.prepare('UPDATE counter SET value = ?, token = ? WHERE token <= ?')
  const writeAnyway = database.prepare('UPDATE counter SET value = ?')
  const server = createServer((request, response) => {
    if (request.method === 'GET') return void response.end(String(read.get()!['value']))
    const token = request.headers['x-fencing-token']
    const value = Number(new URL(request.url!, 'http://here').searchParams.get('value'))
    const { changes } = token === undefined ? writeAnyway.run(value) : write.run(value, Number(token), Number(token))
    response.statusCode = changes === 0 ? 409 : 204
    response.end()
  })
  return {
    async listen() {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    },
    close() {
      server.close()
      server.closeAllConnections()
      database.close()
    },
  }
}

interface Writer {
  counter: string
  /** False: the negative control. */
  fenced: boolean
}

/** Adds one to the counter under the lock; `between` is where a process may stand still. False: the write was refused. */
async function addOne(cluster: Cluster, { counter, fenced }: Writer, between: () => Promise<void>): Promise<boolean> {
  const grant = await cluster.lock('counter', { ttl: '1s' })
  const value = Number(await (await fetch(counter)).text())
  await between()
  const headers: Record<string, string> = fenced ? { 'x-fencing-token': String(grant.token) } : {}
  const { status } = await fetch(`${counter}/?value=${value + 1}`, { method: 'PUT', headers })
  // Whoever lost it has nothing to give back.
  await grant.release().catch(() => undefined)
  return status === 204
}

/** The process that is stopped: it says when it has read, and writes when it is told to. */
async function child(writer: Writer): Promise<void> {
  await using cluster = await connect({ local: false })
  const told = once(process.stdin, 'data')
  let written = await addOne(cluster, writer, async () => {
    process.stdout.write('has read\n')
    await told
  })
  process.stdout.write(written ? 'written\n' : 'refused\n')
  while (!written) written = await addOne(cluster, writer, async () => {})
  process.stdin.destroy()
}

async function race(cluster: Cluster, fenced: boolean): Promise<void> {
  const resource = fencedCounter()
  const writer: Writer = { counter: await resource.listen(), fenced }
  const other = spawn(process.execPath, [fileURLToPath(import.meta.url), JSON.stringify(writer)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exit = once(other, 'exit')
  const lines = createInterface({ input: other.stdout })[Symbol.asyncIterator]()
  await lines.next()
  other.kill('SIGSTOP')
  // Granted once the other's second is over: nothing was heard of it.
  await addOne(cluster, writer, async () => {})
  other.kill('SIGCONT')
  other.stdin.write('write\n')
  const late = (await lines.next()).value
  await exit
  const value = Number(await (await fetch(writer.counter)).text())
  console.log(`${fenced ? 'with' : 'without'} the token: the late write was ${late}, the counter is ${value} after 2 additions`)
  resource.close()
}

if (import.meta.main) {
  const given = process.argv[2]
  if (given?.startsWith('{')) await child(JSON.parse(given) as Writer)
  else {
    await using cluster = await connect({ local: false })
    await race(cluster, true)
    await race(cluster, false)
  }
}
