// Owns the bars of a journal in etcd: rate, round trip and failover, each beside what etcd itself does in the same run.
// Must not measure etcd without fsync.
import type { Bar, Bench, Figure } from '../bar.ts'
import { repeated, sized } from '../bar.ts'
import { callsPerSecond, oneByOne } from '../load.ts'
import { EtcdServers, oneTransaction, whyNoEtcd } from '../peers/etcd-server.ts'
import { GrpcClient } from '../peers/grpc.ts'
import { figureText, median, percentile } from '../statistics.ts'
import { noop } from '../tasks.ts'
import { drills, gapFigures, gapsOf, promiseFigures } from './failover.ts'
import { mapRate } from './throughput.ts'

const tasksFull = 200_000
const tasksSmoke = 1000
const value = Buffer.alloc(200, 'r')
/** Transactions under way at once, where their rate is measured: many clients that each journal a task of their own. */
const transactionsInFlight = 32

/** A client of etcd's own, and keys that were never written. */
function rawClient(servers: EtcdServers): { grpc: GrpcClient; call(): Promise<void> } {
  const grpc = new GrpcClient(servers.endpoints[0]!)
  let next = 0
  return { grpc, call: () => oneTransaction(grpc, `raw/${process.pid}/${next++}`, value) }
}

/** The bar where there is an etcd; without one a line says loudly that nothing was measured, and nothing else is said. */
function withEtcd(bar: Bar): Bar {
  return {
    ...bar,
    async measure(bench) {
      const why = await whyNoEtcd(bench.smoke)
      if (why === undefined) return bar.measure(bench)
      process.stderr.write(`SKIPPED, not measured: ${bar.name}: ${why}\n`)
      return []
    },
  }
}

function throughputOn(members: number, bar: number): Bar {
  return withEtcd({
    name: `etcd-${members}`,
    title: `durable no-op tasks, journal in etcd with ${members} member${members === 1 ? '' : 's'}, one client, \`map\`, 2 executors`,
    async measure(bench: Bench): Promise<Figure[]> {
      await using servers = await EtcdServers.start(members)
      const { client } = await bench.cluster(['--journal', servers.journal('bench'), '--candidates', '1'])
      const { grpc, call } = rawClient(servers)
      using _closed = grpc
      const count = sized(bench, tasksFull, tasksSmoke)
      const raw: number[] = []
      const values = await repeated(bench, async () => {
        raw.push(await callsPerSecond(bench.smoke, transactionsInFlight, call))
        return mapRate(client, count)
      })
      const ratios = values.map((rate, at) => rate / raw[at + 1]!)
      return [
        { what: 'tasks', unit: 'tasks/s', values, bar: { at: bar, side: 'at least' } },
        {
          what: 'to one transaction per task',
          unit: '×',
          values: ratios,
          bar: { at: 20, side: 'at least' },
          ratio: `${figureText(median(raw))} transactions/s, 32 in flight`,
        },
      ]
    },
  })
}

/** One member. */
export const etcdOne: Bar = throughputOn(1, 50_000)
/** Three members. */
export const etcdThree: Bar = throughputOn(3, 30_000)

export const etcdRoundTrip: Bar = withEtcd({
  name: 'etcd-round-trip',
  title: '`run` round trip, durable, journal in etcd with one member',
  async measure(bench) {
    await using servers = await EtcdServers.start(1)
    const { client } = await bench.cluster(['--journal', servers.journal('bench'), '--candidates', '1'])
    const { grpc, call } = rawClient(servers)
    using _closed = grpc
    const raw: number[] = []
    const rounds = await repeated(bench, async () => {
      raw.push(percentile(await oneByOne(bench.smoke, call), 0.5))
      return oneByOne(bench.smoke, input => client.run(noop, input))
    })
    const p50 = rounds.map(took => percentile(took, 0.5))
    return [
      { what: 'p50', unit: 'ms', values: p50 },
      { what: 'p99', unit: 'ms', values: rounds.map(took => percentile(took, 0.99)) },
      {
        what: 'p50 to that of a raw transaction',
        unit: '×',
        values: p50.map((ms, at) => ms / raw[at + 1]!),
        bar: { at: 2.5, side: 'at most' },
        ratio: `a transaction takes ${figureText(median(raw))} ms`,
      },
    ]
  },
})

export const etcdFailover: Bar = withEtcd({
  name: 'etcd-failover',
  title: 'SIGKILL of the leader under load to the next acknowledged write, journal in etcd with 3 members (`cox drill`, 10 kills a round)',
  async measure(bench) {
    await using servers = await EtcdServers.start(3)
    const { process: cluster } = await bench.cluster([
      '--journal',
      servers.journal('bench'),
      '--workers',
      '2',
      '--executors',
      '2',
      '--candidates',
      '3',
    ])
    const reports = await drills(bench, 'kills', cluster, sized(bench, 10, 1))
    return [...gapFigures('kill', gapsOf(reports), { p99Ms: 3000 }), ...promiseFigures(reports)]
  },
})
