// Owns the bars of tasks with payloads: 1 KiB and 64 KiB in and out.
// Must not send the same bytes twice in a row: each input says which one it is.
import { type Bar, type Bench, type Figure, repeated, seconds, sized } from '../bar.ts'
import { figureText, median } from '../statistics.ts'
import { echo } from '../tasks.ts'

const smallBytes = 1 << 10
const largeBytes = 64 << 10
const megabyte = 1e6

function* payloads(count: number, bytes: number): Generator<Uint8Array> {
  for (let index = 0; index < count; index++) {
    const payload = Buffer.alloc(bytes, index % 251)
    payload.writeUInt32LE(index, 0)
    yield payload
  }
}

/** Tasks per second that get and give `bytes`. */
async function rates(bench: Bench, bytes: number, count: number): Promise<number[]> {
  const { client } = await bench.cluster()
  return repeated(bench, async () => {
    let next = 0
    const took = await seconds(async () => {
      for await (const result of client.map(echo, payloads(count, bytes))) {
        const index = Buffer.from(result.buffer, result.byteOffset, result.byteLength).readUInt32LE(0)
        if (result.byteLength !== bytes || index !== next++)
          throw new Error(`task ${next - 1} gave ${result.byteLength} bytes of task ${index}`)
      }
    })
    if (next !== count) throw new Error(`${count} tasks gave ${next} results`)
    return count / took
  })
}

export const payloadTasks: Bar = {
  name: 'payloads',
  title: 'tasks of 1 KiB and of 64 KiB, in and out',
  journalBytesPerTask: 2 * smallBytes,
  async measure(bench) {
    const small = await rates(bench, smallBytes, sized(bench, 100_000, 500))
    const large = (await rates(bench, largeBytes, sized(bench, 6_000, 40))).map(rate => (rate * largeBytes) / megabyte)
    const share = median(small) / bench.machine.sqliteRecordsPerSecond
    const figures: Figure[] = [
      {
        what: '1 KiB',
        unit: 'tasks/s',
        values: small,
        bar: { at: 50_000, side: 'at least' },
        ratio: `${figureText(share)} × SQLite FULL records/s of ${2 * smallBytes} bytes`,
      },
      { what: '64 KiB', unit: 'MB/s each way', values: large, bar: { at: 100, side: 'at least' } },
    ]
    return figures
  },
}
