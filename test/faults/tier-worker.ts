// Owns a worker with a durable tier, in a process of its own, for tests that kill it. Must not be imported.
import { join } from 'node:path'
import { readEndpoint } from '../../src/cli/state/endpoint.ts'
import { Home } from '../../src/cli/state/home.ts'
import { readToken } from '../../src/cli/state/tokens.ts'
import { nodePlatform, openS3 } from '../../src/platform/node/index.ts'
import { Agent } from '../../src/worker/index.ts'

const [state, name, tier] = process.argv.slice(2) as [string, string, string]
const home = new Home(state)
const agent = new Agent(
  {
    name,
    folder: join(state, name),
    leader: async () => ({ address: readEndpoint(home)?.address ?? '', token: readToken(home, 'node') }),
    executors: 1,
    capacity: { cpuMillis: 1000, memoryBytes: 3 * 2 ** 30, gpuMillis: 0, named: [] },
    labels: [],
    blockHost: '127.0.0.1',
    tier: await openS3(tier),
  },
  nodePlatform(name, 'error'),
)
await agent.start()
