// Holds the rebuilding of disks after a power loss to its rules, on acts made by hand and on a store that is said not to sync.
// Must not take a disk for lost that was synced.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Disk } from '../../chaos/power/images.ts'
import { losePower } from '../../chaos/power/loss.ts'
import { type Act, actsIn } from '../../chaos/power/writes.ts'
import { straceMissing, straceWorks } from '../../chaos/strace.ts'

const lose = (): number => 0.999
const keep = (): number => 0

function disk(...acts: Act[]): Disk {
  const made = new Disk()
  for (const act of acts) made.do(act)
  return made
}

const create: Act = { what: 'create', path: 'a' }
const syncFolder: Act = { what: 'sync', path: '' }
const sync: Act = { what: 'sync', path: 'a' }
const write = (at: number, bytes: Buffer): Act => ({ what: 'write', path: 'a', at, bytes })

describe('a disk after a power loss', () => {
  it('may have lost what was not synced, and has what was', () => {
    const some = disk(create, syncFolder, write(0, Buffer.from('old')), sync, write(0, Buffer.from('new')))
    assert.equal(String(some.image(lose, 0.5).get('a')), 'old')
    assert.equal(String(some.image(keep, 0.5).get('a')), 'new')
    some.do(sync)
    assert.equal(String(some.image(lose, 0.5).get('a')), 'new')
  })

  it('loses a name whose folder was not synced, also of a file that was', () => {
    const unnamed = disk(create, write(0, Buffer.from('x')), sync)
    assert.equal(unnamed.image(lose, 0.5).has('a'), false)
    unnamed.do(syncFolder)
    assert.equal(String(unnamed.image(lose, 0.5).get('a')), 'x')
  })

  it('keeps the old name where a rename was lost, and brings back what was removed', () => {
    const renamed = disk(create, syncFolder, { what: 'rename', path: 'a', to: 'b' })
    assert.deepEqual([...renamed.image(lose, 0.5).keys()], ['a'])
    assert.deepEqual([...renamed.image(keep, 0.5).keys()], ['b'])
    const removed = disk(create, syncFolder, { what: 'unlink', path: 'a' })
    assert.deepEqual([...removed.image(lose, 0.5).keys()], ['a'])
    assert.deepEqual([...removed.image(keep, 0.5).keys()], [])
  })

  it('tears writes between sectors, and fills what is between with zeros', () => {
    let calls = 0
    const everyOther = (): number => (calls++ % 2 === 0 ? 0.999 : 0)
    const torn = disk(create, syncFolder, sync, write(100, Buffer.alloc(1000, 1)))
    const bytes = torn.image(everyOther, 0.5).get('a')!
    assert.equal(bytes.length, 1024)
    assert.ok(bytes.subarray(0, 512).every(byte => byte === 0))
    assert.ok(bytes.subarray(512).every(byte => byte === 1))
  })

  it('may have cut a file, or not', () => {
    const cut = disk(create, syncFolder, write(0, Buffer.from('abcdef')), sync, { what: 'truncate', path: 'a', length: 2 })
    assert.equal(String(cut.image(keep, 0.5).get('a')), 'ab')
    assert.equal(String(cut.image(lose, 0.5).get('a')), 'abcdef')
  })
})

const hex = (text: string): string => Buffer.from(text).reduce((all, byte) => `${all}\\x${byte.toString(16).padStart(2, '0')}`, '')

describe('the reading of a trace', () => {
  it('follows names, writes, syncs and what was said, also of calls that another thread interrupts', () => {
    const a = `3<${hex('/j/a')}>`
    const trace = [
      `7 openat(AT_FDCWD<${hex('/')}>, "${hex('/j/a')}", O_RDWR|O_CREAT|O_EXCL, 0600) = ${a}`,
      `7 pwrite64(${a}, "${hex('one')}", 3, 0 <unfinished ...>`,
      `8 write(1<pipe:[5]>, "${hex('row 1\n')}", 6) = 6`,
      '7 <... pwrite64 resumed>) = 3',
      `7 pwritev(${a}, [{iov_base="${hex('two')}", iov_len=3}, {iov_base="${hex('!')}", iov_len=1}], 2, 512) = 4`,
      `7 fdatasync(${a} <unfinished ...>`,
      `8 write(2<pipe:[6]>, "${hex('noise')}", 5) = 5`,
      '7 <... fdatasync resumed>) = 0',
      `7 fsync(4<${hex('/j')}>) = 0`,
      `7 pwrite64(5<${hex('/elsewhere')}>, "${hex('x')}", 1, 0) = 1`,
      `7 rename("${hex('/j/a')}", "${hex('/j/b')}") = 0`,
      `7 unlink("${hex('/j/gone')}") = -1 ENOENT (No such file or directory)`,
    ].join('\n')
    assert.deepEqual(actsIn(trace, '/j'), [
      { what: 'create', path: 'a' },
      { what: 'write', path: 'a', at: 0, bytes: Buffer.from('one') },
      { what: 'acknowledge', line: 'row 1' },
      { what: 'write', path: 'a', at: 512, bytes: Buffer.from('two!') },
      { what: 'sync', path: 'a' },
      { what: 'sync', path: '' },
      { what: 'rename', path: 'a', to: 'b' },
    ])
  })

  it('stops at what cannot be followed', () => {
    assert.throws(() => actsIn(`7 fallocate(3<${hex('/j/a')}>, 0, 0, 9) = 0`, '/j'), /fallocate/)
    assert.throws(
      () => actsIn(`7 mmap(NULL, 9, PROT_READ|PROT_WRITE, MAP_SHARED, 3<${hex('/j/a')}>, 0) = 0x7f00`, '/j'),
      /mapped for writing/,
    )
  })
})

describe('a store that would not sync', { timeout: 120_000 }, () => {
  for (const [what, files] of [
    ['its large payloads', /\.seg$/],
    ['its log', /-wal$/],
  ] as const) {
    it(`is found: ${what}`, async t => {
      if (!straceWorks()) return t.skip(straceMissing)
      const { problems } = await losePower(20, 1, files)
      assert.ok(
        problems.some(problem => /acknowledged and is not there|does not match|is missing|ends after/.test(problem)),
        problems.join('\n'),
      )
    })
  }
})
