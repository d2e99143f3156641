// Holds the facts about candidates to what they mean: who is there, how they rank, and that failures are forgotten with time.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { candidatesKeptMax, failureRateAt, priorityAt, rankStandbys } from '../../src/core/leadership/state.ts'
import { priorityMax } from '../../src/core/limits.ts'
import { decodeSnapshot, encodeSnapshot } from '../../src/core/snapshot.ts'
import { Story } from '../../src/core/views/story.ts'
import { Harness } from './harness.ts'

function join(cluster: Harness, candidate: string, priority = 100): void {
  cluster.ask({ kind: 'joinCandidate', candidate, priority })
}

function ranks(cluster: Harness): string[] {
  const { leadership, leader, nowMs } = cluster.state
  return rankStandbys(leadership, leader, nowMs).map(one => one.id)
}

describe('candidates', () => {
  it('rank by priority, equal ones by name; the leader and those that are away are not in line', () => {
    const cluster = new Harness()
    join(cluster, 'b')
    join(cluster, 'a')
    join(cluster, 'c', 300)
    join(cluster, 'd', 900)
    cluster.ask({ kind: 'loseCandidate', candidate: 'd', failed: false })
    assert.deepEqual(ranks(cluster), ['c', 'a', 'b'])
    assert.equal(cluster.state.leadership.candidates.get('leader-1')!.present, true)
  })

  it('are recorded once, and again with another priority', () => {
    const cluster = new Harness()
    join(cluster, 'a')
    join(cluster, 'a')
    join(cluster, 'a', 200)
    assert.deepEqual(
      cluster.of('CandidateJoined').map(one => one.priority),
      [100, 200],
    )
    for (const priority of [0, priorityMax + 1, 1.5, -1])
      assert.equal(cluster.refused({ kind: 'joinCandidate', candidate: 'b', priority }), 'INVALID_ARGUMENT')
  })

  it('that nobody knows, that are away already, or that lead cannot be lost', () => {
    const cluster = new Harness()
    join(cluster, 'a')
    cluster.ask({ kind: 'loseCandidate', candidate: 'a', failed: false })
    for (const candidate of ['a', 'nobody', 'leader-1']) cluster.ask({ kind: 'loseCandidate', candidate, failed: true })
    assert.equal(cluster.of('CandidateLeft').length, 1)
    assert.throws(() => cluster.emit({ kind: 'CandidateLeft', candidate: 'nobody', failed: true }), /nobody/)
  })

  it('lose priority by failures, P = P0 × (1 − r), and r halves in ten minutes', () => {
    const cluster = new Harness()
    join(cluster, 'a')
    const rate = () => Number(failureRateAt(cluster.state.leadership.candidates.get('a')!, cluster.state.nowMs).toFixed(3))
    cluster.ask({ kind: 'loseCandidate', candidate: 'a', failed: true })
    assert.equal(rate(), 0.3)
    assert.equal(Math.round(priorityAt(cluster.state.leadership.candidates.get('a')!, cluster.state.nowMs)), 70)
    join(cluster, 'a')
    cluster.ask({ kind: 'loseCandidate', candidate: 'a', failed: true })
    assert.equal(rate(), 0.51)
    cluster.nowMs += 600_000
    join(cluster, 'a')
    assert.equal(rate(), 0.255)
  })

  it('are remembered up to a limit; those that are there always', () => {
    const cluster = new Harness()
    for (let number = 0; number < candidatesKeptMax + 10; number++) {
      join(cluster, `old-${number}`)
      cluster.ask({ kind: 'loseCandidate', candidate: `old-${number}`, failed: true })
    }
    const { candidates } = cluster.state.leadership
    assert.equal(candidates.size, candidatesKeptMax)
    assert(candidates.has('leader-1'))
    for (let number = 0; number < candidatesKeptMax; number++) join(cluster, `new-${number}`)
    assert.equal([...candidates.values()].filter(one => one.present).length, candidatesKeptMax + 1)
  })

  it('travel in a snapshot', () => {
    const cluster = new Harness()
    join(cluster, 'a', 7)
    cluster.ask({ kind: 'loseCandidate', candidate: 'a', failed: true })
    cluster.emit({ kind: 'LeaderResigned', epoch: 1, to: 'a' })
    const restored = decodeSnapshot(encodeSnapshot(cluster.state))
    assert.deepEqual(restored.leadership, cluster.state.leadership)
  })
})

describe('a leader', () => {
  it('that is followed without having handed over has failed', () => {
    const cluster = new Harness()
    const claim = { kind: 'LeaderClaimed', cluster: 'cluster-1', pid: 1, address: 'x', release: '0', atMs: cluster.nowMs } as const
    cluster.emit({ ...claim, epoch: 2, leader: 'b' })
    const { candidates } = cluster.state.leadership
    assert.deepEqual([candidates.get('leader-1')!.failureRate, candidates.get('leader-1')!.present], [300_000, false])
    cluster.emit({ kind: 'LeaderResigned', epoch: 2, to: 'c' })
    assert.deepEqual([cluster.state.leadership.resignedTo, candidates.get('b')!.present], ['c', false])
    cluster.emit({ ...claim, epoch: 3, leader: 'c' })
    assert.deepEqual([cluster.state.leadership.resignedTo, candidates.get('b')!.failureRate], ['', 0])
    assert.throws(() => cluster.emit({ kind: 'LeaderResigned', epoch: 2, to: 'a' }), /epoch/)
  })

  it('and its standbys have a story', () => {
    const cluster = new Harness()
    join(cluster, 'a')
    cluster.ask({ kind: 'loseCandidate', candidate: 'a', failed: true })
    join(cluster, 'a')
    cluster.ask({ kind: 'loseCandidate', candidate: 'a', failed: false })
    cluster.emit({ kind: 'LeaderResigned', epoch: 1, to: 'a' })
    const told = (id: string): string[] => {
      const story = new Story(id, 100)
      for (const [at, record] of cluster.records.entries()) story.next(at + 1, 1, record)
      return story.lines.map(line => line.text)
    }
    assert.deepEqual(told('a'), [
      'stands by with priority 100',
      'fell silent or broke down while it stood by',
      'stands by with priority 100',
      'took its leave',
      'was handed the leadership of epoch 1',
    ])
    assert.equal(told('b').length, 0)
  })
})
