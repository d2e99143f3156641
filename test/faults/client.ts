// Owns a client process that is killed: it submits two jobs, one that goes on without it and one that does not, says so, and waits.
// Must not end by itself.
import { connect } from '../../src/index.ts'
import { gated } from './tasks.ts'

if (import.meta.main) {
  const [trace, open] = process.argv.slice(2) as [string, string]
  const cluster = await connect({ local: false })
  await cluster.submit(gated, { trace, name: 'detached', open }, { id: 'detached' })
  await cluster.submit(gated, { trace, name: 'attached', open }, { id: 'attached', detached: false })
  process.stdout.write('submitted\n')
  setInterval(() => undefined, 60_000)
}
