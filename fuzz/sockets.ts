// Owns mutants that go through sockets: HTTP to both ports, and frames to the sessions of a leader.
// Must not wait for ever: whoever does not end a connection within the limit has hung.
import { connect as connectTcp } from 'node:net'
import { makeNodeTransport } from '../src/platform/node/index.ts'
import { blockBearerHeader, encodeMessage, hello, limits, protocolVersion, release, type WorkerAddress } from '../src/protocol/index.ts'
import { allCodecs, samplesOf } from '../test/protocol/samples.ts'
import { FuzzedCluster } from './cluster.ts'
import { askForGrant, session } from './grant.ts'
import { mutant, type Numbers } from './mutate.ts'

const hangMs = 60_000
const atOnce = 16
const block = 'ab'.repeat(32)
const transport = makeNodeTransport()

function request(line: string, ...headers: string[]): Buffer {
  return Buffer.from([line, 'host: localhost', ...headers, '', ''].join('\r\n'))
}

const right = (capability: string): string[] => [`authorization: Bearer ${capability}`, `${blockBearerHeader}: ${session}`]
const upgrade = ['connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13', 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==']
const user = 'authorization: Bearer user'
/** Requests to both ports; what `granted` brings gives the right to blocks. */
const requestsWith = (granted: WorkerAddress): Buffer[] => [
  request('GET /healthz HTTP/1.1'),
  request('GET / HTTP/1.1', user),
  request('GET / HTTP/1.1', user, ...upgrade),
  Buffer.concat([request('GET / HTTP/1.1', user, ...upgrade), Buffer.from('8285000000006865 6c6c6f'.replace(' ', ''), 'hex')]),
  Buffer.concat([
    request('POST /v1/enrol HTTP/1.1', user, 'content-type: application/json', 'content-length: 28'),
    Buffer.from('{"__proto__":{"admin":true}}'),
  ]),
  Buffer.concat([request('POST /x HTTP/1.1', user, 'transfer-encoding: chunked'), Buffer.from('5\r\nhello\r\n0\r\n\r\n')]),
  request('GET /x HTTP/1.1', user, 'expect: 100-continue', 'content-encoding: br', 'content-length: 9'),
  request(`GET /blocks/${block} HTTP/1.1`, ...right(granted.read), 'range: bytes=0-10', 'accept: application/octet-stream'),
  request(`HEAD /blocks/${block} HTTP/1.1`, ...right(granted.read)),
  Buffer.concat([request(`PUT /blocks/${block} HTTP/1.1`, ...right(granted.write), 'content-length: 5'), Buffer.from('hello')]),
  request('GET /blocks/..%2f..%2fepoch.json HTTP/1.1', ...right(granted.read), 'x: '.padEnd(2000, 'y')),
  Buffer.from('160301020001000001fc0303'.padEnd(300, '0'), 'hex'),
]

const frames = new Map(
  ['clientToLeader', 'workerToLeader', 'candidateToLeader'].map(wanted => {
    const codec = allCodecs().find(([name]) => name === wanted)![1]
    return [wanted, samplesOf(wanted, codec).map(([, sample]) => Buffer.from(encodeMessage(codec, sample)))] as const
  }),
)
const speakers = [
  { role: 'client', token: 'user', frames: frames.get('clientToLeader')! },
  { role: 'worker', token: 'node', frames: frames.get('workerToLeader')! },
  { role: 'candidate', token: 'node', frames: frames.get('candidateToLeader')! },
] as const

/** Resolves when `ended` was called; throws when it is not, in time. */
async function untilEnded(what: () => string, begin: (ended: () => void) => void): Promise<void> {
  const done = Promise.withResolvers<void>()
  const hung = setTimeout(() => done.reject(new Error(`the connection was not ended: ${what()}`)), hangMs)
  begin(done.resolve)
  try {
    await done.promise
  } finally {
    clearTimeout(hung)
  }
}

function sendRequest(port: number, bytes: Buffer): Promise<void> {
  return untilEnded(
    () => bytes.toString('hex').slice(0, 4000),
    ended => {
      const socket = connectTcp(port, '127.0.0.1')
      socket.on('error', () => undefined).on('data', () => undefined)
      socket.on('close', ended)
      socket.end(bytes)
    },
  )
}

/** A greeting, right or not, and some frames; then it goes. */
function sendFrames(address: string, next: Numbers): Promise<void> {
  const speaker = speakers[next(speakers.length)]!
  const name = `fuzz-${next(50)}`
  const greeting = {
    protocol: protocolVersion,
    release,
    role: speaker.role,
    name,
    cluster: '',
    epochSeen: 0,
    session: `session-${next(50)}`,
  }
  const right = Buffer.from(encodeMessage(hello, greeting))
  const sent = [next(10) === 0 ? mutant([right], next) : right]
  for (let count = 1 + next(6); count > 0; count--) sent.push(mutant(speaker.frames, next))
  return untilEnded(
    () => sent.map(frame => frame.toString('hex').slice(0, 2000)).join(' '),
    ended => {
      const connection = transport.connect(address, speaker.token, limits.frameBytesMax, {
        opened() {
          for (const frame of sent) connection.send(frame)
          connection.close('that was all')
        },
        frame() {},
        closed: ended,
      })
    },
  )
}

/** How many mutants went where. */
export interface Sent {
  requests: number
  connections: number
  leaders: number
}

/** Sends so many mutants to a real leader and a real worker, and looks whether both still answer. */
export async function fuzzSockets(cases: number, next: Numbers, count: (done: number) => void): Promise<Sent> {
  await using cluster = await FuzzedCluster.start()
  const sent: Sent = { requests: 0, connections: 0, leaders: 0 }
  let requests: Buffer[] = []
  let leaders = 0
  for (let done = 0; done < cases; done += atOnce) {
    count(done)
    // Each leader gives its worker another key.
    if (leaders < cluster.leaders) {
      leaders = cluster.leaders
      requests = requestsWith(await askForGrant(() => cluster.address))
    }
    const each = Array.from({ length: Math.min(atOnce, cases - done) }, () => {
      if (next(3) > 0) {
        sent.connections++
        return sendFrames(cluster.address, next)
      }
      sent.requests++
      const { port } = new URL(next(2) === 0 ? cluster.address : cluster.agent.blocks)
      return sendRequest(Number(port), mutant(requests, next))
    })
    await Promise.all(each)
  }
  await stillWell(cluster)
  return { ...sent, leaders: cluster.leaders }
}

async function stillWell(cluster: FuzzedCluster): Promise<void> {
  const { read } = await askForGrant(() => cluster.address)
  const { address, agent } = cluster
  const health = await fetch(`${address.replace('ws', 'http')}/healthz`)
  if (health.status !== 200) throw new Error(`the leader says ${health.status}`)
  const headers = { authorization: `Bearer ${read}`, [blockBearerHeader]: session }
  const missing = await fetch(`${agent.blocks}/blocks/${block}`, { headers })
  if (missing.status !== 404) throw new Error(`the worker says ${missing.status}`)
  if (Reflect.get({}, 'admin') !== undefined) throw new Error('a request changed the prototype of all objects')
}
