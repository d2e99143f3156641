// Shows schedules: one at night, which is run now for once, and one of each second whose runs take longer than that.
// Run it with: node examples/nightly.ts (it starts a cluster for itself where none is up). In your own project import from 'coxswain'.
import { setTimeout as pause } from 'node:timers/promises'
import { connect, schedule, task, workflow } from '../src/index.ts'

const collect = task({ name: 'collect', run: (from: string) => [`${from}-1`, `${from}-2`, `${from}-3`] })
const digest = task({ name: 'digest', run: (item: string) => item.length })
const report = task({ name: 'report', run: (sizes: number[]) => `${sizes.length} items, ${sizes.reduce((a, b) => a + b, 0)} characters` })
const slow = task({ name: 'slow', run: () => pause(1400) })

/** What is done each night. */
export const nightly = workflow({
  name: 'nightly',
  build: (flow, { from }: { from: string }) => flow.run(report, flow.map(digest, flow.run(collect, from))),
})

/** At two in the morning; if the last night's run is still at it, this one waits for it. */
export const atNight = schedule({
  ...{ name: 'at-night', cron: '0 2 * * *', timezone: 'Europe/Berlin' },
  ...{ workflow: nightly, input: { from: 'orders' }, overlap: 'queue' },
})

/** Each second, but never beside itself: ticks that come too early are skipped. */
export const eachSecond = schedule({ name: 'each-second', every: '1s', task: slow, overlap: 'skip' })

if (import.meta.main) {
  await using cluster = await connect()

  const night = await cluster.schedule(atNight)
  const run = await night.trigger()
  console.log(await run.result())

  const second = await cluster.schedule(eachSecond)
  let status = await second.status()
  while (status.ran < 2 || status.skipped < 1) {
    await pause(100)
    status = await second.status()
  }
  await second.delete()
  console.log(`${status.running.length <= 1 ? 'never two at a time' : 'two at a time'}`)
  console.log((await cluster.schedules()).map(one => `${one.name}: ${one.cron} ${one.timezone}, ran ${one.ran} time`).join('\n'))
}
