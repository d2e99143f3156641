// Owns journals in etcd for tests: on the simulated server, whose time runs as long as a test uses it, and how single bytes below a prefix are damaged.
// Must not assert anything.
import { Boot, Kernel } from '../../simulator/kernel/kernel.ts'
import { SimulatedEtcd } from '../../simulator/world/etcd.ts'
import type { Place, TestStore } from '../../src/journal/conformance/index.ts'
import type { Etcd } from '../../src/journal/etcd/api.ts'
import type { StoreClock } from '../../src/journal/etcd/caller.ts'
import { type EtcdStoreOptions, openEtcdStore } from '../../src/journal/etcd/index.ts'
import { decodeIndex } from '../../src/journal/etcd/values.ts'
import type { RealEtcd } from './etcd-real.ts'

/** A simulated server with a time of its own, which runs until `end`. */
export class EtcdBench {
  readonly kernel: Kernel
  readonly server: SimulatedEtcd
  #running = true
  #boots = 0
  readonly #alive = new Map<TestStore, Boot>()

  constructor(seed = 1) {
    this.kernel = new Kernel(seed)
    this.server = new SimulatedEtcd(this.kernel)
    const turn = (): void => {
      if (!this.#running) return
      void this.kernel.run(this.kernel.nowMs + 20).then(() => setImmediate(turn))
    }
    turn()
  }

  /** A process of its own. */
  boot(name = `c${this.#boots + 1}`): Boot {
    return new Boot(this.kernel.node(name), ++this.#boots)
  }

  clock(boot: Boot): StoreClock {
    return {
      monotonicMs: () => this.kernel.monotonicMs(boot.node),
      timer: (delayMs, callback) => this.kernel.at(boot, delayMs, 'timer', callback),
    }
  }

  async open(options: Partial<EtcdStoreOptions> = {}, boot = this.boot()): Promise<TestStore> {
    const store = await openEtcdStore({ etcd: this.server.connect(boot), clock: this.clock(boot), ...options })
    this.#alive.set(store, boot)
    return store
  }

  /** Ends a handle as kill -9 ends its process. */
  crash(store: TestStore): void {
    this.#alive.get(store)!.alive = false
  }

  bootOf(store: TestStore): Boot {
    return this.#alive.get(store)!
  }

  /** Resolves when so much of the server's time is over. */
  pass(delayMs: number): Promise<void> {
    return new Promise(resolve => void this.kernel.at(undefined, delayMs, 'io', resolve))
  }

  end(): void {
    this.#running = false
  }
}

/** Changes one bit of a key's value. `at`: from its end, where it is negative. */
async function flip(etcd: Etcd, key: string, at: number): Promise<void> {
  const [kept] = (await etcd.range({ key })).rows
  if (!kept) throw new Error(`there is no key ${key}`)
  const value = Uint8Array.from(kept.value)
  value[at < 0 ? value.length + at : at]! ^= 0x10
  await etcd.transact({ compare: [], success: [{ put: { key, value } }] })
}

async function keyBefore(etcd: Etcd, from: string, end: string): Promise<string> {
  return (await etcd.range({ key: from, end, descending: true, limit: 1, keysOnly: true })).rows[0]!.key
}

const hex = (value: number): string => value.toString(16).padStart(16, '0')

/** How a journal in etcd is damaged. */
function damageOf(connect: () => Promise<Etcd>): NonNullable<Place['damage']> {
  let opened: Etcd | undefined
  const etcd = (): Etcd => opened!
  const damage = damageThrough(etcd)
  const ready =
    <T>(act: (of: T) => Promise<void>) =>
    async (of: T): Promise<void> => {
      opened = await connect()
      await act(of)
    }
  return { row: ready(damage.row), payload: ready(damage.payload), snapshot: ready(damage.snapshot), history: ready(damage.history) }
}

function damageThrough(etcd: () => Etcd): NonNullable<Place['damage']> {
  return {
    row: async index => flip(etcd(), await keyBefore(etcd(), 'row/', `row/${hex(index + 1)}`), -1),
    async payload(payload) {
      const list = (await etcd().range({ key: 'index/', end: `index/${hex(payload + 1)}`, descending: true, limit: 1 })).rows[0]!
      const { first, entries } = decodeIndex(list.key, list.value)
      const { offset } = entries.get(payload)!
      await flip(etcd(), offset < 0 ? `blob/p${hex(payload)}/000000` : `blob/b${hex(first)}/000000`, Math.max(0, offset))
    },
    async snapshot(index) {
      const kept = (await etcd().range({ key: `snapshot/${hex(index)}` })).rows[0]!
      const { name } = JSON.parse(Buffer.from(kept.value.subarray(4)).toString()) as { name: string }
      await flip(etcd(), `blob/${name}/000000`, 0)
    },
    async history(job) {
      const kept = (await etcd().range({ key: `job/${job}` })).rows[0]!
      await flip(etcd(), `history/${hex(Number(Buffer.from(kept.value.subarray(4)).toString()))}`, -1)
    },
  }
}

/** A place on a simulated server. */
export function simulatedPlace(rowBytesKept: number): Place {
  const bench = new EtcdBench()
  return {
    open: () => bench.open({ rowBytesKept }),
    crash: async store => bench.crash(store),
    damage: damageOf(async () => bench.server.connect()),
    remove: async () => bench.end(),
  }
}

/** A place on a real server: a prefix of its own. */
export function realPlace(real: RealEtcd, rowBytesKept: number): Place {
  const prefix = real.prefix()
  return {
    open: async () => openEtcdStore({ etcd: await real.connect(prefix), rowBytesKept }),
    damage: damageOf(() => real.connect(prefix)),
    remove: async () => undefined,
  }
}
