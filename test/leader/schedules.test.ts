// Shows how ticks are counted, and what is wrong with a definition at the earliest moment.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { schedule, task } from '../../src/client/index.ts'
import { nextTick } from '../../src/platform/node/index.ts'

const work = task({ name: 'scheduled-work', run: () => 1 })

function ticks(cron: string, timezone: string, from: string, count: number): string[] {
  let at: number | undefined = Date.parse(from)
  const found: string[] = []
  while (found.length < count && at !== undefined) {
    at = nextTick({ cron, timezone, everyMs: 0 }, at)
    if (at !== undefined) found.push(new Date(at).toISOString().slice(0, 16))
  }
  return found
}

describe('ticks', () => {
  it('of a daily schedule come once where clocks are changed', () => {
    assert.deepEqual(ticks('30 2 * * *', 'Europe/Berlin', '2026-03-28T00:00Z', 3), [
      '2026-03-28T01:30',
      '2026-03-29T01:00',
      '2026-03-30T00:30',
    ])
    assert.deepEqual(ticks('30 2 * * *', 'Europe/Berlin', '2026-10-24T00:00Z', 3), [
      '2026-10-24T00:30',
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ])
  })

  it('of every half an hour come in both hours of the same name', () => {
    const found = ticks('*/30 * * * *', 'Europe/Berlin', '2026-10-24T23:45Z', 5)
    assert.deepEqual(found, ['2026-10-25T00:00', '2026-10-25T00:30', '2026-10-25T01:00', '2026-10-25T01:30', '2026-10-25T02:00'])
  })

  it('of an interval are counted from the first moment of 1970', () => {
    assert.equal(nextTick({ cron: '', timezone: '', everyMs: 900_000 }, Date.parse('2026-01-01T00:07Z')), Date.parse('2026-01-01T00:15Z'))
    assert.equal(nextTick({ cron: '', timezone: '', everyMs: 900_000 }, Date.parse('2026-01-01T00:15Z')), Date.parse('2026-01-01T00:30Z'))
  })

  it('are also those of nicknames', () => {
    assert.deepEqual(ticks('@daily', '', '2026-01-01T00:00Z', 1), ['2026-01-02T00:00'])
    assert.deepEqual(ticks('@hourly', '', '2026-01-01T00:00Z', 1), ['2026-01-01T01:00'])
  })

  it('are in UTC where no timezone is named, also on leap days', () => {
    assert.deepEqual(ticks('0 0 29 2 *', '', '2026-01-01T00:00Z', 2), ['2028-02-29T00:00', '2032-02-29T00:00'])
  })
})

describe('schedule()', () => {
  const wrong: [string, object, RegExp][] = [
    ['an expression that cannot be', { cron: '61 * * * *' }, /61/],
    ['an expression of too few fields', { cron: '* * * *' }, /five/],
    ['an expression of too many fields', { cron: '* * * * * * *' }, /five fields, .* not 7/],
    ['one that never comes', { cron: '0 0 31 2 *' }, /never comes/],
    ['an unknown timezone', { cron: '0 0 * * *', timezone: 'Mars/Base' }, /"Mars\/Base" is no timezone/],
    ['an interval that is too short', { every: '10ms' }, /at least 1000/],
    ['an interval that is none', { every: 'often' as never }, /often/],
    ['neither of both', {}, /either cron or every, and has neither/],
    ['both', { cron: '0 0 * * *', every: '1h' }, /either cron or every, and has both/],
    ['a timezone of an interval', { every: '1h', timezone: 'UTC' }, /belongs to cron/],
    ['an unknown rule', { every: '1h', overlap: 'both' as never }, /overlap/],
    ['another unknown rule', { every: '1h', catchUp: 'some' as never }, /catchUp/],
    ['nothing to run', { every: '1h', task: undefined }, /either a workflow or a task/],
    ['a name that cannot be', { every: '1h', name: 'a b' }, /name/],
  ]
  for (const [what, options, message] of wrong)
    it(`refuses ${what}`, () => {
      assert.throws(() => schedule({ name: 'tested', task: work, ...options } as never), { code: 'INVALID_SCHEDULE', message })
    })

  it('refuses labels and a priority that cannot be', () => {
    for (const options of [{ labels: 'nightly' as never }, { labels: [''] }, { priority: 0.5 }])
      assert.throws(() => schedule({ name: 'tested', task: work, every: '1h', ...options }), { code: 'INVALID_ARGUMENT' })
  })
})
