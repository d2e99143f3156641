// Owns real etcd servers for tests of the journal: one for each test file and size, prefixes of their own below it.
// Must not assert anything.
import { after } from 'node:test'
import type { Etcd } from '../../src/journal/etcd/api.ts'
import { openEtcd } from '../../src/journal/etcd/client.ts'
import { type EtcdService, startEtcd, whyNoEtcd } from '../services/etcd.ts'

/** Sizes of clusters that tests run on. */
export const sizes = [1, 3] as const

/** Real members, started when they are first needed, and ended after all tests of the file. */
export class RealEtcd {
  readonly members: 1 | 3
  #service: Promise<EtcdService> | undefined
  #prefixes = 0
  readonly #open = new Set<Etcd>()

  constructor(members: 1 | 3) {
    this.members = members
    after(() => this.#close())
  }

  /** Why there are none here, or false. */
  static get missing(): string | false {
    return whyNoEtcd() ?? false
  }

  /** A prefix that nobody uses. */
  prefix(): string {
    return `/test-${++this.#prefixes}`
  }

  async connect(prefix: string): Promise<Etcd> {
    this.#service ??= startEtcd({ members: this.members })
    const { endpoints } = await this.#service
    const etcd = openEtcd({ endpoints, prefix, callWithinMs: 1000 })
    this.#open.add(etcd)
    return etcd
  }

  async #close(): Promise<void> {
    for (const etcd of this.#open) etcd.close()
    await (await this.#service)?.close()
  }
}
