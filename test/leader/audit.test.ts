// Shows the audit log: what it says of whom, that equal calls are counted, that an altered or removed line is found, and what a full disk costs.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Audit, type AuditOptions } from '../../src/leader/audit/audit.ts'
import { checkAudit, readAudit } from '../../src/leader/audit/read.ts'
import { subjectOf } from '../../src/leader/audit/subject.ts'
import { clientToLeader } from '../../src/protocol/index.ts'
import { MemoryFiles } from '../fakes/files.ts'
import { chunkOf, inputs } from '../fakes/plans.ts'
import { World } from '../fakes/world.ts'
import { samplesOf } from '../protocol/samples.ts'
import { House } from './house.ts'

const call = { who: 'alice', credential: 't1', from: '10.0.0.1:5', what: 'cancelJob', id: 'job-1' }

function logIn(world: World, files: MemoryFiles, more: Partial<AuditOptions> = {}): Audit {
  return new Audit({ folder: '/audit', ...more }, { leader: 'candidate-1', epoch: 3, index: () => 7 }, { ...world.platform, files })
}

function place(world: World, files: MemoryFiles) {
  return { root: '/audit', files, clock: world.clock }
}

/** Waits for what needs the world to move on. */
async function settled<T>(world: World, promise: Promise<T>): Promise<T> {
  await world.calm()
  return promise
}

async function written(count: number, more: Partial<AuditOptions> = {}): Promise<{ world: World; files: MemoryFiles; paths: string[] }> {
  const world = new World()
  const files = new MemoryFiles()
  const log = logIn(world, files, more)
  for (let at = 0; at < count; at++) {
    log.note({ ...call, id: `job-${at}` }, at % 3 === 0 ? 'denied' : 'ok', at % 3 === 0 ? 'FORBIDDEN' : '')
    await settled(world, log.flush())
  }
  return { world, files, paths: [...files.texts.keys()].sort() }
}

async function problems(world: World, files: MemoryFiles): Promise<string[]> {
  return (await settled(world, checkAudit(place(world, files)))).problems
}

describe('the audit log', () => {
  it('counts equal calls of a second in one line, and makes nobody wait', async () => {
    const world = new World()
    const files = new MemoryFiles()
    const log = logIn(world, files)
    for (let at = 0; at < 1000; at++) log.note(call, 'ok')
    log.note(call, 'refused', 'NOT_FOUND')
    assert.equal(files.appends, 0)
    await world.advance(1000)
    assert.equal(files.appends, 1)
    log.note(call, 'ok')
    await world.advance(1000)
    const entries = await settled(world, readAudit(place(world, files), {}))
    assert.deepEqual(
      entries.map(({ outcome, code, count }) => [outcome, code, count]),
      [
        ['ok', '', 1000],
        ['refused', 'NOT_FOUND', 1],
        ['ok', '', 1],
      ],
    )
    const { time, ...rest } = entries[0]!
    assert.match(time, /^\d{4}-.*Z$/)
    assert.deepEqual(rest, { ...call, outcome: 'ok', code: '', count: 1000, leader: 'candidate-1', epoch: 3, index: 7 })
    assert.deepEqual(await problems(world, files), [])
  })

  it('is asked by user, by time and for what was denied', async () => {
    const { world, files } = await written(9)
    const ask = (query: object) => settled(world, readAudit(place(world, files), query))
    assert.deepEqual(
      (await ask({ denied: true })).map(({ id }) => id),
      ['job-0', 'job-3', 'job-6'],
    )
    assert.deepEqual(
      (await ask({ limit: 2 })).map(({ id }) => id),
      ['job-7', 'job-8'],
    )
    assert.deepEqual(await ask({ user: 'bob' }), [])
    assert.deepEqual(await ask({ sinceMs: world.clock.wallMs() + 1 }), [])
    await assert.rejects(readAudit(place(world, files), { sinceMs: Number.NaN }), { code: 'INVALID_ARGUMENT' })
  })

  it('names a line that was altered, removed or put in', async () => {
    const changes: [string, (lines: string[]) => void][] = [
      ['altered', lines => void (lines[3] = lines[3]!.replace('alice', 'mallo'))],
      ['removed', lines => void lines.splice(3, 1)],
      ['put in', lines => void lines.splice(4, 0, lines[2]!)],
      ['swapped', lines => void lines.splice(3, 2, lines[4]!, lines[3]!)],
      ['no line', lines => void (lines[3] = 'nonsense')],
    ]
    for (const [name, change] of changes) {
      const { world, files, paths } = await written(8)
      assert.deepEqual(await problems(world, files), [])
      const lines = files.texts.get(paths[0]!)!.split('\n')
      change(lines)
      files.texts.set(paths[0]!, lines.join('\n'))
      const found = await problems(world, files)
      assert(found.length > 0, name)
      assert.match(found[0]!, /^candidate-1\/audit-00000001\.jsonl:[456]: /, name)
    }
  })

  it('goes on in files of a size, of which the oldest go; one that is missing between others is named', async () => {
    const { world, files, paths } = await written(30, { fileBytesMax: 1000, filesMax: 4 })
    assert.equal(paths.length, 4)
    assert.deepEqual(await problems(world, files), [])
    files.texts.delete(paths[1]!)
    assert.match((await problems(world, files)).join(), /files before it are missing/)
  })

  it('is gone on with by the next leader, also behind a line that its death cut', async () => {
    const { world, files, paths } = await written(3)
    const again = logIn(world, files)
    again.note(call, 'ok')
    await settled(world, again.close())
    assert.deepEqual(await problems(world, files), [])
    files.texts.set(paths[0]!, `${files.texts.get(paths[0]!)}{"time":"2026`)
    const third = logIn(world, files)
    third.note(call, 'ok')
    await settled(world, third.close())
    assert.deepEqual([...files.texts.keys()].length, 2, 'in a new file')
    assert.deepEqual(await problems(world, files), [])
    const lines = files.texts.get(paths[0]!)!.split('\n')
    lines.splice(-2, 1)
    files.texts.set(paths[0]!, lines.join('\n'))
    assert.equal((await problems(world, files)).length, 1, 'the last whole line before the cut is missed')
  })

  it('keeps what the disk refuses as long as there is room, says so once, and writes it later', async () => {
    const world = new World()
    const files = new MemoryFiles()
    const log = logIn(world, files)
    files.refusing = 'ENOSPC'
    for (let at = 0; at < 3; at++) {
      log.note({ ...call, id: `job-${at}` }, 'ok')
      await world.advance(1000)
    }
    assert.equal(world.logged.filter(event => event === 'audit-not-written').length, 1)
    for (let at = 0; at < 60_000; at++) log.note({ ...call, id: `more-${at}` }, 'ok')
    files.refusing = undefined
    await settled(world, log.close())
    const entries = await settled(world, readAudit(place(world, files), { limit: 10_000 }))
    assert.equal(entries.at(-1)?.what, 'lost')
    assert.equal(entries.at(-1)?.count, 60_003 - 50_000)
    assert.deepEqual(await problems(world, files), [])
    assert(world.logged.includes('audit-written-again'))
  })

  it('drives no terminal and tells no value', async () => {
    const world = new World()
    const files = new MemoryFiles()
    const log = logIn(world, files)
    log.note({ ...call, who: 'a\u001b[31m\u009b\n', id: `\u202e${'x'.repeat(1000)}` }, 'denied', 'FORBIDDEN')
    await settled(world, log.close())
    const [text = ''] = files.texts.values()
    assert.match(text, /^[\x20-\x7e…]*\n$/)
    assert(text.length < 1000)
    for (const [, sample] of samplesOf('clientToLeader', clientToLeader)) {
      const canary = 'CANARY-b1946ac9'
      const planted = JSON.parse(JSON.stringify(sample), (key, value) =>
        ['items', 'value', 'bytes', 'submission', 'reason', 'argument', 'item', 'inputs', 'key', 'keys'].includes(key) ? canary : value,
      )
      assert.doesNotMatch(JSON.stringify(subjectOf(planted)), /CANARY/, planted.kind)
    }
  })
})

describe('the audit log of a leader', () => {
  it('says who did what, to what, and how it ended', async () => {
    const files = new MemoryFiles()
    const { house, client: admin } = await House.ready({ files, audit: { folder: '/audit' } })
    const canary = 'CANARY-2f7d'
    await admin.ask({ kind: 'setUser', user: 'alice', role: 'viewer', scope: { jobPrefixes: [], labels: [] }, replace: false })
    const issued = await admin.ask({ kind: 'issueToken', token: 'alicetoken', user: 'alice', ttlMs: 60_000 })
    assert.equal(issued?.kind, 'tokenIssued')
    await house.submit(admin, 'job', 1, { name: 'work', inputs: [{ ...inputs(1), items: chunkOf([canary]) }] })
    await admin.ask({ kind: 'signal', job: 'job', name: 'n', signal: 's', items: chunkOf([canary]) })
    await admin.ask({ kind: 'cancelJob', job: 'nobody', reason: canary })
    await admin.ask({ kind: 'cancelJob', job: 'job', reason: canary })
    const lines = (await admin.view('audit')).map(({ who, credential, what, id, outcome, code }) =>
      [who, credential, what, id, outcome, code].join(' '),
    )
    for (const line of [
      'local local setUser alice ok ',
      'local local issueToken alice ok ',
      'local local submitJobs work ok ',
      'local local cancelJob nobody refused NOT_FOUND',
      'local local cancelJob job ok ',
    ])
      assert(lines.includes(line), `${line} is not in\n${lines.join('\n')}`)
    const all = [...files.texts.values()].join('')
    assert.doesNotMatch(all, new RegExp(canary))
    assert.doesNotMatch(all, new RegExp((issued?.kind === 'tokenIssued' ? issued.token : '').slice(-43)))
    assert.deepEqual((await admin.view('auditCheck')).problems, [])
    house.disk.hold()
    void admin.ask({ kind: 'deleteUser', user: 'alice' })
    await house.world.calm()
    await admin.hangUp()
    const other = await house.client('other')
    house.disk.release()
    await house.world.advance(1500)
    assert((await other.view('audit')).some(({ what, outcome }) => what === 'deleteUser' && outcome === 'unanswered'))
  })

  it('is not there where none is wanted', async () => {
    const { client: admin } = await House.ready()
    const answer = await admin.ask({ kind: 'ask', view: 'audit', argument: '' })
    assert.equal(answer?.kind === 'failed' && answer.error.code, 'NOT_FOUND')
  })
})
