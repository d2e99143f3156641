// Owns a process that opens many TCP connections, says how many were accepted by the system, and holds them until its stdin ends.
// Must not speak on any of them.
import { connect, type Socket } from 'node:net'

const atOnce = 200

if (import.meta.main) {
  const [port, count] = process.argv.slice(2).map(Number) as [number, number]
  const sockets: Socket[] = []
  let open = 0
  let failed = 0
  const one = (): Promise<void> =>
    new Promise(resolve => {
      const socket = connect({ port, host: '127.0.0.1' })
      sockets.push(socket)
      socket.once('connect', () => {
        open++
        resolve()
      })
      socket.on('error', () => {
        failed++
        resolve()
      })
    })
  while (open + failed < count) await Promise.all(Array.from({ length: Math.min(atOnce, count - open - failed) }, one))
  process.stdout.write(`${JSON.stringify({ open, failed })}\n`)
  process.stdin.on('close', () => process.exit(0)).resume()
}
