// Holds the fault proxy to what it says that it does, with real WebSockets on both sides: bytes whole, frames whole, order kept, faults as asked.
// Must not start a cluster.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { Cutter, flipped } from '../../chaos/proxy/frames.ts'
import { FaultProxy } from '../../chaos/proxy/proxy.ts'
import { until } from '../cli/cox.ts'

/** A frame as a client or a server makes it. */
function frame(payload: Buffer, mask?: Buffer): Buffer {
  const length =
    payload.length < 126 ? Buffer.from([payload.length]) : payload.length < 65_536 ? Buffer.alloc(3, 126) : Buffer.alloc(9, 127)
  if (length.length === 3) length.writeUInt16BE(payload.length, 1)
  if (length.length === 9) length.writeBigUInt64BE(BigInt(payload.length), 1)
  if (!mask) return Buffer.concat([Buffer.from([0x82]), length, payload])
  length[0]! |= 0x80
  return Buffer.concat([Buffer.from([0x82]), length, mask, Buffer.from(payload.map((byte, at) => byte ^ mask[at % 4]!))])
}

describe('the cutter', () => {
  it('cuts head and frames of each length, masked or not, however the bytes arrive', () => {
    const head = Buffer.from('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n')
    const payloads = [0, 1, 125, 126, 65_535, 65_536, 70_000].map(length => Buffer.alloc(length, length % 251))
    const frames = payloads.flatMap(payload => [frame(payload), frame(payload, Buffer.from([1, 2, 3, 4]))])
    const stream = Buffer.concat([head, ...frames])
    for (const step of [997, 4096, stream.length]) {
      const cutter = new Cutter()
      const pieces = []
      for (let at = 0; at < stream.length; at += step) pieces.push(...cutter.take(stream.subarray(at, at + step)))
      assert.deepEqual(
        pieces.map(piece => piece.bytes.length),
        [head, ...frames].map(one => one.length),
      )
      assert.ok(Buffer.concat(pieces.map(piece => piece.bytes)).equals(stream))
      assert.equal(cutter.unfinished.length, 0)
      assert.deepEqual([pieces[0]!.kind, pieces[1]!.kind, pieces[1]!.opcode], ['head', 'frame', 2])
    }
  })

  it('cuts what arrives byte by byte', () => {
    const cutter = new Cutter()
    const small = Buffer.concat([
      Buffer.from('x\r\n\r\n'),
      ...[0, 5, 125, 300].map(length => frame(Buffer.alloc(length, 1), Buffer.from([1, 2, 3, 4]))),
    ])
    const pieces = [...small].flatMap(byte => cutter.take(Buffer.from([byte])))
    assert.equal(pieces.length, 5)
    assert.ok(Buffer.concat(pieces.map(piece => piece.bytes)).equals(small))
  })

  it('flips one bit of the payload, and none of the header', () => {
    const [piece] = ((cutter: Cutter) => {
      cutter.take(Buffer.from('x\r\n\r\n'))
      return cutter.take(frame(Buffer.from('abc'), Buffer.from([9, 9, 9, 9])))
    })(new Cutter())
    for (let bit = 0; bit < 24; bit++) {
      const other = flipped(piece!, bit)
      const changed = [...other].map((byte, at) => byte ^ piece!.bytes[at]!)
      assert.deepEqual(changed.slice(0, 6), [0, 0, 0, 0, 0, 0])
      assert.equal(changed[6 + (bit >> 3)], 1 << (bit & 7))
    }
  })
})

describe('the proxy', { timeout: 30_000 }, () => {
  let server: WebSocketServer
  let proxy: FaultProxy
  let seed = 1
  before(async () => {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    server.on('connection', socket => socket.on('message', data => socket.send(data)))
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    // Chance from a seed: the same in each run.
    proxy = await FaultProxy.start(
      () => `ws://127.0.0.1:${port}`,
      () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647,
    )
  })
  beforeEach(() => {
    seed = 1
    for (const way of ['up', 'down'] as const) proxy.disturb(way, {})
    Object.assign(proxy.done, { passed: 0, delayed: 0, dropped: 0, duplicated: 0, flipped: 0, cut: 0, connections: 0, resets: 0 })
  })
  after(async () => {
    await proxy[Symbol.asyncDispose]()
    for (const socket of server.clients) socket.terminate()
    server.close()
  })

  async function opened(): Promise<{ socket: WebSocket; heard: number[] }> {
    const socket = new WebSocket(proxy.address)
    const heard: number[] = []
    socket.on('message', data => heard.push(Number(data)))
    socket.on('error', () => undefined)
    await once(socket, 'open')
    return { socket, heard }
  }

  const numbers = Array.from({ length: 200 }, (_, i) => i)

  /** Sends all numbers, then resolves when `last` came back. */
  async function echoed(socket: WebSocket, heard: number[], last = numbers.at(-1)!): Promise<void> {
    for (const number of numbers) socket.send(String(number))
    while (!heard.includes(last)) await once(socket, 'message')
  }

  it('passes everything on as it is', async () => {
    const { socket, heard } = await opened()
    await echoed(socket, heard)
    assert.deepEqual(heard, numbers)
    assert.deepEqual([proxy.done.connections, proxy.done.passed], [1, 2 * numbers.length + 2])
    socket.terminate()
  })

  it('delays with jitter and keeps the order', async () => {
    proxy.disturb('up', { delayMs: [0, 5] })
    proxy.disturb('down', { delayMs: [1, 5] })
    const { socket, heard } = await opened()
    await echoed(socket, heard)
    assert.deepEqual(heard, numbers)
    assert.equal(proxy.done.delayed, 2 * numbers.length + 2)
    socket.terminate()
  })

  it('drops whole frames, doubles whole frames, never the first one', async () => {
    let passed = 0
    proxy.disturb('up', { drop: 0.3, duplicate: 0.3, passed: () => passed++ })
    const { socket, heard } = await opened()
    for (const number of numbers) socket.send(String(number))
    // The head is passed on too, and is no frame.
    await until(() => passed + proxy.done.dropped === numbers.length + 1)
    proxy.disturb('up', {})
    const { dropped, duplicated } = proxy.done
    socket.send('999')
    while (!heard.includes(999)) await once(socket, 'message')
    heard.pop()
    assert.ok(dropped > 0 && duplicated > 0)
    assert.equal(heard.length, numbers.length - dropped + duplicated)
    assert.equal(heard[0], 0)
    assert.deepEqual(
      heard,
      heard.toSorted((one, other) => one - other),
    )
    socket.terminate()
  })

  it('flips a bit of a payload, which the other side reads', async () => {
    proxy.disturb('up', { flip: 1, flipBit: 0 })
    const { socket, heard } = await opened()
    for (const text of ['0', '2', '4']) socket.send(text)
    while (heard.length < 3) await once(socket, 'message')
    assert.deepEqual(heard, [0, 3, 5])
    assert.equal(proxy.done.flipped, 2)
    socket.terminate()
  })

  it('cuts one way only', async () => {
    const { socket, heard } = await opened()
    proxy.disturb('down', { cut: true })
    const arrived = once([...server.clients].at(-1)!, 'message')
    socket.send('1')
    assert.equal(String((await arrived)[0]), '1')
    await until(() => proxy.done.cut === 1)
    proxy.disturb('down', {})
    socket.send('2')
    while (heard.length === 0) await once(socket, 'message')
    assert.deepEqual(heard, [2])
    assert.equal(proxy.done.cut, 1)
    socket.terminate()
  })

  it('stops reading one way, and reads on', async () => {
    const { socket, heard } = await opened()
    proxy.disturb('up', { stall: true })
    socket.send('7')
    proxy.disturb('up', {})
    while (heard.length === 0) await once(socket, 'message')
    assert.deepEqual(heard, [7])
    socket.terminate()
  })

  it('resets both sides, and forgets them', async () => {
    const { socket } = await opened()
    await until(() => proxy.open === 1 && server.clients.size === 1)
    const [there] = [...server.clients]
    const closed = Promise.all([once(socket, 'close'), once(there!, 'close')])
    proxy.reset()
    await closed
    assert.deepEqual([proxy.open, proxy.done.resets], [0, 1])
  })

  it('tells of each frame that was passed on', async () => {
    const { socket, heard } = await opened()
    const seen: number[] = []
    proxy.disturb('up', { passed: (piece, number) => piece.kind === 'frame' && seen.push(number) })
    for (const text of ['1', '2']) socket.send(text)
    while (heard.length < 2) await once(socket, 'message')
    assert.deepEqual(seen, [0, 1])
    socket.terminate()
  })
})
