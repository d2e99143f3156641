// Shows what a full disk does: one typed error, nothing acknowledged is lost, nothing is tried twice.
// Must not fill a real disk: it mounts a small one, which only root can.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { describe, it } from 'node:test'
import { rejectsWith, TestLeader } from '../../src/journal/conformance/index.ts'
import { openSqliteStore, verifyStore } from '../../src/journal/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'
import { temporaryFolder } from './sqlite-place.ts'

function mountSmall(): { folder: string; grow(): void; unmount(): void } | string {
  const folder = temporaryFolder()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m,mode=0700', 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    rmSync(folder, { recursive: true })
    return 'mounting a small tmpfs needs root and mount'
  }
  return {
    folder,
    grow: () => void execFileSync('mount', ['-o', 'remount,size=64m', folder]),
    unmount() {
      execFileSync('umount', [folder])
      rmSync(folder, { recursive: true })
    },
  }
}

describe('a full disk', () => {
  for (const [kind, bytes] of [
    ['small', 20_000],
    ['large', 300_000],
  ] as const) {
    it(`ends the store at ${kind} payloads; with new space all that was acknowledged is there`, async context => {
      const disk = mountSmall()
      if (typeof disk === 'string') return context.skip(disk)
      try {
        const lines: string[] = []
        const store = await openSqliteStore({ folder: disk.folder, log: (_, event) => lines.push(event) })
        const leader = await TestLeader.claim(store)
        let lost = 0
        store.leadership.onLost(() => lost++)
        const durable: number[] = []
        const error = await (async () => {
          for (;;) {
            const payload = leader.payload(bytes, durable.length % 251)
            await leader.append({ payloads: [payload] })
            durable.push(payload.payload)
          }
        })().catch((error: unknown) => error)
        assert.ok(error instanceof CoxswainError, String(error))
        assert.equal(error.code, 'JOURNAL_WRITE_FAILED', error.message)
        assert.ok(durable.length > 3)
        assert.deepEqual(lines, ['journal-failed'])
        assert.equal(lost, 1)
        disk.grow()
        await rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED')
        await rejectsWith(store.journal.compact(1, 2), 'JOURNAL_WRITE_FAILED')
        await store.close()
        const again = await openSqliteStore({ folder: disk.folder })
        const next = await TestLeader.claim(again, 'two')
        for (const [i, payload] of durable.entries())
          assert.deepEqual(await again.journal.payload(payload).then(kept => kept?.[0]), i % 251)
        await next.append({ payloads: [next.payload(bytes)] })
        assert.deepEqual((await verifyStore(again)).problems, [])
        await again.close()
      } finally {
        disk.unmount()
      }
    })
  }

  it('refuses a first start with a clear error', async context => {
    const disk = mountSmall()
    if (typeof disk === 'string') return context.skip(disk)
    try {
      execFileSync('sh', ['-c', 'head -c 10m /dev/zero > ballast || true'], { cwd: disk.folder, stdio: 'ignore' })
      await rejectsWith(openSqliteStore({ folder: disk.folder }), 'STATE_FOLDER_UNUSABLE')
    } finally {
      disk.unmount()
    }
  })
})
