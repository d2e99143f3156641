// Shows that expected errors carry code, advice and id, survive the wire, and are all in docs/errors.md.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { CoxswainError, errorAdvice, errorFromWire, isErrorCode, OverloadedError, TaskFailedError } from '../../src/protocol/index.ts'

describe('errors', () => {
  it('each code gives advice: one or more whole sentences', () => {
    for (const [code, advice] of Object.entries(errorAdvice)) {
      assert.match(code, /^[A-Z]+(_[A-Z]+)*$/)
      assert.match(advice, /^[A-Z].*\.$/, code)
    }
  })

  it('each code is in docs/errors.md with its advice', () => {
    const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
    const rows = new Map([...page.matchAll(/^\| `([A-Z_]+)` \| (.*) \|$/gm)].map(([, code, advice]) => [code, advice]))
    assert.deepEqual(Object.fromEntries(rows), errorAdvice)
  })

  it('carry what happened, to whom, and what to do', () => {
    const cause = new Error('below')
    const error = new CoxswainError('NOT_FOUND', 'There is no job x.', { id: 'x', cause })
    assert.deepEqual(
      [error.name, error.code, error.message, error.id, error.cause],
      ['CoxswainError', 'NOT_FOUND', 'There is no job x.', 'x', cause],
    )
    assert.equal(error.advice, errorAdvice.NOT_FOUND)
    assert.ok(!('cause' in new CoxswainError('NOT_FOUND', 'x')))
  })

  it('overload says when to try again', () => {
    assert.equal(new OverloadedError('full').retryAfterMs, 100)
    const error = errorFromWire('OVERLOADED', 'full', { retryAfterMs: 250 })
    assert.ok(error instanceof OverloadedError)
    assert.equal(error.retryAfterMs, 250)
  })

  it('a failed task shows its remote stack, attempts and story', () => {
    const attempts = [{ attempt: 1, worker: 'w1', code: 'TASK_FAILED' as const, message: 'once', atMs: 1 }]
    const error = new TaskFailedError('TASK_FAILED', 'boom', {
      task: 'job/3',
      remoteStack: 'Error: boom\n    at run (file.ts:3:9)',
      attempts,
    })
    assert.equal(error.id, 'job/3')
    assert.equal(error.story, 'cox story job/3')
    assert.deepEqual(error.attempts, attempts)
    assert.match(error.stack ?? '', /on the worker[\s\S]*file\.ts:3:9/)
    assert.match(
      new TaskFailedError('TASK_CRASHED', 'gone', { task: 'job/3', remoteStack: '', attempts: [] }).stack ?? '',
      /errors\.test\.ts/,
    )
  })

  it('a code from the wire that this release does not know is not taken for one', () => {
    assert.ok(isErrorCode('FENCED'))
    for (const code of ['toString', '__proto__', 'NOPE', 5, undefined]) assert.ok(!isErrorCode(code))
    assert.equal(errorFromWire('NOPE', 'from the future').code, 'FRAME_MALFORMED')
    assert.equal(errorFromWire('FENCED', 'newer').code, 'FENCED')
  })
})
