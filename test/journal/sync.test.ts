// Shows that each acknowledged append was synced, and that a failed sync ends the store and is never tried again.
// Must not need a broken disk: the system calls are watched, and made to fail, by strace.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openSqliteReader, verifyStore } from '../../src/journal/index.ts'
import { temporaryFolder } from './sqlite-place.ts'

const script = fileURLToPath(new URL('./append-some.ts', import.meta.url))
const appends = 12
const usable = spawnSync('strace', ['-o', '/dev/null', process.execPath, '--version']).status === 0
const skip = usable ? false : 'strace is not there or may not trace'

interface Traced {
  outcomes: string[]
  /** The lines of the trace. */
  calls: string[]
  folder: string
}

function traced(count: number, payloadBytes: number, inject: string[] = []): Traced {
  const base = temporaryFolder()
  const trace = join(base, 'trace')
  const folder = join(base, 'journal')
  const options = ['-f', '-o', trace, '-e', 'trace=fsync,fdatasync', ...inject.flatMap(rule => ['-e', `inject=${rule}`])]
  const { stdout } = spawnSync('strace', [...options, process.execPath, script, folder, String(count), String(payloadBytes)], {
    encoding: 'utf8',
  })
  const calls = readFileSync(trace, 'utf8').split('\n')
  return { outcomes: stdout.trim().split('\n'), calls: calls.filter(line => /f(data)?sync\(/.test(line)), folder }
}

/** The journal as it was left: everything that was acknowledged, in order. */
async function left(folder: string, durable: number): Promise<void> {
  const reader = await openSqliteReader(folder)
  const report = await verifyStore(reader)
  assert.deepEqual(report.problems, [])
  assert.ok(report.records >= durable + 1, `${report.records} records, ${durable} acknowledged`)
  await reader.close()
  rmSync(join(folder, '..'), { recursive: true })
}

describe('syncs', { skip }, () => {
  it('are at least one for each append, and one more for each that goes to a segment', async () => {
    const none = traced(0, 0)
    const small = traced(appends, 0)
    const large = traced(appends, 300_000)
    for (const { outcomes } of [small, large]) assert.deepEqual(outcomes, Array(appends).fill('durable'))
    assert.ok(small.calls.length >= none.calls.length + appends, `${none.calls.length} without appends, ${small.calls.length} with`)
    assert.ok(large.calls.length >= small.calls.length + appends, `${large.calls.length} with segments`)
    for (const { folder, outcomes } of [none, small, large]) await left(folder, outcomes.filter(outcome => outcome === 'durable').length)
  })

  for (const [what, payloadBytes, call] of [
    ['of a commit', 0, 'fsync'],
    ['of a segment', 300_000, 'fdatasync'],
  ] as const) {
    it(`that fail ${what} end the store: every append from there on is refused`, async () => {
      const clean = traced(appends, payloadBytes)
      const number = clean.calls.filter(line => line.includes(` ${call}(`)).length - 6
      rmSync(join(clean.folder, '..'), { recursive: true })
      const { outcomes, folder } = traced(appends, payloadBytes, [`${call}:error=EIO:when=${number}`])
      const durable = outcomes.indexOf('JOURNAL_WRITE_FAILED')
      assert.ok(durable > 0 && durable < appends - 1, outcomes.join(' '))
      assert.deepEqual(outcomes, [...Array(durable).fill('durable'), ...Array(appends - durable).fill('JOURNAL_WRITE_FAILED')])
      await left(folder, durable)
    })
  }
})
