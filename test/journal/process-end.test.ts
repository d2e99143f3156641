// Shows how a store meets the end of its process: what is under way is waited for, an idle store holds nobody up.
// Must not end this process.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { describe, it } from 'node:test'
import { temporaryFolder } from './sqlite-place.ts'

const prelude = (folder: string) => `
  const { openSqliteStore } = await import(${JSON.stringify(new URL('../../src/journal/index.ts', import.meta.url).href)})
  const { TestLeader } = await import(${JSON.stringify(new URL('../../src/journal/conformance/index.ts', import.meta.url).href)})
  const store = await openSqliteStore({ folder: ${JSON.stringify(folder)} })
  const leader = await TestLeader.claim(store)
`

function run(script: string): { status: number | null; stdout: string; stderr: string } {
  const folder = temporaryFolder()
  try {
    return spawnSync(process.execPath, ['--input-type=module', '-e', prelude(folder) + script], { encoding: 'utf8' })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('a process with an open store', () => {
  it('ends by itself when nothing is under way', () => {
    const { status, stderr } = run('')
    assert.deepEqual([status, stderr], [0, ''])
  })

  it('lives until what is under way is done', () => {
    const { status, stdout } = run(`
      await leader.snapshot()
      store.journal.append(leader.make()).then(outcome => console.log(outcome))
      store.journal.compact(1, 2).then(() => console.log('compacted'))
    `)
    assert.deepEqual([status, stdout], [0, 'durable\ncompacted\n'])
  })

  it('ends at once when it is told to', () => {
    const { status, stderr } = run('leader.append(); process.exit(3)')
    assert.deepEqual([status, stderr], [3, ''])
  })
})
