// Secrets as facts: what can be set, which worker may have one for which task, and that a snapshot keeps them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decide } from '../../src/core/core.ts'
import {
  apply,
  type Command,
  createState,
  decodeSnapshot,
  defaultLimits,
  encodeSnapshot,
  type State,
  secretFor,
} from '../../src/core/index.ts'
import { mayHave } from '../../src/core/secrets/state.ts'
import { CoxswainError, limits as wire } from '../../src/protocol/index.ts'

function led(): State {
  const state = createState()
  apply(state, { kind: 'LeaderClaimed', cluster: 'c', epoch: 1, leader: 'one', pid: 1, address: '', release: '1', atMs: 1000 })
  return state
}

/** Decides and applies; the code of a refusal, or ''. */
function ask(state: State, command: Command, limits = defaultLimits): string {
  const { records, reply } = decide(state, command, limits)
  for (const record of records) apply(state, record)
  return reply.kind === 'refused' ? reply.error.code : ''
}

const set = (secret: string, sealed = Buffer.from('sealed'), jobs: string[] = []): Command => ({
  kind: 'setSecret',
  secret,
  sealed,
  jobs,
})

describe('secrets', () => {
  it('are set, set again and deleted, within limits', () => {
    const state = led()
    assert.equal(ask(state, set('A')), '')
    assert.equal(ask(state, set('A', Buffer.from('other'), ['billing/'])), '')
    const { name, version, jobs, sealed } = state.secrets.byName.get('A')!
    assert.deepEqual([name, version, jobs, Buffer.from(sealed).toString()], ['A', 2, ['billing/'], 'other'])
    for (const bad of ['', '1a', 'a b', '../x', '__proto__\0', 'a/b']) assert.equal(ask(state, set(bad)), 'INVALID_ARGUMENT', bad)
    assert.equal(ask(state, set('A', Buffer.from('x'), [''])), 'INVALID_ARGUMENT')
    assert.equal(ask(state, set('B', Buffer.alloc(wire.secretBytesMax + 1025))), 'INVALID_ARGUMENT')
    assert.equal(ask(state, set('B'), { ...defaultLimits, secretsMax: 1 }), 'OVERLOADED')
    assert.equal(ask(state, set('A'), { ...defaultLimits, secretsMax: 1 }), '', 'one that is there is no other')
    assert.equal(ask(state, { kind: 'deleteSecret', secret: 'B' }), 'SECRET_UNKNOWN')
    assert.equal(ask(state, { kind: 'deleteSecret', secret: 'A' }), '')
    assert.equal(state.secrets.byName.size, 0)
  })

  it('are in a snapshot, and a snapshot of version 3 has none', () => {
    const state = led()
    ask(state, set('A', Buffer.from('one')))
    ask(state, set('__proto__', Buffer.from('two'), ['x', 'y']))
    const bytes = encodeSnapshot(state)
    const again = decodeSnapshot(bytes)
    assert.deepEqual(
      [...again.secrets.byName.values()].map(one => ({ ...one, sealed: Buffer.from(one.sealed).toString() })),
      [
        { name: 'A', sealed: 'one', jobs: [], setAtMs: 1000, version: 1 },
        { name: '__proto__', sealed: 'two', jobs: ['x', 'y'], setAtMs: 1000, version: 1 },
      ],
    )
    assert.deepEqual(encodeSnapshot(again), bytes)
  })

  it('are for those whose job begins as was said', () => {
    const secret = { name: 'A', sealed: Buffer.alloc(1), jobs: ['billing/', 'nightly'], setAtMs: 1, version: 1 }
    assert.equal(mayHave(secret, 'billing/invoice'), true)
    assert.equal(mayHave(secret, 'nightly-2'), true)
    assert.equal(mayHave(secret, 'my-billing/'), false)
    assert.equal(mayHave({ ...secret, jobs: [] }, 'x'), true)
  })

  it('are given to no worker without such a task', () => {
    const state = led()
    ask(state, set('A'))
    const refused = (): unknown => secretFor(state, 'w1', { lane: 1, job: 'j', stage: 0, secret: 'A' })
    assert.throws(refused, (error: unknown) => error instanceof CoxswainError && error.code === 'FORBIDDEN' && error.id === 'A')
  })
})
