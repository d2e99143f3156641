// Owns a proxy between a client and a server whose side to the client can be cut while the server knows nothing of it.
// Must not look into what passes.
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP proxy on loopback. */
export class CutProxy {
  readonly port: number
  readonly #server: Server
  readonly #pairs: { client: Socket; server: Socket }[]

  private constructor(server: Server, port: number, pairs: { client: Socket; server: Socket }[]) {
    this.#server = server
    this.port = port
    this.#pairs = pairs
  }

  static async start(target: number): Promise<CutProxy> {
    const pairs: { client: Socket; server: Socket }[] = []
    const server = createServer(client => {
      const upstream = connect(target, '127.0.0.1')
      pairs.push({ client, server: upstream })
      client.on('data', bytes => upstream.write(bytes))
      upstream.on('data', bytes => client.write(bytes))
      client.on('error', () => undefined)
      upstream.on('error', () => undefined)
      upstream.on('close', () => client.destroy())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new CutProxy(server, (server.address() as { port: number }).port, pairs)
  }

  /** The client's side of all connections is gone; the server's stays as it is. */
  cutClients(): void {
    for (const { client } of this.#pairs) client.resetAndDestroy()
  }

  async remove(): Promise<void> {
    for (const { client, server } of this.#pairs) {
      client.destroy()
      server.destroy()
    }
    this.#server.close()
    await once(this.#server, 'close')
  }
}
