// Owns the tests of the demo's own logic: terms, counts, merging, walking, reading, the index file.
// Must not need a cluster.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { type Counts, CountsBuilder, eachCount, topCounts } from '../../src/cli/demo/counts.ts'
import { queryIndex, writeIndex } from '../../src/cli/demo/index-file.ts'
import { readText } from '../../src/cli/demo/read.ts'
import { eachTerm, isIdentifier } from '../../src/cli/demo/tokens.ts'
import { checkFolder, fileBytesMax, Walk } from '../../src/cli/demo/walk.ts'
import { CoxswainError } from '../../src/protocol/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'cox-test-counting-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function terms(text: string): string[] {
  const found: string[] = []
  eachTerm(text, term => found.push(term))
  return found
}

test('words are lower case, identifiers stay whole and as they are', () => {
  assert.deepEqual(terms('The cox, THE oars: getUserName get_user_name $el v8 Café naïve Straße'), [
    'the',
    'cox',
    'the',
    'oars',
    'getUserName',
    'get_user_name',
    '$el',
    'v8',
    'café',
    'naïve',
    'straße',
  ])
  assert.deepEqual(['getUser', 'get_user', 'utf8', '$x'].map(isIdentifier), [true, true, true, true])
  assert.deepEqual(['user', 'café', '数据'].map(isIdentifier), [false, false, false])
})

test('single letters, numbers and encoded data are no terms', () => {
  assert.deepEqual(terms('a 1 12345 + b'), [])
  assert.deepEqual(terms(`x = "${'A1b2'.repeat(30)}"`), [])
})

test('text without spaces is cut into words', () => {
  const found = terms('数据处理很快，处理数据。')
  assert.equal(found.filter(term => term === '数据').length, 2)
  assert.equal(found.filter(term => term === '处理').length, 2)
})

test('letters beyond the first plane are letters', () => {
  assert.deepEqual(terms('𝒳𝒴 𐐀𐐁'), ['𝒳𝒴', '𐐨𐐩'])
})

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

function count(files: string[][], first = 0): Counts {
  const builder = new CountsBuilder()
  files.forEach((words, at) => {
    for (const word of words) builder.add(word, first + at)
  })
  return builder.finish()
}

test('counts know totals, files and where a term occurs most', () => {
  const counts = count([['a'], ['a', 'b', 'a'], ['a', 'a', 'a'], ['b'], ['a', 'a', 'a', 'a']])
  assert.deepEqual(
    [...eachCount(counts)],
    [
      {
        term: 'a',
        total: 10,
        files: 4,
        places: [
          [4, 4],
          [2, 3],
          [1, 2],
        ],
      },
      {
        term: 'b',
        total: 2,
        files: 2,
        places: [
          [1, 1],
          [3, 1],
        ],
      },
    ],
  )
})

test('merging parts gives the counts of the whole, however it is split', () => {
  const file = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 12 })
  fc.assert(
    fc.property(fc.array(file, { maxLength: 12 }), fc.nat(12), fc.boolean(), (files, split, lastFirst) => {
      const whole = count(files)
      const builder = new CountsBuilder()
      const parts = [count(files.slice(0, split)), count(files.slice(split), Math.min(split, files.length))]
      for (const part of lastFirst ? parts.reverse() : parts) builder.merge(part)
      const merged = builder.finish()
      const plain = (counts: Counts): unknown => [...eachCount(counts)].sort((a, b) => (a.term < b.term ? -1 : 1))
      assert.deepEqual(plain(merged), plain(whole))
      // Which of those that occur equally often are among the first does not depend on who was merged first either.
      assert.deepEqual(
        topCounts(merged, 2, () => true),
        topCounts(whole, 2, () => true),
      )
    }),
    { numRuns: 300 },
  )
})

test('the top is sorted and filtered', () => {
  const counts = count([['x1', 'bb', 'bb', 'cc', 'x1', 'x1', 'dd']])
  assert.deepEqual(
    topCounts(counts, 2, term => !isIdentifier(term)).map(one => [one.term, one.total]),
    [
      ['bb', 2],
      ['cc', 1],
    ],
  )
})

test('a walk finds files, skips what is none, and does not follow links in circles', async () => {
  const root = join(folder, 'walk 数据')
  mkdirSync(join(root, 'sub dir'), { recursive: true })
  mkdirSync(join(root, '.git'))
  writeFileSync(join(root, 'a.txt'), 'one')
  writeFileSync(join(root, '文件.txt'), '数据')
  writeFileSync(join(root, 'sub dir', 'b.txt'), 'two')
  writeFileSync(join(root, '.git', 'c.txt'), 'three')
  writeFileSync(join(root, 'huge.txt'), '')
  truncateSync(join(root, 'huge.txt'), fileBytesMax + 1)
  symlinkSync(root, join(root, 'loop'))
  symlinkSync(join(root, 'nowhere'), join(root, 'broken'))
  execFileSync('mkfifo', [join(root, 'pipe')])
  const walk = new Walk(checkFolder(root))
  const groups = await all(walk.groups())
  assert.deepEqual(groups.flatMap(group => group.files).sort(), ['a.txt', 'sub dir/b.txt', '文件.txt'])
  assert.deepEqual(walk.skips, { binary: 0, unreadable: 0, huge: 1, vanished: 0, link: 2, special: 1 })
})

test('groups hold files in a row, grow, and are bounded', async () => {
  const root = join(folder, 'many')
  mkdirSync(root)
  for (let at = 0; at < 1201; at++) writeFileSync(join(root, `f${at}`), 'x')
  const walk = new Walk(root)
  const groups = await all(walk.groups())
  assert.deepEqual(
    groups.map(group => [group.first, group.files.length]),
    [...Array.from({ length: 9 }, (_, at) => [2 ** at - 1, 2 ** at]), [511, 500], [1011, 190]],
  )
})

test('a folder that is not there or no folder is a clear error', () => {
  const refused = (path: string, text: RegExp): void =>
    assert.throws(
      () => checkFolder(path),
      (error: unknown) => error instanceof CoxswainError && error.code === 'USAGE' && text.test(error.message),
    )
  refused(join(folder, 'missing'), /is not there/)
  writeFileSync(join(folder, 'file'), '')
  refused(join(folder, 'file'), /is not a folder/)
})

test('files that are no text say why', () => {
  const path = join(folder, 'changing')
  const read = (bytes: Uint8Array | string): unknown => {
    writeFileSync(path, bytes)
    return readText(path)
  }
  assert.deepEqual(read('héllo'), { text: 'héllo', bytes: 6 })
  assert.deepEqual(read(''), { text: '', bytes: 0 })
  assert.deepEqual(read(Buffer.from([0x89, 0x50, 0, 1])), { skipped: 'binary' })
  assert.deepEqual(read(Buffer.from([0xc3, 0x28])), { skipped: 'binary' })
  assert.deepEqual(read(Buffer.from('\ufeffhi', 'utf16le')), { text: 'hi', bytes: 6 })
  unlinkSync(path)
  assert.deepEqual(readText(path), { skipped: 'vanished' })
  assert.deepEqual(readText(join(folder, 'file', 'below a file')), { skipped: 'vanished' })
  execFileSync('mkfifo', [path])
  assert.deepEqual(readText(path), { skipped: 'special' })
  unlinkSync(path)
  symlinkSync('/etc/hostname', path)
  assert.deepEqual(readText(path), { skipped: 'unreadable' })
})

test('the index file answers exact, lower case, and similar', async () => {
  const path = join(folder, 'index.jsonl')
  const counts = count([
    ['connect', 'getUser', '数据', 'quo"te'],
    ['connect', 'connection', 'connects', 'connection'],
  ])
  assert.equal(await writeIndex(path, { root: '/some folder', files: ['a.ts', 'b 数.ts'] }, counts), 6)
  const connect = await queryIndex(path, 'Connect')
  assert.deepEqual(connect.found, [
    {
      term: 'connect',
      total: 2,
      files: 2,
      places: [
        { file: 'a.ts', count: 1 },
        { file: 'b 数.ts', count: 1 },
      ],
    },
  ])
  assert.equal((await queryIndex(path, '数据')).found[0]?.total, 1)
  assert.equal((await queryIndex(path, 'quo"te')).found[0]?.total, 1)
  assert.equal((await queryIndex(path, 'getUser')).found[0]?.files, 1)
  assert.deepEqual((await queryIndex(path, 'conn')).similar, ['connect', 'connection', 'connects'])
  assert.deepEqual(await queryIndex(path, 'zzz').then(answer => [answer.found, answer.similar]), [[], []])
})

test('an index that is not there is a clear error', async () => {
  await assert.rejects(
    queryIndex(join(folder, 'none'), 'x'),
    (error: unknown) => error instanceof CoxswainError && error.code === 'NOT_FOUND',
  )
})
