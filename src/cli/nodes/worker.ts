// Owns the composition of a worker process: agent, platform, credentials and the way to the leader.
// Must not read the user's secret: a worker knows only its digest.
import { join } from 'node:path'
import type { ObjectStore } from '../../platform/index.ts'
import { openS3 } from '../../platform/node/index.ts'
import { Roster } from '../../protocol/index.ts'
import { Agent } from '../../worker/index.ts'
import { compileCacheFolder } from '../state/cache.ts'
import { readEndpoint } from '../state/endpoint.ts'
import { Home } from '../state/home.ts'
import { readToken } from '../state/tokens.ts'
import { announce, failure } from './announce.ts'
import { live } from './life.ts'
import { nodeNames, openMachine } from './machines.ts'
import { parseNodeOptions, type WorkerOptions } from './options.ts'

/** How often a worker that starts before its leader looks for the leader's address. */
const endpointPollMs = 10

/** The durable tier of blocks; what is wrong with it is told to the supervisor, and ends this process. */
async function openTier(address: string): Promise<ObjectStore> {
  try {
    return await openS3(address)
  } catch (error) {
    announce(failure(error))
    process.exit(1)
  }
}

/** Runs a worker until its supervisor ends it. */
export async function runWorker(args: string[]): Promise<void> {
  const options = parseNodeOptions<WorkerOptions>(args)
  const home = new Home(options.home)
  const { platform, machine } = await openMachine(home, options.name, options.logLevel)
  const token = machine ? '' : readToken(home, 'node')
  const roster = new Roster(machine ? machine.keeper.candidates.map(one => `wss://${one}`) : [])
  const tier = options.blocks === undefined ? undefined : await openTier(options.blocks)
  const agent = new Agent(
    {
      name: options.name,
      folder: home.worker(options.name),
      // Of all clusters of this user: the first executors of a new one start as fast as those of an old one.
      compiled: join(compileCacheFolder(), 'executors'),
      leads: address => roster.leader(address),
      async leader() {
        if (machine) return { address: roster.dial(), token }
        let endpoint = readEndpoint(home)
        while (!endpoint) {
          await new Promise<void>(resolve => setTimeout(resolve, endpointPollMs))
          endpoint = readEndpoint(home)
        }
        return { address: endpoint.address, token }
      },
      executors: options.executors,
      capacity: options.capacity,
      labels: options.labels,
      blockHost: options.host,
      ...(options.blockPort !== undefined && { blockPort: options.blockPort }),
      ...(options.blockAdvertise !== undefined && { blockAdvertise: options.blockAdvertise }),
      ...(machine && { identity: machine.keeper, cluster: machine.keeper.node.cluster }),
      ...(machine && { blockNameOf: nodeNames(machine) }),
      ...(tier && { tier }),
    },
    platform,
  )
  await live({
    async start() {
      await agent.start()
      // A worker that the leader drained has nothing left to do: it ends well, and is not started again.
      void agent.ended.then(reason => {
        platform.log('info', 'worker-ended', { reason })
        process.exit(0)
      })
      return { name: options.name }
    },
    async stop(reason, hurry) {
      await agent.stop(reason, hurry ? 0 : options.drainMs)
      tier?.close()
    },
  })
}
