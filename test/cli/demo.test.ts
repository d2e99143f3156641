// Owns the tests of `cox demo` on small folders made for it, and of its query.
// Must not need a cluster that is up.
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileBytesMax } from '../../src/cli/demo/walk.ts'
import { cox, processesOf, startCox, temporaryHome } from './cox.ts'

interface Summary {
  root: string
  files: number
  bytes: number
  skipped: Record<string, number>
  tasks: number
  terms: number
  epoch: number
  takeover: { killed: string; pid: number; afterResults: number; leader: string; epoch: number; nextResultMs: number } | null
  results: number
  lost: { groups: number; files: number }
  top: { words: { term: string; total: number }[]; identifiers: { term: string; total: number }[] }
}

const { folder, home, cleanUp } = temporaryHome('demo')
const root = join(folder, 'text 文件 and more')
const demoOptions = { home, stdin: '', env: { TMPDIR: folder } }

describe('cox demo', () => {
  before(() => {
    mkdirSync(join(root, '子 folder'), { recursive: true })
    for (let at = 0; at < 1100; at++) writeFileSync(join(root, `file ${at}.ts`), `const shipName${at % 3} = "oar oar cox"\n`)
    writeFileSync(join(root, '子 folder', '读我.md'), '数据 数据 rowing\n')
    writeFileSync(join(root, 'image.png'), Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0]))
    writeFileSync(join(root, 'latin.txt'), Buffer.from([0x63, 0xe9, 0x0a]))
    writeFileSync(join(root, 'huge.log'), '')
    truncateSync(join(root, 'huge.log'), fileBytesMax + 1)
    symlinkSync(root, join(root, 'loop'))
  })
  after(cleanUp)

  test('it indexes a folder on a cluster of its own whose leader is killed in the middle, and leaves nothing running', async () => {
    const result = await cox(['demo', root, '--json'], demoOptions)
    assert.equal(result.code, 0, JSON.stringify(result))
    const summary = JSON.parse(result.stdout) as Summary
    assert.deepEqual([summary.root, summary.files, summary.epoch], [root, 1101, 2])
    assert.deepEqual(summary.skipped, { binary: 2, unreadable: 0, huge: 1, vanished: 0, link: 1, special: 0 })
    assert.deepEqual(
      summary.top.words.slice(0, 3).map(one => [one.term, one.total]),
      [
        ['oar', 2200],
        ['const', 1100],
        ['cox', 1100],
      ],
    )
    assert.deepEqual(
      summary.top.identifiers.map(one => [one.term, one.total]),
      [
        ['shipName0', 367],
        ['shipName1', 367],
        ['shipName2', 366],
      ],
    )
    // Eleven groups of files, eight of which become one, and the rest with that.
    assert.deepEqual([summary.results, summary.tasks], [11, 13])
    const { takeover } = summary
    assert.ok(takeover && takeover.afterResults > 0 && takeover.afterResults < summary.results, result.stdout)
    assert.deepEqual([takeover.killed, takeover.leader, takeover.epoch], ['candidate-1', 'candidate-2', 2])
    assert.ok(takeover.pid > 0 && takeover.nextResultMs > 0)
    assert.deepEqual(summary.lost, { groups: 0, files: 0 })
    assert.deepEqual(processesOf(folder), [])
    assert.deepEqual(
      readdirSync(folder).filter(name => name.startsWith('cox-')),
      [],
    )
  })

  test('query reads the index that it left', async () => {
    const found = await cox(['demo', 'query', 'shipName1'], { home })
    assert.equal(found.code, 0)
    assert.match(found.stdout, /^shipName1 {2}367 times in 367 files of /)
    assert.match(found.stdout, /file 1\.ts/)
    const json = await cox(['demo', 'query', '数据', '--json'], { home })
    const { found: terms } = JSON.parse(json.stdout) as { found: { total: number; places: { file: string }[] }[] }
    assert.deepEqual([terms[0]?.total, terms[0]?.places[0]?.file], [2, '子 folder/读我.md'])
    const none = await cox(['demo', 'query', 'shipN'], { home })
    assert.equal(none.code, 1)
    assert.match(none.stdout, /does not occur in .* There are: shipName0, shipName1, shipName2\./)
  })

  test('for people it prints the table and the summary', async () => {
    const small = join(root, '子 folder')
    const result = await cox(['demo', small, '--workers', '1', '--home', join(folder, 'own home')], demoOptions)
    assert.equal(result.code, 0, JSON.stringify(result))
    assert.match(result.stdout, /WORD +TIMES +IDENTIFIER/)
    assert.match(result.stdout, /1 files, 21 B, 2 different words and identifiers; skipped 0/)
    assert.match(result.stdout, /1 tasks on 1 workers in .* leader epoch 1/)
    assert.match(result.stdout, /the leader was not killed: so few files are one task, and one task has no middle/)
    assert.deepEqual(processesOf(folder), [])
    assert.match((await cox(['demo', 'query', 'rowing', '--home', join(folder, 'own home')], { home })).stdout, /^rowing {2}1 times/)
  })

  test('two files have a middle, and people see who was killed in it', async () => {
    const two = join(folder, 'two')
    mkdirSync(two)
    for (const name of ['a.txt', 'b.txt']) writeFileSync(join(two, name), 'oar\n')
    const result = await cox(['demo', two, '--workers', '1'], demoOptions)
    assert.equal(result.code, 0, JSON.stringify(result))
    assert.match(result.stderr, /In the middle of it, SIGKILL to the leader: candidate-1, pid \d+\./)
    assert.match(
      result.stdout,
      /candidate-1 \(pid \d+\) led until it was killed with SIGKILL, after 1 of 2 results; candidate-2 leads, epoch 2; next result after/,
    )
    assert.match(result.stdout, /nothing lost: 2 results for 2 groups of files/)
    assert.deepEqual(processesOf(folder), [])
    const spared = await cox(['demo', two, '--workers', '1', '--no-kill', '--json'], demoOptions)
    assert.equal(spared.code, 0, JSON.stringify(spared))
    const { epoch, takeover, results } = JSON.parse(spared.stdout) as Summary
    assert.deepEqual([epoch, takeover, results], [1, null, 2])
  })

  test('an empty folder is fine', async () => {
    const empty = join(folder, 'empty')
    mkdirSync(empty)
    const result = await cox(['demo', empty, '--json', '--workers', '1'], demoOptions)
    assert.equal(result.code, 0, JSON.stringify(result))
    const { files, tasks, terms } = JSON.parse(result.stdout) as Summary
    assert.deepEqual([files, tasks, terms], [0, 0, 0])
  })

  test('a folder that is not there is a clear error', async () => {
    const result = await cox(['demo', join(folder, 'missing')], demoOptions)
    assert.equal(result.code, 2)
    assert.match(result.stderr, /^cox: USAGE: The folder .*missing is not there\./)
  })

  test('Ctrl-C ends it and its cluster', async () => {
    const running = startCox(['demo', root], { home, env: { TMPDIR: folder } })
    await running.wrote(/is up at/)
    running.child.kill('SIGINT')
    const ended = await running.ended
    assert.ok(ended.code === 130 || ended.code === 0, JSON.stringify(ended))
    assert.deepEqual(processesOf(folder), [])
  })
})
