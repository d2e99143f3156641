// Owns an agent in a process of its own, for tests that kill it. Must not be imported.
import { nodeTransport } from '../../src/platform/node/index.ts'
import { Agent } from '../../src/worker/index.ts'
import { compiled, testPlatform } from './fakes.ts'

const [folder, address] = process.argv.slice(2) as [string, string]
const agent = new Agent(
  {
    name: 'w1',
    folder,
    ...(compiled && { compiled }),
    leader: async () => ({ address, token: 'node-token' }),
    executors: 1,
    capacity: { cpuMillis: 1000, memoryBytes: 1 << 30, gpuMillis: 0, named: [] },
    labels: [],
    blockHost: '127.0.0.1',
  },
  testPlatform(nodeTransport),
)
await agent.start()
