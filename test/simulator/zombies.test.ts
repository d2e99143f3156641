// Shows whom the simulator counts as a zombie, that its zombie runs have some, and that crashes come in the middle of writes too.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { History } from '../../simulator/history.ts'
import { Boot, Kernel } from '../../simulator/kernel/kernel.ts'
import { run } from '../../simulator/run.ts'
import { drawScenario, type Fault } from '../../simulator/scenario.ts'
import { SharedStore, type StoreHandle } from '../../simulator/world/store.ts'
import { countZombies, drawZombies, zombieProbes } from '../../simulator/zombies.ts'
import type { Append } from '../../src/journal/index.ts'

/** A store where claims depose, and processes that open it. */
class Place {
  readonly kernel = new Kernel(1)
  readonly history = new History()
  readonly store = new SharedStore(this.kernel, { locking: false })

  constructor() {
    countZombies(this.store, this.history)
  }

  boot(name: string): { boot: Boot; handle: StoreHandle } {
    const boot = new Boot(this.kernel.node(name), 1)
    return { boot, handle: this.store.open(boot) }
  }

  row(epoch: number, firstIndex: number): Append {
    return { epoch, firstIndex, count: 1, records: new Uint8Array([epoch]), payloads: [], drops: [] }
  }

  /** What asks is asked, and the world runs until all of it is done. */
  async during<T>(asked: Promise<T>): Promise<T | undefined> {
    const outcome = asked.catch(() => undefined)
    await this.kernel.run(this.kernel.nowMs + 100)
    return outcome
  }

  claim(handle: StoreHandle, epoch: number): Promise<unknown> {
    const opening = this.row(epoch, epoch)
    const claim = { seenEpoch: epoch - 1, leader: 'c', pid: 1, processStart: '', address: '', opening }
    return this.during(handle.leadership.claim(claim))
  }

  /** Something reaches the process. */
  async reach(boot: Boot): Promise<void> {
    this.kernel.at(boot, 1, 'io', () => {})
    await this.kernel.run(this.kernel.nowMs + 2)
  }

  get counted(): (number | undefined)[] {
    return Object.values(zombieProbes).map(name => this.history.probes.get(name))
  }
}

describe('a zombie is counted', () => {
  test('once, when it runs after a pause in which another one claimed, and when it asks to write', async () => {
    const place = new Place()
    const one = place.boot('c1')
    const other = place.boot('c2')
    await place.claim(one.handle, 1)
    place.kernel.pause(one.boot.node)
    await place.claim(other.handle, 2)
    await place.reach(one.boot)
    assert.deepEqual(place.counted, [undefined, undefined, undefined])
    place.kernel.resume(one.boot.node)
    await place.reach(one.boot)
    await place.reach(one.boot)
    assert.deepEqual(place.counted, [1, undefined, undefined])
    for (let times = 0; times < 2; times++) assert.equal(await place.during(one.handle.journal.append(place.row(1, 3))), 'fenced')
    assert.deepEqual(place.counted, [1, undefined, 1])
  })

  test('apart, when it was not paused', async () => {
    const place = new Place()
    const one = place.boot('c1')
    await place.claim(one.handle, 1)
    await place.claim(place.boot('c2').handle, 2)
    await place.reach(one.boot)
    assert.deepEqual(place.counted, [undefined, 1, undefined])
  })

  test('not when it is killed before it runs, when it had resigned, or when it follows itself', async () => {
    const place = new Place()
    const killed = place.boot('c1')
    await place.claim(killed.handle, 1)
    place.kernel.pause(killed.boot.node)
    const resigned = place.boot('c2')
    await place.claim(resigned.handle, 2)
    killed.boot.alive = false
    place.kernel.resume(killed.boot.node)
    await place.reach(killed.boot)
    await place.claim(resigned.handle, 3)
    const { leadership } = resigned.handle as { leadership: { resign?(): Promise<void> } }
    await place.during(leadership.resign!())
    await place.claim(place.boot('c3').handle, 4)
    await place.reach(resigned.boot)
    assert.deepEqual(place.counted, [undefined, undefined, undefined])
  })
})

test('runs that are drawn for zombies have some, and break no rule', async () => {
  let resumed = 0
  let wrote = 0
  for (const seed of [1, 2, 3, 4]) {
    const { probes, violations } = await run(drawZombies(seed))
    assert.deepEqual(violations, [])
    resumed += probes[zombieProbes.resumed] ?? 0
    wrote += probes[zombieProbes.wrote] ?? 0
  }
  assert.ok(resumed > 2 && wrote > 0, `${resumed} ${wrote}`)
})

test('a crash waits for a write of its own kind, if its share says so', async () => {
  const drawn = drawScenario(4)
  const knobs = { ...drawn.knobs, snapshotRecords: 5 }
  const calm = {
    ...drawn,
    candidates: 2,
    workers: 2,
    workloads: ['runs', 'maps'],
    knobs,
    drift: 0,
    classes: [],
    outsiders: [],
    safetyMs: 6000,
  }
  const crash = (kind: Fault['kind'], target: string, share: number, atMs: number): Fault => ({ atMs, kind, target, forMs: 50, share })
  const deaths = async (...faults: Fault[]): Promise<string[]> => {
    const { probes, violations } = await run({ ...calm, faults })
    assert.deepEqual(violations, [])
    return Object.keys(probes).filter(name => name.startsWith('death while'))
  }
  assert.deepEqual(await deaths(crash('crash-candidate', 'leader', 0.3, 1800)), ['death while it wrote its journal'])
  assert.deepEqual(await deaths(crash('crash-candidate', 'leader', 0.1, 1800)), ['death while it wrote its snapshot'])
  assert.deepEqual(await deaths(crash('crash-worker', 'w1', 0.1, 1500)), ['death while it wrote its file'])
  assert.deepEqual(await deaths(crash('crash-candidate', 'leader', 0.9, 1800), crash('crash-worker', 'w1', 0.9, 1500)), [])
})
