// Owns the bar of a lock that nobody else wants: asked for and given back, each of them durable.
// Must not take a grant without a look at its token: it must be larger than that of the grant before.
import { type Bar, latencyFigures, repeated } from '../bar.ts'
import { oneByOne } from '../load.ts'
import { etcdLock } from '../peers/etcd.ts'
import { figureText, median, percentile } from '../statistics.ts'

export const lock: Bar = {
  name: 'lock',
  title: 'uncontended lock, acquired and released, both durable',
  peers: [etcdLock],
  async measure(bench) {
    const { client } = await bench.cluster()
    let token = 0
    const rounds = await repeated(bench, () =>
      oneByOne(bench.smoke, async () => {
        const grant = await client.lock('bench')
        if (grant.token <= token) throw new Error(`the token ${grant.token} came after ${token}`)
        token = grant.token
        await grant.release()
      }),
    )
    const floor = 2 * (bench.machine.fdatasyncP50Ms + bench.machine.echoP50Ms)
    const times = median(rounds.map(took => percentile(took, 0.5))) / floor
    return latencyFigures(rounds, {
      bar: { at: 1.5, side: 'at most' },
      ratio: `${figureText(times)} × (two fdatasyncs and two echoes)`,
    })
  },
}
