// Shows what deaths of processes leave on simulated disks: what was answered always, of the rest all, a part or nothing.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Boot, Kernel } from '../../simulator/kernel/kernel.ts'
import { RandomStream } from '../../simulator/kernel/random.ts'
import { Disk } from '../../simulator/world/disk.ts'
import { Losses, type Waiting } from '../../simulator/world/losses.ts'
import type { Append } from '../../src/journal/index.ts'

const deaths = 200
const old = Buffer.from('what was there before')
const fresh = Buffer.from('what is written when its process dies')

/** A disk with one answered file, over several lives of its node. */
function node(): { disk: Disk; kernel: Kernel; live(): Boot; during<T>(asked: Promise<T>): Promise<T> } {
  const kernel = new Kernel(3)
  const owner = kernel.node('w1')
  let boots = 0
  return {
    disk: new Disk(kernel),
    kernel,
    live: () => new Boot(owner, ++boots),
    async during(asked) {
      await kernel.run(kernel.nowMs + 60)
      return asked
    },
  }
}

test('a synced write under way is done, not done, or left in part beside; what was answered stays', async () => {
  const { disk, kernel, live, during } = node()
  const seen = { done: 0, nothing: 0, part: 0 }
  for (let death = 0; death < deaths; death++) {
    const boot = live()
    const files = disk.files(boot)
    await during(files.writeSynced('/w1/one', [old]))
    void files.writeSynced('/w1/one', [fresh])
    boot.alive = false
    await kernel.run(kernel.nowMs + 60)
    const next = disk.files(live())
    const bytes = await during(next.read('/w1/one'))
    const beside = await during(next.list('/w1'))
    assert.ok(bytes.equals(old) || bytes.equals(fresh))
    if (bytes.equals(fresh)) seen.done++
    else seen[beside.length > 1 ? 'part' : 'nothing']++
    for (const name of beside.filter(one => one.endsWith('.tmp'))) {
      const part = await during(next.read(`/w1/${name}`))
      assert.ok(part.length < fresh.length && part.equals(fresh.subarray(0, part.length)))
      await during(next.remove(`/w1/${name}`))
    }
  }
  assert.equal(disk.late, seen.done)
  assert.equal(disk.torn, seen.part)
  assert.ok(Math.min(seen.done, seen.nothing, seen.part) > deaths / 10, JSON.stringify(seen))
})

test('of bytes that were added and not synced any part is there, of the others all', async () => {
  const { disk, live, during } = node()
  const lengths = new Set<number>()
  for (let death = 0; death < deaths; death++) {
    const boot = live()
    const files = disk.files(boot)
    await during(files.writeSynced('/w1/log', [old]))
    await during(files.append('/w1/log', fresh))
    boot.alive = false
    const bytes = await during(disk.files(live()).read('/w1/log'))
    assert.ok(bytes.length >= old.length && bytes.equals(Buffer.concat([old, fresh]).subarray(0, bytes.length)))
    lengths.add(bytes.length)
  }
  assert.ok(lengths.size > 10)
})

test('of writes to a journal that are under way the first ones are done, and only the next may be there in part', () => {
  const losses = new Losses()
  const stream = new RandomStream(1, 'deaths')
  const shapes = new Set<string>()
  for (let death = 0; death < deaths; death++) {
    let what = ''
    const waiting = Array.from({ length: 3 }, (): Waiting => {
      const note = (letter: string) => async (): Promise<void> => void (what += letter)
      return { append: {} as Append, effect: note('d'), tear: note('t') }
    })
    losses.settle(waiting, stream)
    shapes.add(what)
  }
  assert.deepEqual([...shapes].sort(), ['ddd', 'ddt', 'dt', 't'])
  assert.equal(losses.lost + losses.late, 3 * deaths)
})
