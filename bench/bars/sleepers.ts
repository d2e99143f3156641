// Owns the bar of what waits for time: schedules whose ticks are far off, and steps that sleep.
// Must not keep a connection while the leader is watched: that would be something to do.
import { type Cluster, schedule } from '../../src/index.ts'
import { type Bar, type Figure, sized } from '../bar.ts'
import { sleepers as sleepersFlow } from '../flows.ts'
import { pause } from '../pause.ts'
import { cpuSeconds, rssBytes } from '../process.ts'
import { noop } from '../tasks.ts'

const schedulesFull = 10_000
const schedulesSmoke = 50
const stepsFull = 100_000
const stepsSmoke = 500
const settleMsFull = 5000
const watchMsFull = 10_000
const watchMsSmoke = 500
const hourMs = 3_600_000
const megabyte = 1e6
const timezones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Shanghai']
/** Answers that are waited for at the same time. */
const atOnce = 500

/** Once a year, in each of the timezones, in a month that is far off. */
function definition(number: number, month: number) {
  const [minute, hour, day] = [number % 60, Math.floor(number / 60) % 24, 1 + (Math.floor(number / 1440) % 28)]
  return schedule({
    name: `bench-${number}`,
    cron: `${minute} ${hour} ${day} ${month} *`,
    timezone: timezones[number % timezones.length]!,
    task: noop,
    input: number,
  })
}

async function makeSchedules(client: Cluster, count: number): Promise<void> {
  const month = ((new Date().getUTCMonth() + 6) % 12) + 1
  for (let first = 0; first < count; first += atOnce)
    await Promise.all(
      Array.from({ length: Math.min(atOnce, count - first) }, (_, index) => client.schedule(definition(first + index, month))),
    )
}

async function countSchedules(client: Cluster): Promise<number> {
  let count = 0
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page = await client.schedules({ after })
    count += page.length
    after = page.at(-1)?.name
  }
  return count
}

export const sleepers: Bar = {
  name: 'sleepers',
  title: '10,000 schedules and 100,000 sleeping steps, nothing else to do',
  async measure(bench) {
    const { client, process: cluster } = await bench.cluster()
    const [schedules, steps] = [sized(bench, schedulesFull, schedulesSmoke), sized(bench, stepsFull, stepsSmoke)]
    await makeSchedules(client, schedules)
    const job = await client.submit(sleepersFlow, { steps, forMs: hourMs })
    const { leader } = await client.status()
    await client.close()
    await pause(sized(bench, settleMsFull, watchMsSmoke))
    const shares: number[] = []
    for (let round = 0; round < bench.repeats; round++) {
      const [before, startedMs] = [cpuSeconds(leader.pid), performance.now()]
      await pause(sized(bench, watchMsFull, watchMsSmoke))
      shares.push(((cpuSeconds(leader.pid) - before) * 100_000) / (performance.now() - startedMs))
    }
    const residentMb = rssBytes(leader.pid) / megabyte
    // All of them still wait, and each schedule would run what it is for.
    await using again = await cluster.connect()
    const waiting = (await again.job(job.id).status()).flow?.statuses.open
    if (waiting !== steps) throw new Error(`${waiting} steps sleep where ${steps} should`)
    const known = await countSchedules(again)
    if (known !== schedules) throw new Error(`${known} schedules are known where ${schedules} should`)
    const last = schedules - 1
    const triggered = await again.scheduled(`bench-${last}`).trigger()
    if ((await triggered.result()) !== last) throw new Error(`schedule bench-${last} ran something else`)
    const figures: Figure[] = [
      { what: 'leader', unit: '% of a core', values: shares, bar: { at: 2, side: 'at most' } },
      { what: 'leader', unit: 'MB resident', values: [residentMb] },
    ]
    return figures
  },
}
