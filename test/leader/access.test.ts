// Shows users at a leader: who is let in and when no longer, what a scope leaves out of everything that names a job, and how much one may ask for.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { firstOf } from '../../src/leader/index.ts'
import {
  type ClientToLeader,
  everything,
  type LeaderToClient,
  type Principal,
  type Scope,
  type UserRole,
} from '../../src/protocol/index.ts'
import { type Question, ScriptedClient } from '../fakes/peers.ts'
import { chunkOf, inputs } from '../fakes/plans.ts'
import { House, programBytes, programId } from './house.ts'

const hourMs = 3_600_000

function codeOf(answer: LeaderToClient | undefined): string | undefined {
  return answer?.kind === 'failed' ? answer.error.code : answer?.kind
}

async function addUser(admin: ScriptedClient, user: string, role: UserRole, scope: Partial<Scope> = {}): Promise<void> {
  const whole = { jobPrefixes: [...(scope.jobPrefixes ?? [])], labels: [...(scope.labels ?? [])] }
  assert.equal(codeOf(await admin.ask({ kind: 'setUser', user, role, scope: whole, replace: true })), 'done')
}

async function issue(admin: ScriptedClient, user: string, token: string, ttlMs = hourMs): Promise<string> {
  const answer = await admin.ask({ kind: 'issueToken', user, token, ttlMs })
  assert.equal(answer?.kind, 'tokenIssued')
  return answer?.kind === 'tokenIssued' ? answer.token : ''
}

async function comeIn(house: House, token: string, session = 'mine'): Promise<ScriptedClient> {
  const client = new ScriptedClient(house.world, session)
  await client.connect(house.address, {}, token)
  return client
}

describe('a user', () => {
  it('comes in with its token, and is who it says', async () => {
    const { house, client: admin } = await House.ready()
    await addUser(admin, 'alice', 'submitter', { labels: ['x'] })
    const token = await issue(admin, 'alice', 'alicetoken')
    const alice = await comeIn(house, token)
    assert.deepEqual(await alice.view('whoami'), {
      ...{ kind: 'user', name: 'alice', roles: ['submitter'] },
      ...{ jobPrefixes: [], labels: ['x'], credential: 'alicetoken' },
    })
    for (const bad of [
      `${token}x`,
      token.slice(0, -1),
      token.replace('alicetoken', 'alicetokem'),
      `${token.slice(0, -1)}é`,
      'x'.repeat(100_000),
    ])
      assert.equal((await comeIn(house, bad)).refused, 401)
    assert.doesNotMatch(JSON.stringify(await house.records()), new RegExp(token.slice(-43)), 'the journal holds no token')
    assert.doesNotMatch(JSON.stringify(house.world.log), new RegExp(token.slice(-43)), 'nor does the log')
  })

  it('is sent away in the moment in which its token is revoked, itself changed or deleted, or its token asked for again', async () => {
    const { house, client: admin } = await House.ready()
    await addUser(admin, 'alice', 'submitter')
    await addUser(admin, 'bob', 'submitter')
    const bob = await comeIn(house, await issue(admin, 'bob', 'bobtoken1'))
    const changes: Question[] = [
      { kind: 'revokeToken', token: 'alicetoken' },
      { kind: 'setUser', user: 'alice', role: 'viewer', scope: { jobPrefixes: [], labels: [] }, replace: true } as Question,
      { kind: 'issueToken', token: 'alicetoken', user: 'alice', ttlMs: 1000 } as Question,
      { kind: 'deleteUser', user: 'alice' } as Question,
    ]
    for (const change of changes) {
      const token = await issue(admin, 'alice', 'alicetoken')
      const alice = await comeIn(house, token)
      assert.equal(alice.closed, undefined)
      house.disk.hold()
      await admin.ask(change)
      assert.equal(alice.closed, undefined, 'not before it is durable')
      house.disk.release()
      await house.world.calm()
      assert.match(alice.closed ?? '', /^UNAUTHENTICATED/, change.kind)
      if (change.kind !== 'setUser') assert.equal((await comeIn(house, token)).refused, 401, change.kind)
      await addUser(admin, 'alice', 'submitter')
    }
    assert.equal(bob.closed, undefined, 'nobody else is')
  })

  it('stays when what it is was asked for again', async () => {
    const { house, client: admin } = await House.ready()
    await addUser(admin, 'alice', 'viewer')
    const alice = await comeIn(house, await issue(admin, 'alice', 'alicetoken'))
    await addUser(admin, 'alice', 'viewer')
    assert.equal(alice.closed, undefined)
  })

  it('is sent away when its token expires, by the time of the cluster', async () => {
    const { house, client: admin } = await House.ready()
    await addUser(admin, 'alice', 'viewer')
    const token = await issue(admin, 'alice', 'alicetoken', 60_000)
    const alice = await comeIn(house, token)
    house.world.wallMs += hourMs
    await house.world.advance(59_000)
    assert.equal(alice.closed, undefined, 'a wall clock that is set forward ends nothing')
    await house.world.advance(1_000)
    assert.match(alice.closed ?? '', /expired/)
    assert.equal((await comeIn(house, token)).refused, 401)
  })

  it('is known to the next leader, and so is that it is no more', async () => {
    const { house, client: admin } = await House.ready()
    await addUser(admin, 'alice', 'viewer')
    const good = await issue(admin, 'alice', 'alicetoken')
    const gone = await issue(admin, 'alice', 'alicegone')
    await admin.ask({ kind: 'revokeToken', token: 'alicegone' })
    await house.restart()
    assert.equal((await comeIn(house, good)).welcomed?.kind, 'welcome')
    assert.equal((await comeIn(house, gone)).refused, 401)
  })

  it('has sessions of its own: the name of another one\u2019s leads nowhere', async () => {
    const { house, client: admin } = await House.ready()
    for (const user of ['alice', 'bob']) await addUser(admin, user, 'submitter')
    const alice = await comeIn(house, await issue(admin, 'alice', 'alicetoken'), 's')
    const bob = await comeIn(house, await issue(admin, 'bob', 'bobtoken1'), 's')
    assert.equal(codeOf(await alice.ask({ kind: 'lock', grant: 'g', lock: 'l', mode: 'exclusive', permits: 0, ttlMs: 60_000 })), 'granted')
    await bob.ask({ kind: 'unlock', grant: 'g' })
    const [lock] = await admin.view('locks')
    assert.equal(lock?.held[0]?.session, 'alice/s')
    await bob.connect(house.address, { session: 'alice/s' }, 'client')
    await house.submit(alice, 'job', 1, { session: 'bob/s', detached: false })
    assert.equal(house.state.jobs.byId.get('job')?.plan.session, 'alice/s')
    const long = new ScriptedClient(house.world, 's'.repeat(198))
    await long.connect(house.address, {}, await issue(admin, 'alice', 'alicemore'))
    assert.equal(long.welcomed?.kind === 'refused' && long.welcomed.code, 'INVALID_ARGUMENT')
  })

  it('may ask for so much in a time, over all its connections; the user of a cluster of one machine for all', async () => {
    const house = await House.open({ rates: { callsPerSecond: 10, callsBurst: 20, longReadCalls: 10 } })
    const admin = await house.client()
    await addUser(admin, 'alice', 'viewer')
    const token = await issue(admin, 'alice', 'alicetoken')
    const [one, two] = [await comeIn(house, token, 'a'), await comeIn(house, token, 'b')]
    for (let count = 0; count < 10; count++) for (const client of [one, two]) await client.view('workers')
    const answer = await two.ask({ kind: 'ask', view: 'workers', argument: '' })
    assert.equal(codeOf(answer), 'OVERLOADED')
    assert.equal(answer?.kind === 'failed' && answer.error.retryAfterMs, 100)
    for (let count = 0; count < 50; count++) await admin.view('workers')
    await house.world.advance(500)
    assert.equal(codeOf(await one.ask({ kind: 'ask', view: 'story', argument: '{"id":"x"}' })), 'OVERLOADED', 'a long read counts for many')
    await house.world.advance(500)
    assert.equal(codeOf(await one.ask({ kind: 'ask', view: 'story', argument: '{"id":"x"}' })), 'NOT_FOUND')
  })
})

describe('several ways to prove who somebody is', () => {
  const who = (name: string): Principal => ({ kind: 'user', name, role: 'viewer', scope: everything, credential: name })
  const credentials = { token: 't', certificate: undefined, remote: 'here' }

  it('are tried in their order, and wait only where one does', async () => {
    const none = () => undefined
    assert.deepEqual(
      firstOf(
        none,
        () => who('a'),
        () => who('b'),
      )(credentials),
      who('a'),
    )
    assert.equal(firstOf(none, none)(credentials), undefined)
    assert.deepEqual(
      await firstOf(
        async () => undefined,
        none,
        async () => who('c'),
      )(credentials),
      who('c'),
    )
    assert.deepEqual(
      await firstOf(
        async () => who('d'),
        () => who('e'),
      )(credentials),
      who('d'),
    )
  })
})

const range = [{ first: 0, count: 1 }]
const items = chunkOf(['x'])

/** Every message that names a job, about the job of others. */
const probes: Record<string, Question> = {
  addTasks: { kind: 'addTasks', job: 'theirs', inputs: inputs(1) } as Question,
  cancelJob: { kind: 'cancelJob', job: 'theirs', reason: '' } as Question,
  compensateJob: { kind: 'compensateJob', job: 'theirs', reason: '' } as Question,
  cancelTasks: { kind: 'cancelTasks', job: 'theirs', stage: 0, ranges: range } as Question,
  pauseJob: { kind: 'pauseJob', job: 'theirs', paused: true } as Question,
  rerunJob: { kind: 'rerunJob', job: 'theirs', rerun: 'r', program: undefined } as Question,
  signal: { kind: 'signal', job: 'theirs', name: 'n', signal: 's', items } as Question,
  watch: { kind: 'watch', job: 'theirs' } as Question,
  readResults: { kind: 'readResults', job: 'theirs', stage: 0, first: 0, count: 1 } as Question,
  readStep: { kind: 'readStep', job: 'theirs', step: 0, part: 'result', first: 0 } as Question,
  readLogs: { kind: 'readLogs', job: 'theirs', stage: undefined, index: undefined, follow: false } as Question,
  'ask job': { kind: 'ask', view: 'job', argument: '{"job":"theirs"}' } as Question,
  'ask task': { kind: 'ask', view: 'task', argument: '{"job":"theirs","stage":0,"index":0}' } as Question,
  'ask steps': { kind: 'ask', view: 'steps', argument: '{"job":"theirs"}' } as Question,
  'ask story': { kind: 'ask', view: 'story', argument: '{"id":"theirs"}' } as Question,
  'ask story of a task': { kind: 'ask', view: 'story', argument: '{"id":"theirs/0"}' } as Question,
  'ask why': { kind: 'ask', view: 'why', argument: '{"id":"theirs/0/0"}' } as Question,
  readEntries: { kind: 'readEntries', space: 'team-b/space', keys: ['k'] } as Question,
  listEntries: { kind: 'listEntries', space: 'team-b/space', prefix: '', after: '', limit: 1 } as Question,
}

async function scoped(role: UserRole = 'submitter') {
  const { house, client: admin, worker } = await House.staffed({ limits: { finishedJobsMax: 0 } })
  await addUser(admin, 'alice', role, { jobPrefixes: ['team-a/'] })
  const alice = await comeIn(house, await issue(admin, 'alice', 'alicetoken'))
  return { house, admin, worker, alice }
}

describe('a scope at the leader', () => {
  for (const state of ['runs', 'is only in the history'] as const)
    it(`leaves out everything about a job of others that ${state}`, async () => {
      const { house, admin, worker, alice } = await scoped()
      await house.submit(admin, 'theirs', 1, { name: 'team-b/work', watch: false })
      if (state !== 'runs') {
        await worker.finish()
        await house.world.advance(1000)
        assert.notEqual(house.state.history.find('theirs'), undefined)
      }
      for (const [name, question] of Object.entries(probes)) {
        const { index } = house.state
        assert.equal(codeOf(await alice.ask(question)), 'FORBIDDEN', name)
        assert.equal(house.state.index, index, name)
        assert.notEqual(codeOf(await admin.ask(question)), 'FORBIDDEN', name)
      }
      const job = {
        plan: { ...house.plan('theirs', { name: 'team-a/work' }) },
        inputs: [inputs(1)],
        flow: undefined,
        policies: [],
        run: undefined,
        watch: true,
      }
      const answer = await alice.ask({ kind: 'submitJobs', jobs: [job] } as Question)
      assert.equal(codeOf(answer), 'FORBIDDEN', 'the id of a job of others under a name of its own')
      assert.deepEqual(alice.of('results'), [])
    })

  it('covers what names a job: nothing of that kind is without a probe', () => {
    const own = new Set(['unwatch', 'releaseResults'])
    const named = Object.keys(probes)
    const kinds: ClientToLeader['kind'][] = [
      'addTasks',
      'cancelJob',
      'compensateJob',
      'cancelTasks',
      'pauseJob',
      'rerunJob',
      'signal',
      'watch',
      'readResults',
      'readStep',
      'readLogs',
    ]
    for (const kind of kinds) assert(named.includes(kind) || own.has(kind), kind)
  })

  it('leaves lists without what is of others, and in their order what is its own', async () => {
    const { house, admin, worker, alice } = await scoped('viewer')
    for (let job = 0; job < 6; job++) {
      await house.submit(admin, `job-${job}`, 1, { name: job % 2 === 0 ? 'team-a/work' : 'team-b/work', watch: false })
      if (job < 4) await worker.finish()
    }
    await house.world.advance(1000)
    await admin.ask({ kind: 'lock', grant: 'g1', lock: 'team-a/lock', mode: 'exclusive', permits: 0, ttlMs: 60_000 })
    await admin.ask({ kind: 'lock', grant: 'g2', lock: 'team-b/lock', mode: 'exclusive', permits: 0, ttlMs: 60_000 })
    const ids = async (client: ScriptedClient, query: object): Promise<string[]> => (await client.view('jobs', query)).map(({ id }) => id)
    assert.deepEqual(await ids(alice, {}), ['job-4', 'job-2', 'job-0'])
    assert.deepEqual(await ids(alice, { limit: 2 }), ['job-4', 'job-2'])
    assert.deepEqual(await ids(alice, { before: 'job-2' }), ['job-0'])
    assert.equal(codeOf(await alice.ask({ kind: 'ask', view: 'jobs', argument: '{"before":"job-3"}' })), 'NOT_FOUND')
    assert.deepEqual(
      (await alice.view('locks')).map(({ name }) => name),
      ['team-a/lock'],
    )
    assert.equal((await admin.view('locks')).length, 2)
    assert.equal(
      codeOf(await alice.ask({ kind: 'ask', view: 'story', argument: '{"id":"w1"}' })),
      'NOT_FOUND',
      'no story but of its own jobs',
    )
    assert.equal((await alice.view('story', { id: 'job-4' })).lines.length > 0, true)
  })

  it('lets in what is its own, in the order in which it was said', async () => {
    const { house, worker, alice } = await scoped()
    assert.equal(codeOf(await alice.ask({ kind: 'putProgram', program: programId, bytes: programBytes })), 'done')
    await house.submit(alice, 'own', 1, { name: 'team-a/work', open: true })
    await alice.ask({ kind: 'addTasks', job: 'own', inputs: inputs(1, { first: 1 }) })
    await worker.finish()
    assert.equal(house.state.jobs.byId.get('own')?.stages[0]?.added ?? 2, 2)
    for (const name of ['team-b/work', 'team-a']) {
      const answer = await house.submit(alice, 'another', 1, { name })
      assert.equal(answer?.kind === 'submitted' && answer.outcomes[0]?.error?.code, 'FORBIDDEN', name)
    }
    assert.equal(house.state.jobs.byId.has('another'), false)
  })
})
