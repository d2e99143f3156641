// Owns a client process that takes a lock, says so, and is killed. Must not end by itself.
import { connect } from '../../src/index.ts'

if (import.meta.main) {
  const [name] = process.argv.slice(2) as [string]
  const cluster = await connect({ local: false })
  const grant = await cluster.lock(name, { ttl: '1s' })
  process.stdout.write(`${grant.token}\n`)
  setInterval(() => undefined, 60_000)
}
