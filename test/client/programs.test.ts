// Holds programs to what is in them: the user's code and its map, tasks by name, nothing of the client; and to their cache.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { bundleProgram } from '../../src/client/programs/bundle.ts'
import { Programs } from '../../src/client/programs/cache.ts'

const run = promisify(execFile)
const faceUrl = new URL('../../src/index.ts', import.meta.url)

let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'programs 数据 '))
})

after(() => rm(folder, { recursive: true }))

/** Writes a module below the test's folder and gives its URL. */
async function module(name: string, text: string): Promise<string> {
  const path = join(folder, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  return pathToFileURL(path).href
}

/** Loads a program as an executor does, in a process of its own, and gives what `expression` says of its `tasks`. */
async function loaded(bytes: Uint8Array, expression: string): Promise<string> {
  const path = join(folder, 'elsewhere', 'program.mjs')
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
  const script = `
    globalThis[Symbol.for('coxswain.executor')] = true
    const { tasks } = (await import(${JSON.stringify(pathToFileURL(path).href)})).default
    process.stdout.write(String(await (${expression})))`
  const { stdout } = await run(process.execPath, ['--enable-source-maps', '--input-type=module', '-e', script])
  return stdout
}

const face = JSON.stringify(fileURLToPath(faceUrl))

describe('a program', () => {
  test('holds the tasks of a module, in TypeScript, from folders with spaces and other letters', async () => {
    await module('häfen/helper.ts', 'export const double = (x: number): number => x * 2')
    const url = await module(
      'häfen/my tasks.ts',
      `import { connect, task } from ${face}
       import { double } from './helper.ts'
       import { basename } from 'node:path'
       export const one = task({ name: 'one', run: (x: number) => double(x) })
       export const where = task({ name: 'where', run: () => basename('/a/b') })
       if (import.meta.main) { await using cluster = await connect() }`,
    )
    const { bytes, id, inputs } = await bundleProgram(url, [])
    assert.equal(
      await loaded(bytes, `tasks.one.run(21) + ' ' + Object.keys(tasks) + ' ' + tasks.where.run()`),
      '42 one,where,coxswain.identity b',
    )
    assert.match(id, /^[0-9a-f]{64}$/)
    assert.ok(inputs.includes(fileURLToPath(url)))
    const text = Buffer.from(bytes).toString()
    // Nothing of sockets, bundler or sessions is carried along.
    assert.ok(!/from "(ws|esbuild)"/.test(text))
    assert.ok(!inputs.some(input => input.endsWith('session.ts')))
    assert.equal((await bundleProgram(url, [])).id, id)
  })

  test('remote stacks name the lines of the sources', async () => {
    const url = await module(
      'stack.ts',
      `import { task } from ${face}\n\n\nexport const fail = task({ name: 'fail', run(x: number) {\n  throw new Error('boo' + x)\n} })`,
    )
    const { bytes } = await bundleProgram(url, [])
    const stack = await loaded(bytes, `(() => { try { tasks.fail.run(1) } catch (error) { return error.stack } })()`)
    assert.ok(stack.includes(`${fileURLToPath(url)}:5:`), stack)
  })

  test('modules in CommonJS may require what is built in', async () => {
    await module('old/helper.cjs', `const { basename } = require('node:path'); module.exports = { base: path => basename(path) }`)
    const url = await module(
      'old/tasks.mjs',
      `import { task } from ${face}\nimport helper from './helper.cjs'\nexport const base = task({ name: 'base', run: path => helper.base(path) })`,
    )
    assert.equal(await loaded((await bundleProgram(url, [])).bytes, `tasks.base.run('/a/b')`), 'b')
  })

  test('a connect() that runs while it loads says so', async () => {
    const url = await module(
      'connects.ts',
      `import { connect, task } from ${face}\nexport const one = task({ name: 'one', run: () => 1 })\nawait connect()`,
    )
    const { bytes } = await bundleProgram(url, [])
    await assert.rejects(loaded(bytes, '1'), /CONNECT_WHILE_LOADING/)
  })

  test('two exported tasks of one name are refused when it loads', async () => {
    await module('double/b.ts', `import { task } from ${face}\nexport const b = task({ name: 'same', run: () => 2 })`)
    const url = await module(
      'double/a.ts',
      `import { task } from ${face}\nexport { b } from './b.ts'\nexport const a = task({ name: 'same', run: () => 1 })`,
    )
    await assert.rejects(loaded((await bundleProgram(url, [])).bytes, '1'), /DUPLICATE_TASK/)
  })

  test('a task of the same name in a module that is only used is no harm', async () => {
    await module('used/b.ts', `import { task } from ${face}\nexport const b = task({ name: 'same', run: () => 2 })`)
    const url = await module(
      'used/a.ts',
      `import { task } from ${face}\nimport { b } from './b.ts'\nexport const a = task({ name: 'same', run: () => b.run(undefined, {} as never) })`,
    )
    assert.equal(await loaded((await bundleProgram(url, [])).bytes, `tasks.same.run()`), '2')
  })
})

describe('what does not bundle says why', () => {
  test('a module that is not there, with its place', async () => {
    const url = await module('missing.ts', `import { nothing } from './not-there.ts'\nexport { nothing }`)
    await assert.rejects(bundleProgram(url, []), { code: 'PROGRAM_BUILD_FAILED', message: /missing\.ts:1:\d+.*not-there/s })
  })

  test('a syntax error', async () => {
    await assert.rejects(bundleProgram(await module('syntax.ts', 'const = 1'), []), {
      code: 'PROGRAM_BUILD_FAILED',
      message: /syntax\.ts:1:/,
    })
  })

  test('native code, which goes into external', async () => {
    await module('native/node_modules/addon/package.json', '{"name": "addon", "main": "./addon.node"}')
    await module('native/node_modules/addon/addon.node', 'not really')
    const url = await module('native/tasks.ts', `import addon from 'addon'\nexport { addon }`)
    await assert.rejects(bundleProgram(url, []), { code: 'PROGRAM_BUILD_FAILED', message: /addon\.node is native code.*`external`/ })
    const { bytes } = await bundleProgram(url, ['addon'])
    assert.match(Buffer.from(bytes).toString(), /from "addon"/)
  })

  test('tasks that are in no file', async () => {
    await assert.rejects(bundleProgram('', []), { code: 'PROGRAM_BUILD_FAILED' })
    await assert.rejects(bundleProgram('node:repl', []), { code: 'PROGRAM_BUILD_FAILED' })
  })

  test('more than a program may have', async () => {
    const url = await module('large.ts', `export const text = '${'x'.repeat(5000)}'`)
    await assert.rejects(bundleProgram(url, [], 4000), { code: 'PROGRAM_TOO_LARGE', message: /4000 are allowed/ })
  })
})

describe('the cache', () => {
  const text = (value: number): string => `import { helper } from './cached-helper.ts'\nexport const value = helper + ${value}`

  test('is used by the next process, and notices changes of any source', async () => {
    const cache = join(folder, 'cache')
    await module('cached-helper.ts', 'export const helper = 1')
    const url = await module('cached.ts', text(1))
    await settled()
    const first = await new Programs([], cache).get(url, [])
    const [entry] = (await readdir(cache)).filter(name => name.endsWith('.json'))
    // To see that it is used, another program is put into it under its right hash.
    const other = Buffer.from('export default 1')
    const { inputs } = JSON.parse(await readFile(join(cache, entry!), 'utf8')) as { inputs: unknown }
    await writeFile(join(cache, entry!), JSON.stringify({ program: hash('sha256', other), inputs }))
    await writeFile(join(cache, entry!.replace('.json', '.mjs')), other)
    assert.deepEqual((await new Programs([], cache).get(url, [])).bytes, other)
    await module('cached-helper.ts', 'export const helper = 2')
    const changed = await new Programs([], cache).get(url, [])
    assert.notEqual(changed.id, first.id)
    assert.notDeepEqual(changed.bytes, other)
  })

  test('what was tampered with is made anew', async () => {
    const cache = join(folder, 'cache-tampered')
    const url = await module('tampered.ts', 'export const value = 1')
    await settled()
    const first = await new Programs([], cache).get(url, [])
    const program = (await readdir(cache)).find(name => name.endsWith('.mjs'))!
    await writeFile(join(cache, program), `${await readFile(join(cache, program), 'utf8')} `)
    assert.deepEqual((await new Programs([], cache).get(url, [])).id, first.id)
  })

  test('that cannot be written is no failure', async () => {
    await writeFile(join(folder, 'a-file'), '')
    const url = await module('uncached.ts', 'export const value = 1')
    assert.ok((await new Programs([], join(folder, 'a-file', 'cache')).get(url, [])).id)
  })

  test('within a process a module is bundled once, unless that failed', async () => {
    const programs = new Programs([], undefined)
    const url = await module('once.ts', 'export const value = ')
    await assert.rejects(programs.get(url, []), { code: 'PROGRAM_BUILD_FAILED' })
    await module('once.ts', 'export const value = 1')
    const made = await programs.get(url, [])
    await module('once.ts', 'export const value = 2')
    assert.equal(await programs.get(url, []), made)
  })
})

/** Resolves when files written before are older than the clock's tick. */
async function settled(): Promise<void> {
  const from = Date.now()
  while (Date.now() < from + 5) await new Promise(resolve => setImmediate(resolve))
}
