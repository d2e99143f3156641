// Shows by scenarios that each tick of a schedule has one run, under each rule of overlap, whoever leads.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Command, Reply } from '../../src/core/commands.ts'
import { momentOf } from '../../src/core/views/moment.ts'
import { viewSchedules } from '../../src/core/views/schedules.ts'
import { Story } from '../../src/core/views/story.ts'
import { why } from '../../src/core/views/why.ts'
import type { ScheduleSpec } from '../../src/protocol/index.ts'
import { inputs, plan, program } from '../fakes/plans.ts'
import { type Harness, scenario } from './harness.ts'

const hourMs = 3_600_000

function submission(job: string): Extract<Command, { kind: 'runSchedule' }>['submission'] {
  return { plan: plan(job), inputs: [inputs(1)] }
}

function make(cluster: Harness, more: Partial<ScheduleSpec> = {}, replace = false): Reply {
  const spec: ScheduleSpec = {
    ...{ schedule: 'hourly', contentHash: 'a'.repeat(64), cron: '0 * * * *', timezone: '', everyMs: 0 },
    ...{ overlap: 'skip', catchUp: 'last', name: 'work', programs: [program] },
    ...more,
  }
  return cluster.ask({ kind: 'setSchedule', spec, bytes: Buffer.from('what'), submission: submission('check'), nextAtMs: hourMs, replace })
}

/** The tick of an hour, as the leader's clock asks for it. */
function tick(cluster: Harness, hour: number, more: Partial<Extract<Command, { kind: 'tickSchedule' }>> = {}): void {
  const atMs = hour * hourMs
  const command = {
    schedule: 'hourly',
    dueMs: atMs,
    atMs,
    nextAtMs: atMs + hourMs,
    missed: false,
    submission: submission(`hourly@${hour}`),
  }
  assert.equal(cluster.ask({ kind: 'tickSchedule', ...command, ...more }).kind, 'done')
  cluster.settle()
}

function runs(cluster: Harness): string[] {
  return cluster.of('ScheduleRan').map(record => record.job)
}

describe('a schedule', () => {
  it(
    'runs once at each tick, also where two leaders ask for it',
    scenario(cluster => {
      const worker = cluster.join('w')
      make(cluster)
      tick(cluster, 1)
      cluster.takeOver()
      cluster.register(worker)
      tick(cluster, 1)
      cluster.settle()
      cluster.finishAll()
      tick(cluster, 2)
      assert.deepEqual(runs(cluster), ['hourly@1', 'hourly@2'])
    }),
  )

  it(
    'loses no tick to a leader that dies in it',
    scenario(cluster => {
      make(cluster)
      cluster.dieIn(() => tick(cluster, 1))
      assert.deepEqual(runs(cluster), [])
      tick(cluster, 1)
      assert.deepEqual(runs(cluster), ['hourly@1'])
    }),
  )

  it(
    'skips a tick while its last run has not ended',
    scenario(cluster => {
      cluster.join('w')
      make(cluster)
      tick(cluster, 1)
      tick(cluster, 2)
      cluster.finishAll()
      tick(cluster, 3)
      assert.deepEqual(runs(cluster), ['hourly@1', 'hourly@3'])
      assert.equal(cluster.state.schedules.byName.get('hourly')!.skipped, 1)
    }),
  )

  it(
    'lets ticks wait for their turn, in their order',
    scenario(cluster => {
      cluster.join('w')
      make(cluster, { overlap: 'queue' })
      for (const hour of [1, 2, 3]) tick(cluster, hour)
      const next = (hour: number): void => {
        cluster.ask({ kind: 'runSchedule', schedule: 'hourly', queued: true, submission: submission(`hourly@${hour}`) })
        cluster.settle()
      }
      next(2)
      assert.deepEqual(runs(cluster), ['hourly@1'], 'it runs still')
      cluster.finishAll()
      next(2)
      cluster.finishAll()
      next(3)
      assert.deepEqual(runs(cluster), ['hourly@1', 'hourly@2', 'hourly@3'])
    }),
  )

  it(
    'cancels its last run for the next one',
    scenario(cluster => {
      make(cluster, { overlap: 'cancel' })
      tick(cluster, 1)
      tick(cluster, 2)
      assert.deepEqual([cluster.jobState('hourly@1'), cluster.jobState('hourly@2')], ['cancelled', 'running'])
    }),
  )

  it(
    'has no ticks while it is paused, and those after',
    scenario(cluster => {
      make(cluster)
      const change = (what: 'pause' | 'resume', nextAtMs: number): Reply =>
        cluster.ask({ kind: 'changeSchedule', schedule: 'hourly', change: what, nextAtMs })
      change('pause', hourMs)
      tick(cluster, 1)
      change('resume', 5 * hourMs)
      tick(cluster, 1)
      tick(cluster, 5)
      assert.deepEqual(runs(cluster), ['hourly@5'])
    }),
  )

  it(
    'is what it was made as, until it is replaced; its program is kept as long',
    scenario(cluster => {
      make(cluster)
      assert.deepEqual(make(cluster), { kind: 'done' })
      assert.equal(cluster.of('ScheduleSet').length, 1)
      const other = make(cluster, { contentHash: 'b'.repeat(64) })
      assert.equal(other.kind === 'refused' && other.error.code, 'SCHEDULE_CHANGED')
      make(cluster, { contentHash: 'b'.repeat(64) }, true)
      assert.equal(cluster.state.programs.byId.get(program)!.users, 1)
      cluster.ask({ kind: 'changeSchedule', schedule: 'hourly', change: 'delete', nextAtMs: 0 })
      assert.equal(cluster.state.programs.byId.get(program)!.users, 0)
      assert.equal(cluster.refused({ kind: 'changeSchedule', schedule: 'hourly', change: 'pause', nextAtMs: 0 }), 'NOT_FOUND')
    }),
  )

  it(
    'is refused with what its runs would be refused with, and beyond their number',
    scenario(
      cluster => {
        const wrong = make(cluster, { schedule: 'two' })
        assert.equal(wrong.kind, 'done')
        const more = make(cluster, { schedule: 'three' })
        assert.equal(more.kind === 'refused' && more.error.code, 'OVERLOADED')
        const unknown = submission('x')
        unknown.plan.stages[0]!.program = 'f'.repeat(64)
        const { spec } = cluster.state.schedules.byName.get('two')!
        const code = cluster.refused({
          ...{ kind: 'setSchedule', spec: { ...spec, contentHash: 'c'.repeat(64) }, bytes: Buffer.alloc(1) },
          ...{ submission: unknown, nextAtMs: hourMs, replace: true },
        })
        assert.equal(code, 'PROGRAM_MISSING')
      },
      { limits: { schedulesMax: 1 } },
    ),
  )

  it(
    'tells who asks, and its story',
    scenario(cluster => {
      make(cluster)
      tick(cluster, 1)
      cluster.ask({ kind: 'runSchedule', schedule: 'hourly', queued: false, submission: submission('hourly@now') })
      assert.deepEqual(runs(cluster), ['hourly@1', 'hourly@now'])
      assert.equal(cluster.refused({ kind: 'runSchedule', schedule: 'none', queued: false, submission: submission('x') }), 'NOT_FOUND')
    }),
  )

  it(
    'says what it waits for, and tells its story with dates',
    scenario(cluster => {
      const held = (): [string, string][] => why(cluster.state, cluster.observed, 'hourly').map(({ rule, text }) => [rule, text])
      cluster.join('w')
      make(cluster, { overlap: 'queue' })
      assert.deepEqual(held(), [['tick', 'its next tick is at 1970-01-01 01:00:00 UTC']])
      tick(cluster, 1)
      assert.deepEqual(held(), [['overlap', 'its next tick is at 1970-01-01 02:00:00 UTC, and waits for that if hourly@1 still runs then']])
      tick(cluster, 2)
      assert.deepEqual(held(), [
        ['overlap', '1 of its ticks wait for the end of hourly@1: cox why hourly@1; its next tick is at 1970-01-01 03:00:00 UTC'],
      ])
      cluster.ask({ kind: 'changeSchedule', schedule: 'hourly', change: 'pause', nextAtMs: 0 })
      assert.deepEqual(held(), [['paused', 'is paused: cox schedule resume hourly']])
      const story = new Story('hourly', 100)
      for (const [index, record] of cluster.records.entries()) story.next(index, 1, record)
      assert(
        story.lines.some(({ text }) => text === 'its tick of 1970-01-01 02:00:00 waits for a run, the next is at 1970-01-01 03:00:00'),
        JSON.stringify(story.lines),
      )
    }),
  )

  it('tells moments as the calendar of the machine does', () => {
    for (const atMs of [0, 951_782_400_000, 951_868_799_999, 1_709_164_800_000, 1_795_784_880_001, 4_107_542_400_000, 13_569_465_600_000]) {
      const text = new Date(atMs).toISOString().replace('T', ' ').replace('Z', '').replace('.000', '')
      assert.equal(momentOf(atMs), text)
    }
    for (let day = 0; day < 60_000; day += 1)
      assert.equal(momentOf(day * 86_400_000).slice(0, 10), new Date(day * 86_400_000).toISOString().slice(0, 10))
  })
})

describe('the view of schedules', () => {
  it(
    'is in the order of their names, page by page, or of one',
    scenario(cluster => {
      cluster.join('w')
      make(cluster)
      make(cluster, { schedule: 'often', cron: '', everyMs: 5000, overlap: 'queue' })
      make(cluster, { schedule: 'berlin', timezone: 'Europe/Berlin' })
      const names = (query: Parameters<typeof viewSchedules>[1]): string[] => viewSchedules(cluster.state, query).map(one => one.name)
      assert.deepEqual(names({}), ['berlin', 'hourly', 'often'])
      assert.deepEqual(names({ after: 'berlin', limit: 1 }), ['hourly'])
      assert.deepEqual(names({ name: 'often' }), ['often'])
      assert.deepEqual(names({ name: 'never' }), [])
      const [before] = viewSchedules(cluster.state, { name: 'hourly' })
      const { name, cron, paused, nextAtMs, running, ran } = before!
      assert.deepEqual([name, cron, paused, nextAtMs, running, ran], ['hourly', '0 * * * *', false, hourMs, [], 0])
      assert.equal('lastJob' in before! || 'timezone' in before! || 'everyMs' in before!, false)
      const [every] = viewSchedules(cluster.state, { name: 'often' })
      assert.deepEqual([every!.everyMs, 'cron' in every!], [5000, false])
      tick(cluster, 1)
      const [after] = viewSchedules(cluster.state, { name: 'hourly' })
      assert.deepEqual([after!.running, after!.lastJob, after!.ran], [['hourly@1'], 'hourly@1', 1])
    }),
  )
})
