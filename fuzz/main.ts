// Owns `npm run fuzz -- --cases N --seed S`: mutants for all that reads bytes of others, and what became of them.
// Must not pass over a crash, an unhandled rejection, or memory without bound.
import { parseArgs } from 'node:util'
import { fuzzDecoders } from './decoders.ts'
import { numbers } from './mutate.ts'
import { fuzzSockets } from './sockets.ts'

/** One in so many goes through a socket: that costs a thousand times as much. */
const socketShare = 50
/** What may be in memory at most beyond the start. */
const growthBytesMax = 1 << 30

/** Memory at its most, looked at now and then. */
class Memory {
  readonly #startBytes = Memory.#now()
  mostBytes = 0

  static #now(): number {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }

  look(): void {
    this.mostBytes = Math.max(this.mostBytes, Memory.#now() - this.#startBytes)
    if (this.mostBytes > growthBytesMax) throw new Error(`memory grew by ${this.mostBytes} bytes`)
  }
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`--${name} must be a whole number, not ${text}`)
  return number
}

async function main(): Promise<void> {
  const options = { cases: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } } as const
  const { values } = parseArgs({ options })
  const cases = wholeNumber('cases', values.cases)
  const seed = wholeNumber('seed', values.seed)
  const startedMs = performance.now()
  const memory = new Memory()
  const overSockets = Math.floor(cases / socketShare)
  const tally = fuzzDecoders(cases - overSockets, numbers(seed), () => memory.look())
  process.stdout.write(`decoders: ${tally.read} read, ${tally.refused} refused with a typed error\n`)
  const sent = await fuzzSockets(overSockets, numbers(seed + 1), () => memory.look())
  process.stdout.write(`sockets: ${sent.requests} requests, ${sent.connections} connections with frames, ${sent.leaders} leaders\n`)
  const tookSeconds = ((performance.now() - startedMs) / 1000).toFixed(0)
  const growthMegabytes = (memory.mostBytes / 2 ** 20).toFixed(0)
  process.stdout.write(
    `${cases} cases of seed ${seed}: 0 crashes, 0 unhandled rejections, memory +${growthMegabytes} MB at most, ${tookSeconds} s\n`,
  )
}

function fail(kind: string): (error: unknown) => void {
  return error => {
    process.stderr.write(
      `${kind}: ${error instanceof Error ? `${error.stack}\n${error.cause instanceof Error ? error.cause.stack : ''}` : error}\n`,
    )
    process.exit(1)
  }
}

process.on('uncaughtException', fail('crash'))
process.on('unhandledRejection', fail('unhandled rejection'))
await main().catch(fail('failed'))
process.exit(0)
