// Shows which folders are refused, each with one clear error.
// Must not need a network file system: the tables that recognise them are asked directly.
import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { rejectsWith, TestLeader } from '../../src/journal/conformance/index.ts'
import { openSqliteReader, openSqliteStore, verifyStore } from '../../src/journal/index.ts'
import { mountTypeOf, networkFileSystem } from '../../src/journal/sqlite/folder.ts'
import { FolderLock } from '../../src/journal/sqlite/lock.ts'
import { CoxswainError } from '../../src/protocol/index.ts'
import { temporaryFolder, withDatabase } from './sqlite-place.ts'

const root = process.getuid?.() === 0

describe('a folder for the journal', () => {
  let base: string
  beforeEach(() => {
    base = temporaryFolder()
  })
  afterEach(() => rmSync(base, { recursive: true, force: true }))

  async function refused(folder: string, words: RegExp): Promise<void> {
    await assert.rejects(openSqliteStore({ folder }), (error: unknown) => {
      assert.ok(error instanceof CoxswainError, String(error))
      assert.equal(error.code, 'STATE_FOLDER_UNUSABLE')
      assert.equal(error.id, folder)
      assert.match(error.message, words)
      return true
    })
  }

  it('is made, private, and works with spaces and other scripts in its name', async () => {
    const folder = join(base, 'a b', '日志 журнал %20')
    const store = await openSqliteStore({ folder })
    await (await TestLeader.claim(store)).append()
    await store.close()
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    const reader = await openSqliteReader(folder)
    assert.equal((await reader.journal.size()).lastIndex, 2)
    await reader.close()
  })

  it('is made private if others could look in', async () => {
    const folder = join(base, 'open')
    mkdirSync(folder, { mode: 0o755 })
    chmodSync(folder, 0o755)
    await (await openSqliteStore({ folder })).close()
    assert.equal(statSync(folder).mode & 0o777, 0o700)
  })

  it('is refused where a file is', async () => {
    const file = join(base, 'file')
    writeFileSync(file, 'x')
    await refused(file, /not a folder/)
    await refused(join(file, 'below'), /not a folder/)
  })

  it('is refused where links go in circles', async () => {
    symlinkSync(join(base, 'b'), join(base, 'a'))
    symlinkSync(join(base, 'a'), join(base, 'b'))
    await refused(join(base, 'a', 'journal'), /circles/)
  })

  it('is refused where it belongs to another user', { skip: root ? false : 'only root can give a folder away' }, async () => {
    const folder = join(base, 'foreign')
    mkdirSync(folder)
    chownSync(folder, 12_345, 12_345)
    await refused(folder, /belongs to user 12345/)
  })

  it('is refused where this user may not write', { skip: root ? 'root may write everywhere' : false }, async () => {
    const folder = join(base, 'locked')
    mkdirSync(folder, { mode: 0o500 })
    await refused(join(folder, 'journal'), /may not write/)
  })

  it('is refused where the database is of another program', async () => {
    withDatabase(base, database => database.exec('CREATE TABLE theirs (x)'))
    await refused(base, /another program/)
  })

  it('is refused where the database is no database', async () => {
    writeFileSync(join(base, 'journal.db'), Buffer.alloc(8192, 'no database '))
    await rejectsWith(openSqliteStore({ folder: base }), 'JOURNAL_CORRUPT')
    await rejectsWith(openSqliteReader(base), 'JOURNAL_CORRUPT')
  })

  it('is refused where the journal is of a newer format or has newer records', async () => {
    await (await openSqliteStore({ folder: base })).close()
    withDatabase(base, database => database.exec('UPDATE leader SET record_version = 99'))
    await rejectsWith(openSqliteStore({ folder: base }), 'JOURNAL_VERSION', base)
    withDatabase(base, database => database.exec('UPDATE leader SET record_version = 1; PRAGMA user_version = 99'))
    await rejectsWith(openSqliteStore({ folder: base }), 'JOURNAL_VERSION', base)
    await rejectsWith(openSqliteReader(base), 'JOURNAL_VERSION', base)
  })

  /** What each format lacks of the next. */
  const asFormat: Record<number, string> = {
    2: 'DROP TABLE history; DROP TABLE history_key; ALTER TABLE leader DROP COLUMN history_rows; PRAGMA user_version = 2',
    1: 'ALTER TABLE leader DROP COLUMN checksum; PRAGMA user_version = 1',
  }

  for (const format of [1, 2]) {
    it(`of format ${format} is brought up to date when it is opened for writing, unless an older release leads there`, async () => {
      const store = await openSqliteStore({ folder: base })
      const leader = await TestLeader.claim(store)
      const payload = leader.payload(10)
      await leader.append({ payloads: [payload] })
      await store.close()
      for (let older = 2; older >= format; older--) withDatabase(base, database => database.exec(asFormat[older]!))
      await rejectsWith(openSqliteReader(base), 'JOURNAL_VERSION', base)
      const older = new FolderLock(base)
      assert.ok(older.take())
      await rejectsWith(openSqliteStore({ folder: base }), 'STATE_FOLDER_IN_USE', base)
      older.close()
      const next = await openSqliteStore({ folder: base })
      assert.equal((await next.leadership.view()).epoch, 1)
      assert.deepEqual((await verifyStore(next)).problems, [])
      const row = { number: 1, place: 1, job: 'first', name: 'n', state: 'failed' as const, labels: [], submittedAtMs: 1 }
      const successor = await TestLeader.claim(next)
      await successor.append({ history: { rows: [{ ...row, payloads: [payload.payload], body: Buffer.alloc(3) }] } })
      assert.equal((await next.history.row('first'))?.number, 1)
      await next.close()
      await (await openSqliteReader(base)).close()
    })
  }

  it('of format 2 whose leader’s row is damaged stays so', async () => {
    const store = await openSqliteStore({ folder: base })
    await TestLeader.claim(store)
    await store.close()
    withDatabase(base, database => database.exec(`${asFormat[2]!}; UPDATE leader SET pid = pid + 1`))
    const next = await openSqliteStore({ folder: base })
    await rejectsWith(next.leadership.view(), 'JOURNAL_CORRUPT', 'leader')
    await next.close()
  })

  it("is refused where the leader's row is not what a claim wrote", async () => {
    const store = await openSqliteStore({ folder: base })
    await TestLeader.claim(store)
    await store.close()
    withDatabase(base, database => database.exec('UPDATE leader SET pid = pid + 1'))
    const next = await openSqliteStore({ folder: base })
    await rejectsWith(next.leadership.view(), 'JOURNAL_CORRUPT', 'leader')
    await rejectsWith(TestLeader.claim(next), 'JOURNAL_CORRUPT', 'leader')
    await next.close()
  })

  it('is used again where a first start was killed before there were tables', async () => {
    withDatabase(base, database => database.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL'))
    const store = await openSqliteStore({ folder: base })
    await TestLeader.claim(store)
    await store.close()
  })

  it('is not made by a reader', async () => {
    await rejectsWith(openSqliteReader(join(base, 'nothing')), 'STATE_FOLDER_UNUSABLE')
    await rejectsWith(openSqliteReader(base), 'STATE_FOLDER_UNUSABLE')
  })

  it('is shared by stores that open it for the first time at once', async () => {
    const stores = await Promise.all([1, 2, 3].map(() => openSqliteStore({ folder: base })))
    const leader = await TestLeader.claim(stores[1]!)
    await leader.append()
    assert.equal((await stores[2]!.journal.size()).lastIndex, 2)
    await rejectsWith(TestLeader.claim(stores[0]!), 'STATE_FOLDER_IN_USE')
    for (const store of stores) await store.close()
  })
})

describe('a network file system', () => {
  it('is known by its magic number', () => {
    assert.equal(networkFileSystem(0x6969, undefined), 'NFS')
    assert.equal(networkFileSystem(0xff534d42, undefined), 'CIFS')
    assert.equal(networkFileSystem(0xff534d42 | 0, undefined), 'CIFS', 'also where the number came with a sign')
    assert.equal(networkFileSystem(0x01021997, undefined), '9p')
    for (const local of [0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630])
      assert.equal(networkFileSystem(local, undefined), undefined)
  })

  it('behind FUSE is known by its type in the mount table, and refused when in doubt', () => {
    const fuse = 0x65735546
    assert.equal(networkFileSystem(fuse, 'fuse.sshfs'), 'fuse.sshfs')
    assert.equal(networkFileSystem(fuse, 'fuseblk'), undefined)
    assert.equal(networkFileSystem(fuse, undefined), 'FUSE')
  })

  it('is looked up by the longest mount point', () => {
    const table = [
      '22 1 254:0 / / rw - ext4 /dev/vda rw',
      '30 22 0:40 / /mnt/far\\040away rw,nosuid shared:1 - fuse.sshfs host:/x rw',
      '31 30 0:41 / /mnt/far\\040away/near rw - ext4 /dev/vdb rw',
      '32 22 0:42 / /mnt/over rw - ext4 /dev/vdc rw',
      '33 22 0:43 / /mnt/over rw - fuse.rclone cloud rw',
    ].join('\n')
    assert.equal(mountTypeOf('/mnt/far away/x', table), 'fuse.sshfs')
    assert.equal(mountTypeOf('/mnt/far away/near/x', table), 'ext4')
    assert.equal(mountTypeOf('/mnt/far awayish', table), 'ext4')
    assert.equal(mountTypeOf('/mnt/over', table), 'fuse.rclone')
    assert.equal(mountTypeOf('/anywhere', ''), undefined)
  })
})
