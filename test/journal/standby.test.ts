// Shows that a standby, a store that never claimed, sees the same as the leader beside it, changes nothing, and is in nobody's way.
// Must not open the journal's files in a process that has them open.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { rejectsWith, TestLeader } from '../../src/journal/conformance/index.ts'
import { openSqliteReader, openSqliteStore, verifyStore } from '../../src/journal/index.ts'
import { type Child, ChildrenOnFolder } from './children.ts'
import { flipInTable, withDatabase } from './sqlite-place.ts'

const logBytesMax = 48 << 20

/** Each file with the hash of its bytes; without the shared memory, in which readers keep their locks. */
function fingerprint(folder: string): string[] {
  return readdirSync(folder)
    .filter(name => !name.endsWith('-shm'))
    .sort()
    .map(
      name =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex')}`,
    )
}

describe('a standby', () => {
  const children = new ChildrenOnFolder()

  it('follows a leader under load with snapshots and compaction, also after it was frozen and overtaken', async () => {
    const leader = children.start('./leading.ts')
    await leader.until('leading')
    const standbys = [children.start('./following.ts'), children.start('./following.ts')]
    const [quick, slow] = standbys as [Child, Child]
    for (const standby of standbys) await standby.until('following')
    const [frozenAt] = (await slow.ask('index')).split(' ').slice(1).map(Number)
    slow.stop()
    while (Number((await leader.until('compacted'))[0]) <= frozenAt! + 1000);
    slow.resume()
    // It goes on while the leader does.
    while (Number((await slow.ask('index')).split(' ')[2]) < 2) await leader.until('compacted')
    while (Number((await quick.ask('index')).split(' ')[3]) <= 100) await leader.until('compacted')
    await leader.until('compacted')
    leader.tell('end')
    const [end, hash] = await leader.until('end')
    const heard = await Promise.all(standbys.map(standby => standby.ask(`until ${end}`)))
    for (const line of heard) assert.match(line, new RegExp(`^reached ${end} ${hash} `))
    const [quickReads, slowBegins] = [Number(heard[0]!.split(' ')[4]), Number(heard[1]!.split(' ')[3])]
    assert.ok(quickReads > 100 && slowBegins >= 2, `${quickReads} reads, ${slowBegins} begins`)
    assert.ok(statSync(join(children.folder, 'journal.db-wal')).size < logBytesMax)
    await leader.kill()
    assert.equal(await slow.ask('close'), 'closed')
    const late = await openSqliteStore({ folder: children.folder })
    const next = await TestLeader.claim(late, 'late')
    assert.equal(next.next, Number(end) + 2)
    assert.deepEqual((await verifyStore(late)).problems, [])
    await late.close()
    assert.match(await quick.ask(`until ${Number(end) + 1}`), /^reached/)
  })

  it('changes no byte of the folder, and removes nothing: opened, read from and closed beside a frozen leader', async () => {
    const leader = children.start('./leading.ts')
    for (let i = 0; i < 2; i++) await leader.until('compacted')
    leader.stop()
    const before = fingerprint(children.folder)
    assert.ok(before.some(line => line.startsWith('payloads-')) && before.some(line => line.startsWith('snapshot-')))
    const standby = children.start('./candidate.ts', 'standby')
    assert.equal(await standby.line(), 'open')
    assert.match(await standby.ask('look'), /^1 leading /)
    assert.match(await standby.ask('read'), /^[1-5]$/)
    assert.notEqual(await standby.ask('snapshot'), '0')
    assert.equal(await standby.ask('claim'), 'STATE_FOLDER_IN_USE')
    assert.equal(await standby.ask('append'), 'fenced')
    assert.equal(await standby.ask('resign'), 'resigned')
    assert.equal(await standby.ask('close'), 'closed')
    await standby.kill()
    assert.deepEqual(fingerprint(children.folder), before)
    leader.resume()
    await leader.until('compacted')
  })

  it('keeps no lock between reads, whatever they gave', async () => {
    const one = await openSqliteStore({ folder: children.folder })
    const leader = await TestLeader.claim(one)
    for (let i = 0; i < 5; i++) await leader.append({ count: 10, recordBytes: 1 << 20 })
    await leader.snapshot()
    await one.close()
    const standby = await openSqliteStore({ folder: children.folder })
    const rows = await standby.journal.read(1, 100)
    assert.ok(rows.length < 6, 'the answer was cut at its limit')
    await standby.journal.read(1000, 10)
    await standby.journal.size()
    await standby.leadership.view()
    await standby.snapshots.latest()
    assert.deepEqual((await verifyStore(standby)).problems, [])
    // Changing a row needs the database to itself for a moment; emptying the log needs that nobody reads in it.
    flipInTable(children.folder, 'journal', 'records', 'first_index', 12, 0)
    const emptied = () => withDatabase(children.folder, database => ({ ...database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() }))
    assert.deepEqual(emptied(), { busy: 0, log: 0, checkpointed: 0 })
    await rejectsWith(standby.journal.read(1, 100), 'JOURNAL_CORRUPT', '12')
    assert.deepEqual(emptied(), { busy: 0, log: 0, checkpointed: 0 })
    await standby.close()
  })

  it('finds a snapshot however often the leader replaces it', async () => {
    const one = await openSqliteStore({ folder: children.folder, rowBytesKept: 0 })
    const leader = await TestLeader.claim(one)
    await leader.append()
    await leader.snapshot(Buffer.alloc(3 << 20, 1))
    const standby = await openSqliteReader(children.folder)
    let saves = 0
    let done = false
    const saving = (async () => {
      while (!done || saves < 25) {
        await leader.append()
        await leader.snapshot(Buffer.alloc(3 << 20, ++saves))
        await one.journal.compact(1, leader.next)
      }
    })()
    let newest = 0
    const seen = new Set<number>()
    while (seen.size < 10) {
      const snapshot = await standby.snapshots.latest()
      assert.ok(snapshot !== undefined && snapshot.index >= newest, `${snapshot?.index} after ${newest}`)
      newest = snapshot.index
      seen.add(newest)
      assert.ok((await standby.inspect.snapshots()).every(({ holds }) => holds))
    }
    done = true
    await saving
    await standby.close()
    await one.close()
  })

  it('reads the newer snapshot when the one it reads is let go of', async () => {
    const one = await openSqliteStore({ folder: children.folder })
    const leader = await TestLeader.claim(one)
    const older = await leader.snapshot()
    await leader.append()
    const newer = await leader.snapshot()
    await one.close()
    const row = withDatabase(children.folder, database => {
      const found = database.prepare('SELECT * FROM snapshot WHERE last_index = ?').get(newer.index)!
      database.prepare('DELETE FROM snapshot WHERE last_index = ?').run(newer.index)
      return found
    })
    const [file] = withDatabase(children.folder, database => database.prepare('SELECT file FROM snapshot').all()).map(({ file }) =>
      String(file),
    )
    // Reading a pipe lasts until its writer closes it: so the read is under way while the leader's change is made.
    rmSync(join(children.folder, file!))
    execFileSync('mkfifo', [join(children.folder, file!)])
    const lines: string[] = []
    const standby = await openSqliteReader(children.folder, (_, event) => lines.push(event))
    const read = standby.snapshots.latest()
    const pipe = await open(join(children.folder, file!), 'w')
    withDatabase(children.folder, database => {
      database.prepare('DELETE FROM snapshot WHERE last_index = ?').run(older.index)
      database.prepare('INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, ?, ?)').run(...Object.values(row))
    })
    await pipe.close()
    assert.equal((await read)?.index, newer.index)
    assert.deepEqual(lines, [], 'nothing is damaged')
    await standby.close()
  })
})
