// Owns the bar of large results: worker to client, past the leader.
// Must not hold the results: they are counted and dropped.
import { type Bar, type Figure, repeated, seconds, sized } from '../bar.ts'
import { rssBytes } from '../process.ts'
import { produce } from '../tasks.ts'

const pieceBytes = 10_000_000
const megabyte = 1e6

export const results: Bar = {
  name: 'results',
  title: '1 GB of results in 10 MB pieces, worker to client',
  async measure(bench) {
    const { client } = await bench.cluster()
    const pieces = sized(bench, 100, 3)
    const { leader } = await client.status()
    const grown: number[] = []
    const values = await repeated(bench, async round => {
      const before = rssBytes(leader.pid)
      const inputs = Array.from({ length: pieces }, (_, seed) => ({ bytes: pieceBytes, seed: round * pieces + seed }))
      let bytes = 0
      const took = await seconds(async () => {
        for await (const piece of client.map(produce, inputs)) bytes += piece.byteLength
      })
      if (bytes !== pieces * pieceBytes) throw new Error(`${pieces} pieces gave ${bytes} bytes`)
      if (round >= 0) grown.push((rssBytes(leader.pid) - before) / megabyte)
      return bytes / megabyte / took
    })
    const figures: Figure[] = [
      { what: 'results', unit: 'MB/s', values, bar: { at: 300, side: 'at least' } },
      { what: 'leader grows', unit: 'MB', values: grown, bar: { at: 50, side: 'at most' } },
    ]
    return figures
  },
}
