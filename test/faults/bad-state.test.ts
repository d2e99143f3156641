// Owns the tests of state folders that cannot be used, of damaged journals, and of a clock that is set back.
// Must not fill or change a real disk: it mounts small ones, which only root can.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { createMemoryStore } from '../../src/journal/index.ts'
import { Leader } from '../../src/leader/index.ts'
import { nodePlatform } from '../../src/platform/node/index.ts'
import { decodeRecords } from '../../src/protocol/index.ts'
import { cox, processesOf, temporaryHome } from '../cli/cox.ts'
import { flipInTable } from '../journal/sqlite-place.ts'
import { alive, errorOf, FaultCluster, until } from './harness.ts'
import { echo } from './tasks.ts'

const { folder, cleanUp } = temporaryHome('state')
const mounts: string[] = []
after(() => {
  for (const path of mounts) execFileSync('umount', [path])
  cleanUp()
})

/** A small file system of its own, or undefined where that is not allowed. */
function mount(name: string, options: string): string | undefined {
  const path = join(folder, name)
  mkdirSync(path)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  mounts.push(path)
  return path
}

const needsMount = 'mounting a small tmpfs needs root and mount'

/** `cox up` on this folder is refused with STATE_FOLDER_UNUSABLE for this reason, and leaves no process. */
async function refused(home: string, why: RegExp): Promise<void> {
  for (const args of [['up'], ['up', '--detach']]) {
    const up = await cox([...args, '--workers', '1', '--json'], { home })
    assert.equal(up.code, 4, JSON.stringify(up))
    const error = errorOf(up)
    assert.equal(error.code, 'STATE_FOLDER_UNUSABLE')
    assert.match(error.message, why)
    assert.match(error.advice, /COX_HOME/)
    assert.deepEqual(processesOf(home), [])
  }
}

/** Hash of everything in a folder. */
function fingerprint(path: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(path)
      .sort()
      .map(name => [
        name,
        createHash('sha256')
          .update(readFileSync(join(path, name)))
          .digest('hex'),
      ]),
  )
}

describe('a state folder', { timeout: 90_000 }, () => {
  test('that is read-only', async () => {
    const path = mount('read-only', 'size=1m,ro')
    if (path) return refused(join(path, 'state'), /read-only/)
    mkdirSync(join(folder, 'locked'), { mode: 0o500 })
    await refused(join(folder, 'locked', 'state'), /no permission/)
    return chmodSync(join(folder, 'locked'), 0o700)
  })

  test('that is full', async context => {
    const path = mount('full', 'size=1m')
    if (!path) return context.skip(needsMount)
    execFileSync('sh', ['-c', 'head -c 10m /dev/zero > ballast || true'], { cwd: path, stdio: 'ignore' })
    await refused(join(path, 'state'), /full/)
  })

  test('that belongs to somebody else', async context => {
    if (process.geteuid?.() !== 0) return context.skip('giving a folder away needs root')
    const path = join(folder, 'foreign')
    mkdirSync(path)
    chownSync(path, 12345, 12345)
    await refused(path, /belongs to user 12345/)
    assert.deepEqual(readdirSync(path), [])
  })

  test('that fills up under a running cluster: refused in words, nothing acknowledged is lost', async context => {
    const path = mount('filling', 'size=24m')
    if (!path) return context.skip(needsMount)
    await using cluster = await FaultCluster.start('filling', ['--workers', '1'], join(path, 'state'))
    const { client } = cluster
    const acknowledged: string[] = []
    const fill = 'x'.repeat(60_000)
    const before = cluster.pid('candidate-1')
    // The leader gives up when the disk refuses: until there is room again, calls wait.
    const filling = (async () => {
      for (let i = 0; alive(before); i++) acknowledged.push((await client.submit(echo, { i, fill }, { id: `filling-${i}` })).id)
    })()
    await until('the leader gives up', () => !alive(before))
    execFileSync('mount', ['-o', 'remount,size=100m', path])
    await filling
    assert.ok(acknowledged.length > 10, `${acknowledged.length} fitted`)
    assert.match(cluster.log('candidate-1'), /"leadership-lost","code":"JOURNAL_WRITE_FAILED".*(ENOSPC|full)/)
    for (const [i, id] of acknowledged.entries()) assert.equal((await client.job<{ i: number }>(id).result()).i, i)
    const verified = await cluster.cox(['journal', 'verify', '--json'])
    assert.equal(verified.code, 0, verified.stdout)
  })
})

describe('a journal', { timeout: 90_000 }, () => {
  test('with one changed byte is refused by name, verified by name, and left as it is', async () => {
    const cluster = await FaultCluster.start('corrupt', ['--workers', '1', '--executors', '1'])
    try {
      await Promise.all(Array.from({ length: 20 }, (_, i) => cluster.client.submit(echo, i)))
      const down = await cluster.cox(['down', '--json'])
      assert.equal(down.code, 0)
      const journal = join(cluster.home, 'journal')
      // Without its snapshots a start reads every row.
      for (const name of readdirSync(journal)) if (name.startsWith('snapshot-')) rmSync(join(journal, name))
      // The first row holds the claim and the candidate: the next one begins with record 3.
      flipInTable(journal, 'journal', 'records', 'first_index', 3, 0)
      const pristine = fingerprint(journal)
      // The bundler of this process is one of them; it was given the folder's name with the environment.
      const before = processesOf(cluster.home)
      for (const args of [['up'], ['up', '--detach']]) {
        const up = await cluster.cox([...args, '--workers', '1', '--json'])
        assert.deepEqual([up.code, errorOf(up).code], [4, 'JOURNAL_CORRUPT'], up.stdout)
        assert.match(errorOf(up).message, /\b3\b/)
        assert.match(errorOf(up).advice, /nothing was deleted/)
        assert.deepEqual(processesOf(cluster.home), before)
      }
      const verified = await cluster.cox(['journal', 'verify', '--json'])
      assert.equal(verified.code, 1)
      const { ok, problems } = JSON.parse(verified.stdout) as { ok: boolean; problems: string[] }
      assert.equal(ok, false)
      assert.match(problems.join('\n'), /record 3\b/)
      const left = fingerprint(journal)
      for (const [name, hash] of Object.entries(pristine)) assert.equal(left[name], hash, name)
    } finally {
      await cluster[Symbol.asyncDispose]()
    }
  })
})

describe('a wall clock', () => {
  test('that is set back moves cluster time on all the same', async () => {
    const disk = createMemoryStore()
    const hourMs = 3_600_000
    const startMs = 1_900_000_000_000
    const times: number[] = []
    for (const wallMs of [startMs, startMs - hourMs, startMs - 24 * hourMs, startMs + hourMs]) {
      const platform = nodePlatform('clock', 'error')
      const clock = { ...platform.clock, wallMs: () => wallMs }
      const store = disk.open()
      const options = { id: 'one', store, host: '127.0.0.1', port: 0, authenticate: () => undefined, announce: async () => undefined }
      const leader = new Leader(options, { ...platform, clock })
      await leader.start()
      const [row] = await store.journal.read((await store.journal.size()).lastIndex, 1)
      const [claimed] = decodeRecords(row!.records, row!.count)
      assert.ok(claimed?.kind === 'LeaderClaimed')
      times.push(claimed.atMs)
      await leader.stop('the test goes on')
      await store.close()
    }
    assert.deepEqual(times.slice(0, 3), [startMs, startMs, startMs])
    assert.equal(times[3], startMs + hourMs)
  })
})
