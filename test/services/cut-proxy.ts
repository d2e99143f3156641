// Owns a proxy between a client and a server whose side to the client can be cut while the server knows nothing of it, and that can hold back what is sent.
// Must not change what passes.
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

interface Pair {
  client: Socket
  server: Socket
  /** What is held back, from the first piece on that had to be. */
  held: Buffer[] | undefined
}

/** A TCP proxy on loopback. */
export class CutProxy {
  readonly #server: Server
  readonly #pairs: Pair[] = []
  #hold: { word: string; began(): void } | undefined
  #forwarded: { word: string; done(): void } | undefined

  private constructor(target: number) {
    this.#server = createServer(client => this.#connect(client, target))
  }

  static async start(target: number): Promise<CutProxy> {
    const proxy = new CutProxy(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  /** Resolves when the next piece of a client with this word in it was given to the server's side. */
  forwarded(word: string): Promise<void> {
    return new Promise(resolve => {
      this.#forwarded = { word, done: resolve }
    })
  }

  /** From now on a connection goes no further where a client sends something with this word in it. Resolves when that is so. */
  holdBack(word: string): Promise<void> {
    return new Promise(resolve => {
      this.#hold = { word, began: resolve }
    })
  }

  /** Sends what was held back. */
  letGo(): void {
    this.#hold = undefined
    for (const pair of this.#pairs) {
      for (const bytes of pair.held ?? []) pair.server.write(bytes)
      pair.held = undefined
    }
  }

  /** The client's side of all connections is gone; gives what tells their servers so. */
  cutClients(): () => void {
    const cut = this.#pairs.splice(0)
    for (const { client } of cut) client.resetAndDestroy()
    return () => {
      for (const { server } of cut) server.end()
    }
  }

  async remove(): Promise<void> {
    for (const { client, server } of this.#pairs) {
      client.destroy()
      server.destroy()
    }
    this.#server.close()
    await once(this.#server, 'close')
  }

  #connect(client: Socket, target: number): void {
    const server = connect(target, '127.0.0.1')
    const pair: Pair = { client, server, held: undefined }
    this.#pairs.push(pair)
    client.on('data', bytes => this.#pass(pair, bytes))
    server.on('data', bytes => client.write(bytes))
    client.on('error', () => undefined)
    server.on('error', () => undefined)
    server.on('close', () => client.destroy())
  }

  #pass(pair: Pair, bytes: Buffer): void {
    if (this.#hold && (pair.held || bytes.includes(this.#hold.word))) {
      pair.held ??= []
      pair.held.push(bytes)
      return this.#hold.began()
    }
    const awaited = this.#forwarded
    pair.server.write(bytes, () => {
      if (awaited && bytes.includes(awaited.word)) awaited.done()
    })
  }
}
