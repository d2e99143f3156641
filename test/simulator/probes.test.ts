// Shows that what a campaign has to bring about is held against what it did, and that nodes' log lines are read for it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { JournalChecker } from '../../simulator/checkers/journal.ts'
import { type Call, type ExecutionEvent, History } from '../../simulator/history.ts'
import { mutants } from '../../simulator/mutants.ts'
import { expectedProbes, missingProbes, probeHistory, probeOf } from '../../simulator/probes.ts'

test('what never came about is named', () => {
  const all = new Map(expectedProbes.map(name => [name, 1]))
  assert.deepEqual(missingProbes(all), [])
  assert.equal(new Set(expectedProbes).size, expectedProbes.length)
  for (const name of ['fault power-loss', 'record TasksAssigned', 'killed to fence']) {
    assert.deepEqual(missingProbes(new Map([...all, [name, 0]])), [name])
  }
  assert.deepEqual(missingProbes(new Map()), expectedProbes)
})

test('a line that a node logs may show something rare', () => {
  assert.equal(probeOf('fell-behind', { index: 4 }), 'standby resynced from a snapshot')
  assert.equal(probeOf('leadership-lost', { message: 'This process stood still for 9000 ms: …' }), 'stalled leader stepped down')
  assert.equal(probeOf('leadership-lost', { message: 'A newer leader writes the journal.' }), undefined)
  assert.equal(probeOf('leading', {}), undefined)
})

test('suppressed submits and cancels of what runs are counted from the whole history', () => {
  const history = new History()
  const call: Call = { node: 'u', operation: 'submit', job: 'j', key: 'k', startedMs: 0, endedMs: 5, value: true }
  const execution = { worker: 'w', boot: 1, job: 'j', stage: 0, index: 0, attempt: 1, epoch: 1, lane: 1, fate: { key: 'k', ms: 9 } }
  const event = (atMs: number, what: ExecutionEvent['what']): ExecutionEvent => ({ atMs, what, execution })
  history.calls.push(call, call, { ...call, job: 'other' })
  history.executions.push(event(10, 'started'), event(30, 'ended'), event(40, 'started'), event(50, 'ended'))
  const { facts } = new JournalChecker(history)
  facts.cancelledMs.set('j', 20)
  probeHistory(history, facts)
  assert.equal(history.probes.get('duplicate submit suppressed'), 1)
  assert.equal(history.probes.get('cancelled while it ran'), 1)
})

test('every planted bug has its place in the sources', () => {
  for (const { name, changes } of mutants) {
    for (const { file, find } of changes) {
      const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
      assert.ok(source.includes(find), `${name} finds no place in ${file}`)
    }
  }
  assert.equal(new Set(mutants.map(mutant => mutant.name)).size, mutants.length)
})
